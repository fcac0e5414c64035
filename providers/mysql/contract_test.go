package mysql_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"broker/providers"
	"broker/providers/mysql"
	"broker/providers/mysql/mysqltest"
	"broker/providers/providertest"
)

func TestContract(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providertest.Fixture {
		f := providertest.Fixture{
			Provider:      mysql.Provider{},
			Connection:    server.Connection(),
			Options:       server.Options(),
			BrokenOptions: map[string]any{"roles": mysqltest.ReadRole, "grants": "SELECT ON orders.no_such_table"},
			Canaries:      []providers.Secret{providers.NewSecret(server.AdminPassword)},
			LogIn:         logIn,
			OpenCreate:    openCreate,
			OpenSession:   openSession,
			Outage:        &providertest.Outage{Stop: server.Stop, Start: server.Start, Pause: server.Pause, Resume: server.Resume},
			WrongRoot:     map[string]any{"password": "canary-wrong-root"},
			Rotation:      rotation,
		}
		if !server.MariaDB {
			f.Stick = stick // MariaDB drops every account
		}
		return f
	})
}

func logIn(ctx context.Context, values providers.Values) error {
	return server.LogIn(ctx, map[string]string{
		"username": values["username"].Reveal(), "password": values["password"].Reveal(), "database": values["database"].Reveal(),
	})
}

// openCreate stands where a create stands between reading the clock and making the account.
func openCreate(t *testing.T, grant providers.Grant) func(commit bool) {
	admin := server.Admin()
	conn, err := admin.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "DO GET_LOCK('broker."+string(grant.Name)+"', 0)"); err != nil {
		t.Fatal(err)
	}
	return func(commit bool) {
		defer admin.Close()
		defer conn.Close()
		if commit {
			if _, err := conn.ExecContext(t.Context(), "CREATE USER '"+string(grant.Name)+"'@'%' ACCOUNT LOCK"); err != nil {
				t.Error(err)
			}
		}
		if _, err := conn.ExecContext(t.Context(), "DO RELEASE_ALL_LOCKS()"); err != nil {
			t.Error(err)
		}
	}
}

// stick makes the login the definer of a view, which the root account may not take from it.
func stick(t *testing.T, name providers.LoginName) func() {
	view := mysqltest.Database + ".`view of " + string(name) + "`"
	server.MustExec(t, "CREATE DEFINER = '"+string(name)+"'@'%' VIEW "+view+" AS SELECT 1 AS one")
	return func() { server.MustExec(t, "DROP VIEW "+view) }
}

func openSession(ctx context.Context, values providers.Values) (*providertest.Session, error) {
	db := server.Connect(values["username"].Reveal(), values["password"].Reveal(), values["database"].Reveal())
	conn, err := db.Conn(ctx)
	if err != nil {
		db.Close()
		return nil, err
	}
	return &providertest.Session{
		Alive: func(ctx context.Context) error {
			var one int
			return conn.QueryRowContext(ctx, "SELECT 1").Scan(&one)
		},
		Close: func() { conn.Close(); db.Close() },
	}, nil
}

// rotation makes a root account of its own.
func rotation(t *testing.T) map[string]any {
	name, password := fresh("root"), rand.Text()
	var statements []string
	for _, sql := range mysqltest.RootStatements(server.MariaDB, password, mysqltest.ReadRole) {
		if strings.Contains(sql, "'"+mysqltest.RootName+"'") {
			statements = append(statements, strings.ReplaceAll(sql, "'"+mysqltest.RootName+"'", "'"+name+"'"))
		}
	}
	server.MustExec(t, statements...)
	connection := server.Connection()
	connection["username"], connection["password"] = name, password
	return connection
}
