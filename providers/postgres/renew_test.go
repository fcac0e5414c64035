package postgres_test

import (
	"testing"
	"time"

	"broker/providers"
	"broker/providers/postgres"
)

// A renewal that was given up while it waited, and goes on after a later one has succeeded, moves nothing back.
func TestLateRenewalDoesNotShorten(t *testing.T) {
	k := open(t, nil)
	raw, err := postgres.Provider{}.Open(k.settings, providers.Env{ClusterID: clusterID, Term: 1, Prefix: k.prefix})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	grant := k.grant(nil)
	if _, err := k.Create(t.Context(), grant); err != nil {
		t.Fatal(err)
	}
	sooner, later := grant.Login, grant.Login
	sooner.ExpiresAt, later.ExpiresAt = grant.ExpiresAt.Add(time.Minute), grant.ExpiresAt.Add(time.Hour)
	finish, err := postgres.LateRenewal(t.Context(), raw, sooner)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Renew(t.Context(), []providers.Login{later})[later.Name]; err != nil {
		t.Fatal(err)
	}
	const untilSQL = "SELECT rolvaliduntil FROM pg_roles WHERE rolname = $1"
	want := query[time.Time](t, server, "postgres", untilSQL, string(grant.Name))
	if err := finish(); err != nil {
		t.Errorf("the late renewal: %v, want nil, since the end is later than it asks for", err)
	}
	if got := query[time.Time](t, server, "postgres", untilSQL, string(grant.Name)); !got.Equal(want) {
		t.Errorf("VALID UNTIL is %s, was %s", got, want)
	}
}
