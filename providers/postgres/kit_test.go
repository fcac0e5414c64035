package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"broker/providers"
	"broker/providers/postgres"
	"broker/providers/postgres/postgrestest"
)

const clusterID = "01J0POSTGRESTESTCLUSTER000"

// kit is a Backend with a prefix of its own at a server.
type kit struct {
	providers.Backend
	t        *testing.T
	server   *postgrestest.Server
	settings providers.Settings
	prefix   string
}

// open opens a Backend at the package's server; overrides replace connection fields.
func open(t *testing.T, overrides map[string]any) *kit {
	t.Helper()
	return openAt(t, server, rootPassword, overrides)
}

func openAt(t *testing.T, server *postgrestest.Server, password string, overrides map[string]any) *kit {
	t.Helper()
	connection := connectionTo(server, password)
	maps.Copy(connection, overrides)
	settings, problems := postgres.Provider{}.Describe().ValidateConnection(connection)
	if len(problems) > 0 {
		t.Fatalf("validating the connection: %v", problems)
	}
	k := &kit{t: t, server: server, settings: settings, prefix: providers.Prefix("brk_", providers.Cluster4(rand.Text()))}
	k.Backend = k.again(1)
	return k
}

func connectionTo(server *postgrestest.Server, password string) map[string]any {
	return map[string]any{
		"host": postgrestest.Host, "port": server.Port, "database": postgrestest.Database,
		"username": postgrestest.RootName, "password": password,
	}
}

// again opens another Backend of the same connection, as the leader of another term does.
func (k *kit) again(term uint64) providers.Backend { return k.knowing(term, "") }

// knowing opens another Backend that knows which system is meant.
func (k *kit) knowing(term uint64, identity providers.SystemID) providers.Backend {
	k.t.Helper()
	b, err := postgres.Provider{}.Open(k.settings, providers.Env{ClusterID: clusterID, Term: term, Prefix: k.prefix, Identity: identity})
	if err != nil {
		k.t.Fatalf("opening the backend: %v", err)
	}
	b = providers.Redacting(b, postgres.Provider{}.Describe().Secrets(k.settings)...)
	k.t.Cleanup(func() { b.Close() })
	return b
}

// options validates options as the broker does.
func options(t *testing.T, values map[string]any) providers.Options {
	t.Helper()
	validated, problems := postgres.Provider{}.Describe().ValidateOptions(values)
	if len(problems) == 0 {
		problems = postgres.Provider{}.ValidateOptions(validated)
	}
	if len(problems) > 0 {
		t.Fatalf("validating options: %v", problems)
	}
	return validated
}

// grant orders a login with the options; nil means a member of readonly.
func (k *kit) grant(values map[string]any) providers.Grant {
	k.t.Helper()
	if values == nil {
		values = map[string]any{"member_of": postgrestest.ReadRole}
	}
	unique, err := providers.NewUnique(rand.Reader)
	if err != nil {
		k.t.Fatal(err)
	}
	return providers.Grant{
		Login: providers.Login{
			Name:      providers.LoginName(k.prefix + "test_" + unique),
			ExpiresAt: time.Now().Add(time.Hour),
			Options:   options(k.t, values),
		},
		LeaseID:  "01J0POSTGRESTESTLEASE00000",
		Deadline: time.Now().Add(time.Minute),
	}
}

// create makes a login; the test revokes it.
func (k *kit) create(values map[string]any) (providers.Login, providers.Values) {
	k.t.Helper()
	grant := k.grant(values)
	made, err := k.Create(k.t.Context(), grant)
	if err != nil {
		k.t.Fatalf("creating login: %v", err)
	}
	return grant.Login, made
}

// connect logs in with a lease's values, at its database or another.
func (k *kit) connect(values providers.Values, database string) *pgx.Conn {
	k.t.Helper()
	conn, err := k.server.Connect(k.t.Context(), values["username"].Reveal(), values["password"].Reveal(), database)
	if err != nil {
		k.t.Fatalf("logging in: %v", err)
	}
	k.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (k *kit) mustRevoke(logins ...providers.Login) {
	k.t.Helper()
	answers := k.Revoke(k.t.Context(), logins)
	for _, login := range logins {
		if err, answered := answers[login.Name]; err != nil || !answered {
			k.t.Errorf("revoking %s: answered %v, %v", login.Name, answered, err)
		}
	}
}

// query reads one value as the superuser.
func query[T any](t *testing.T, server *postgrestest.Server, database, sql string, args ...any) T {
	t.Helper()
	conn, err := server.Superuser(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var value T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&value); err != nil {
		t.Fatalf("running %q: %v", sql, err)
	}
	return value
}

// eventually polls until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// kindOf returns the kind of an error that a Backend returned.
func kindOf(t *testing.T, err error) providers.Kind {
	t.Helper()
	var e *providers.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %T (%v), want *providers.Error", err, err)
	}
	return e.Kind
}

// fresh returns a name that no other run of the test uses at the package's server.
func fresh(base string) string { return base + "_" + strings.ToLower(rand.Text()[:8]) }
