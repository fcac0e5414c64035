package mysql_test

import (
	"context"
	"strings"
	"testing"

	"broker/providers"
)

// At another system everything is absent, which means nothing; so it is at a replica.
func TestAnotherSystem(t *testing.T) {
	k := open(t, nil)
	login, _ := k.create(nil)
	id, err := k.Check(t.Context())
	if err != nil || strings.Contains(string(id), "-at-") {
		t.Fatalf("the server is known as %q, %v; want an identity of its own", id, err)
	}
	for _, meant := range []providers.SystemID{id[:len(id)-4] + "0000", "mysql-00000000-0000-0000-0000-000000000000", "mariadb-00"} {
		refusesAll(t, k, k.with(providers.Env{Identity: meant}), login)
	}
	if err := k.with(providers.Env{Identity: id}).Revoke(t.Context(), []providers.Login{login})[login.Name]; err != nil {
		t.Errorf("revoking at the system that is meant: %v", err)
	}
}

func TestReplica(t *testing.T) {
	k := open(t, nil)
	login, _ := k.create(nil)
	server.MustExec(t, "SET GLOBAL read_only = 1")
	t.Cleanup(func() {
		if err := server.SQL(context.Background(), "SET GLOBAL read_only = 0"); err != nil {
			t.Error(err)
		}
	})
	refusesAll(t, k, k.Backend, login)
	_, err := k.Check(t.Context())
	want(t, providers.KindUnavailable, err, "checking a replica")
	server.MustExec(t, "SET GLOBAL read_only = 0")
	if err := k.revoke(login); err != nil {
		t.Errorf("revoking when it takes writes again: %v", err)
	}
}

func refusesAll(t *testing.T, k *kit, b providers.Backend, login providers.Login) {
	t.Helper()
	grant := k.grant(nil)
	_, err := b.Create(t.Context(), grant)
	errs := map[string]error{
		"create": err, "revoke": b.Revoke(t.Context(), []providers.Login{login})[login.Name],
		"confirm absent": b.ConfirmAbsent(t.Context(), []providers.Login{grant.Login}, grant.Deadline.Add(-1e12))[grant.Name],
	}
	for _, err := range b.List(t.Context(), k.prefix) {
		errs["list"] = err
	}
	for what, err := range errs {
		if e := want(t, providers.KindUnavailable, err, what); !e.NotSent {
			t.Errorf("%s: it is not said that nothing was sent: %v", what, err)
		}
	}
}

// A replica that took its primary's place has a UUID of its own, and has executed what the primary had.
func TestPromotedReplica(t *testing.T) {
	if server.MariaDB {
		t.Skip("MariaDB's identity is a role, which replication carries over")
	}
	k := open(t, nil)
	const former = "aaaaaaaa-0000-11ee-8000-000000000001"
	meant := providers.SystemID("mysql-" + former)
	promoted := k.with(providers.Env{Identity: meant})
	login, _ := k.create(nil)
	if err := promoted.Revoke(t.Context(), []providers.Login{login})[login.Name]; err == nil {
		t.Fatal("a server that has nothing of the one that is meant is believed")
	}
	server.MustExec(t, "SET GTID_NEXT = '"+former+":1'", "BEGIN", "COMMIT", "SET GTID_NEXT = AUTOMATIC")
	if id, err := promoted.Check(t.Context()); err != nil || id != meant {
		t.Errorf("a promoted replica is known as %q, %v; want %q", id, err, meant)
	}
	if err := promoted.Revoke(t.Context(), []providers.Login{login})[login.Name]; err != nil {
		t.Errorf("revoking at a promoted replica: %v", err)
	}
}

// A Backend that may only look changes nothing.
func TestReadOnlyBackend(t *testing.T) {
	k := open(t, nil)
	login, values := k.create(nil)
	drill := k.with(providers.Env{ReadOnly: true})
	if _, err := drill.Check(t.Context()); err != nil {
		t.Errorf("checking: %v", err)
	}
	grant := k.grant(nil)
	_, err := drill.Create(t.Context(), grant)
	want(t, providers.KindRejected, err, "create")
	want(t, providers.KindRejected, drill.Revoke(t.Context(), []providers.Login{login})[login.Name], "revoke")
	want(t, providers.KindRejected, drill.ConfirmAbsent(t.Context(), []providers.Login{grant.Login}, grant.Deadline.Add(-1e12))[grant.Name], "confirm absent")
	if err := logIn(t.Context(), values); err != nil {
		t.Errorf("the login was touched: %v", err)
	}
}
