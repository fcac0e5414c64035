package postgres_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"broker/providers/postgres/postgrestest"
)

// A new leader ends the sessions of older terms of its own cluster, compared as numbers, and no others.
func TestSessionsOfOlderTermsEnd(t *testing.T) {
	k := open(t, nil)
	named := func(application string) *pgx.Conn {
		conn, err := server.Connect(t.Context(), postgrestest.RootName, rootPassword, postgrestest.Database)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		if _, err := conn.Exec(t.Context(), "SET application_name = '"+application+"'"); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	prefix := "broker/" + clusterID + "/t"
	older, same, newer := named(prefix+"9"), named(prefix+"10"), named(prefix+"11")
	foreign, odd := named("broker/another/t1"), named(prefix+"9x")

	leader := k.again(10)
	for found, err := range leader.List(t.Context(), k.prefix) {
		t.Fatalf("listing logins: got %q, %v, want none", found.Name, err)
	}
	eventually(t, "the older session has ended", func() bool { return older.Ping(t.Context()) != nil })
	for what, conn := range map[string]*pgx.Conn{"same term": same, "newer term": newer, "another cluster": foreign, "no term": odd} {
		if err := conn.Ping(t.Context()); err != nil {
			t.Errorf("the session of %s has ended: %v", what, err)
		}
	}
	sql := "SELECT count(*)::int FROM pg_stat_activity WHERE application_name = $1"
	if got := query[int](t, server, "postgres", sql, prefix+strconv.Itoa(10)); got < 2 {
		t.Errorf("the backend's own sessions do not carry cluster and term")
	}
}
