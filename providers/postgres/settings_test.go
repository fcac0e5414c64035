package postgres_test

import (
	"strings"
	"testing"

	"broker/providers"
	"broker/providers/postgres"
)

// What was given as a host may be a whole URL, and is not repeated.
func TestHostIsNoURL(t *testing.T) {
	for _, host := range []string{"postgres://broker:canary@db/orders", "broker:canary@db", "db:5432", "db1,db2", "db canary", "db/canary", "db?password=canary"} {
		settings, problems := postgres.Provider{}.Describe().ValidateConnection(map[string]any{
			"host": host, "database": "orders", "username": "broker", "password": "p",
		})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		_, err := postgres.Provider{}.Open(settings, providers.Env{})
		if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "host must be one name or address") {
			t.Errorf("host %q: got %v", host, err)
		}
	}
	for _, host := range []string{"db", "db1.internal", "10.0.0.1", "::1", "fe80::1%eth0"} {
		b, err := postgres.Provider{}.Open(providers.Settings{"host": host, "database": "orders", "username": "broker"}, providers.Env{})
		if err != nil {
			t.Errorf("host %q: %v", host, err)
			continue
		}
		b.Close()
	}
}
