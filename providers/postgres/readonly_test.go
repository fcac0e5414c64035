package postgres_test

import (
	"testing"
	"time"

	"broker/providers"
	"broker/providers/postgres"
	"broker/providers/postgres/postgrestest"
)

// A Backend that may only look ends no session of older terms, as a living cluster's beside a drill, and the
// server itself refuses whatever it was made to change.
func TestReadOnly(t *testing.T) {
	k := open(t, nil)
	login, _ := k.create(nil)
	defer k.mustRevoke(login)
	living, err := server.Connect(t.Context(), postgrestest.RootName, rootPassword, postgrestest.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer living.Close(t.Context())
	if _, err := living.Exec(t.Context(), "SET application_name = 'broker/"+clusterID+"/t9'"); err != nil {
		t.Fatal(err)
	}
	drill, err := postgres.Provider{}.Open(k.settings, providers.Env{ClusterID: clusterID, Term: 1_000_001, Prefix: k.prefix, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer drill.Close()

	if _, err := drill.Check(t.Context()); err != nil {
		t.Errorf("checking: %v", err)
	}
	var listed []providers.Found
	for found, err := range drill.List(t.Context(), k.prefix) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, found)
	}
	if len(listed) != 1 || listed[0].Name != login.Name || !listed[0].Ours {
		t.Errorf("listed %+v", listed)
	}
	if err := living.Ping(t.Context()); err != nil {
		t.Errorf("a session of the living cluster was ended: %v", err)
	}

	grant := k.grant(nil)
	if _, err := drill.Create(t.Context(), grant); err == nil {
		t.Error("a login was made")
	}
	moved := login
	moved.ExpiresAt = login.ExpiresAt.Add(time.Hour)
	for what, answers := range map[string]map[providers.LoginName]error{
		"renew":          drill.Renew(t.Context(), []providers.Login{moved}),
		"revoke":         drill.Revoke(t.Context(), []providers.Login{login}),
		"confirm absent": drill.ConfirmAbsent(t.Context(), []providers.Login{grant.Login}, time.Now().Add(-time.Minute)),
	} {
		for name, err := range answers {
			if err == nil {
				t.Errorf("%s of %s succeeded", what, name)
			}
		}
	}
	sql := "SELECT rolcanlogin FROM pg_roles WHERE rolname = $1"
	if !query[bool](t, server, "postgres", sql, string(login.Name)) {
		t.Error("the login cannot log in any more")
	}
}
