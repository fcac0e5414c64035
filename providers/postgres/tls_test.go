package postgres_test

import (
	"context"
	"net/netip"
	"testing"

	"broker/providers"
	"broker/providers/postgres"
	"broker/providers/postgres/postgrestest"
)

func TestTLS(t *testing.T) {
	own := postgrestest.Start(t)
	password := own.MustPrepare(t)
	other, err := own.EnableTLS(t.Context(), "db.internal") // an authority that signs nothing any more
	if err != nil {
		t.Fatal(err)
	}
	authority, err := own.EnableTLS(t.Context(), "db.internal")
	if err != nil {
		t.Fatal(err)
	}
	dialer, err := providers.NewDialer(providers.DialerConfig{Resolve: func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr(postgrestest.Host)}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		host, mode, roots string
		encrypted, ok     bool
	}{
		{"db.internal", "", authority, true, true}, // verify-full off loopback
		{"db.internal", "verify-full", authority, true, true},
		{"db.internal", "verify-full", other, true, false},
		{"db.internal", "verify-full", "", true, false},
		{"wrong.internal", "", authority, true, false},
		{"wrong.internal", "verify-full", authority, true, false},
		{"wrong.internal", "verify-ca", authority, true, true},
		{"wrong.internal", "verify-ca", other, true, false},
		{"wrong.internal", "require", "", true, true},
		{"127.0.0.1", "", "", true, true}, // prefer on loopback
		{"db.internal", "disable", "", false, true},
	}
	for _, test := range tests {
		connection := connectionTo(own, password)
		connection["host"], connection["sslmode"], connection["sslrootcert"] = test.host, test.mode, test.roots
		settings, problems := postgres.Provider{}.Describe().ValidateConnection(connection)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		b, err := postgres.Provider{}.Open(settings, providers.Env{ClusterID: clusterID, Term: 1, Dialer: dialer})
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Check(t.Context())
		if (err == nil) != test.ok {
			t.Errorf("%s with sslmode %q: got %v, want success %v", test.host, test.mode, err, test.ok)
		}
		if err != nil && kindOf(t, err) != providers.KindRejected {
			t.Errorf("%s with sslmode %q: got kind %s, want rejected", test.host, test.mode, kindOf(t, err))
		}
		if test.ok {
			got := query[bool](t, own, "postgres", "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'broker'")
			if got != test.encrypted {
				t.Errorf("%s with sslmode %q: encrypted %v, want %v", test.host, test.mode, got, test.encrypted)
			}
		}
		b.Close()
		eventually(t, "the sessions have ended", func() bool {
			return query[int](t, own, "postgres", "SELECT count(*)::int FROM pg_stat_activity WHERE usename = 'broker'") == 0
		})
	}
}
