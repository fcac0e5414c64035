package mysql_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/mysql"
	"broker/providers/mysql/mysqltest"
)

const clusterID = "01J0MYSQLTESTCLUSTER000000"

// kit is a Backend with a prefix of its own at a server.
type kit struct {
	providers.Backend
	t        *testing.T
	server   *mysqltest.Server
	settings providers.Settings
	prefix   string
}

// open opens a Backend at the package's server; overrides replace connection fields.
func open(t *testing.T, overrides map[string]any) *kit {
	t.Helper()
	return openAt(t, server, overrides)
}

func openAt(t *testing.T, server *mysqltest.Server, overrides map[string]any) *kit {
	t.Helper()
	connection := server.Connection()
	maps.Copy(connection, overrides)
	settings, problems := mysql.Provider{}.Describe().ValidateConnection(connection)
	if len(problems) > 0 {
		t.Fatalf("validating the connection: %v", problems)
	}
	k := &kit{t: t, server: server, settings: settings, prefix: providers.Prefix("brk_", providers.Cluster4(rand.Text()))}
	k.Backend = k.with(providers.Env{})
	return k
}

// with opens another Backend of the same connection and cluster.
func (k *kit) with(env providers.Env) providers.Backend {
	k.t.Helper()
	env.ClusterID, env.Prefix = clusterID, k.prefix
	b, err := mysql.Provider{}.Open(k.settings, env)
	if err != nil {
		k.t.Fatalf("opening the backend: %v", err)
	}
	b = providers.Redacting(b, mysql.Provider{}.Describe().Secrets(k.settings)...)
	k.t.Cleanup(func() { b.Close() })
	return b
}

// Open opens another Backend that is not wrapped.
func (k *kit) Open() providers.Backend {
	k.t.Helper()
	b, err := mysql.Provider{}.Open(k.settings, providers.Env{ClusterID: clusterID, Prefix: k.prefix})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { b.Close() })
	return b
}

// options validates options as the broker does.
func options(t *testing.T, values map[string]any) providers.Options {
	t.Helper()
	validated, problems := mysql.Provider{}.Describe().ValidateOptions(values)
	if len(problems) == 0 {
		problems = mysql.Provider{}.ValidateOptions(validated)
	}
	if len(problems) > 0 {
		t.Fatalf("validating options: %v", problems)
	}
	return validated
}

// grant orders a login with the options; nil means the role readonly.
func (k *kit) grant(values map[string]any) providers.Grant {
	k.t.Helper()
	if values == nil {
		values = k.server.Options()
	}
	unique, err := providers.NewUnique(rand.Reader)
	if err != nil {
		k.t.Fatal(err)
	}
	return providers.Grant{
		Login:    providers.Login{Name: providers.LoginName(k.prefix + "t_" + unique), ExpiresAt: time.Now().Add(time.Hour), Options: options(k.t, values)},
		LeaseID:  "01J0MYSQLTESTLEASE00000000",
		Deadline: time.Now().Add(time.Minute),
	}
}

// create makes a login, which is removed at the end of the test.
func (k *kit) create(values map[string]any) (providers.Login, providers.Values) {
	k.t.Helper()
	grant := k.grant(values)
	made, err := k.Create(k.t.Context(), grant)
	if err != nil {
		k.t.Fatalf("creating login: %v", err)
	}
	k.removeAtEnd(grant.Login)
	return grant.Login, made
}

func (k *kit) removeAtEnd(login providers.Login) {
	k.t.Cleanup(func() {
		login.Options = nil
		if err := k.with(providers.Env{}).Revoke(context.Background(), []providers.Login{login})[login.Name]; err != nil {
			k.t.Errorf("removing %s: %v", login.Name, err)
		}
	})
}

func (k *kit) revoke(login providers.Login) error {
	k.t.Helper()
	err, answered := k.Revoke(k.t.Context(), []providers.Login{login})[login.Name]
	if !answered {
		k.t.Fatalf("no answer for %s", login.Name)
	}
	return err
}

func (k *kit) confirm(login providers.Login) error {
	return k.ConfirmAbsent(k.t.Context(), []providers.Login{login}, time.Now().Add(-time.Second))[login.Name]
}

// connect logs in with a lease's values and returns one session.
func (k *kit) connect(values providers.Values) *sql.Conn {
	k.t.Helper()
	db := k.server.Connect(values["username"].Reveal(), values["password"].Reveal(), "")
	k.t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(k.t.Context())
	if err != nil {
		k.t.Fatalf("logging in: %v", err)
	}
	k.t.Cleanup(func() { conn.Close() })
	return conn
}

// query reads one value as the administrator.
func query[T any](t *testing.T, server *mysqltest.Server, sql string, args ...any) T {
	t.Helper()
	admin := server.Admin()
	defer admin.Close()
	var value T
	if err := admin.QueryRowContext(t.Context(), sql, args...).Scan(&value); err != nil {
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

// want checks the kind of an error that a Backend returned.
func want(t *testing.T, kind providers.Kind, err error, what string) *providers.Error {
	t.Helper()
	var e *providers.Error
	if !errors.As(err, &e) {
		t.Fatalf("%s: got %v, want an error of kind %s", what, err, kind)
	}
	if e.Kind != kind {
		t.Errorf("%s: got kind %s, want %s: %v", what, e.Kind, kind, err)
	}
	return e
}

// fresh returns a name that no other test uses at the package's server.
func fresh(base string) string { return base + "_" + strings.ToLower(rand.Text()[:8]) }
