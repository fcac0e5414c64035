package postgres_test

import (
	"testing"
	"time"

	"broker/providers"
	"broker/providers/postgres"
)

// Renewals that were given up while they waited, and go on after a later one has succeeded, move nothing
// back; the others of their batch are carried out.
func TestLateRenewalsDoNotShorten(t *testing.T) {
	k := open(t, nil)
	raw, err := postgres.Provider{}.Open(k.settings, providers.Env{ClusterID: clusterID, Term: 1, Prefix: k.prefix})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	until := func(name providers.LoginName) time.Time {
		return query[time.Time](t, server, "postgres", "SELECT rolvaliduntil FROM pg_roles WHERE rolname = $1", string(name))
	}
	var sooner []providers.Login
	want := map[providers.LoginName]time.Time{}
	for range 5 {
		grant := k.grant(nil)
		if _, err := k.Create(t.Context(), grant); err != nil {
			t.Fatal(err)
		}
		login := grant.Login
		want[login.Name] = until(login.Name).Add(time.Minute)
		login.ExpiresAt = login.ExpiresAt.Add(time.Minute)
		sooner = append(sooner, login)
	}
	finish, err := postgres.LateRenewals(t.Context(), raw, sooner...)
	if err != nil {
		t.Fatal(err)
	}
	later := sooner[3]
	later.ExpiresAt = later.ExpiresAt.Add(time.Hour)
	if err := k.Renew(t.Context(), []providers.Login{later})[later.Name]; err != nil {
		t.Fatal(err)
	}
	want[later.Name] = until(later.Name)
	answers := finish()
	for name, end := range want {
		if err, answered := answers[name]; !answered || err != nil {
			t.Errorf("the late renewal of %s: %v (answered: %t)", name, err, answered)
		}
		if got := until(name); !got.Equal(end) {
			t.Errorf("VALID UNTIL of %s is %s, want %s", name, got, end)
		}
	}
}
