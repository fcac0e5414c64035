package postgres_test

import (
	"context"
	"testing"

	"broker/providers"
	"broker/providers/postgres"
	"broker/providers/postgres/postgrestest"
	"broker/providers/providertest"
)

func TestContract(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providertest.Fixture {
		return providertest.Fixture{
			Provider:      postgres.Provider{},
			Connection:    connectionTo(server, rootPassword),
			Options:       map[string]any{"member_of": postgrestest.ReadRole},
			BrokenOptions: map[string]any{"member_of": []any{postgrestest.ReadRole, "zz_no_such_role"}},
			Canaries:      []providers.Secret{providers.NewSecret(server.SuperuserPassword)},
			LogIn: func(ctx context.Context, v providers.Values) error {
				return server.LogIn(ctx, v["username"].Reveal(), v["password"].Reveal(), v["database"].Reveal())
			},
			OpenSession: func(ctx context.Context, v providers.Values) (*providertest.Session, error) {
				conn, err := server.Connect(ctx, v["username"].Reveal(), v["password"].Reveal(), v["database"].Reveal())
				if err != nil {
					return nil, err
				}
				return &providertest.Session{
					Alive: func(ctx context.Context) error { _, err := conn.Exec(ctx, "SELECT 1"); return err },
					Close: func() { _ = conn.Close(context.Background()) },
				}, nil
			},
			Outage:     &providertest.Outage{Stop: server.Stop, Start: server.Start, Pause: server.Pause, Resume: server.Resume},
			WrongRoot:  map[string]any{"password": "not-the-password"},
			Rotation:   rotatingRoot,
			OpenCreate: openCreate,
			Stick:      stick,
		}
	})
}

// openCreate makes a role in a transaction that stays open.
func openCreate(t *testing.T, grant providers.Grant) func(commit bool) {
	conn, err := server.Superuser(t.Context(), postgrestest.Database)
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"BEGIN", `CREATE ROLE "` + string(grant.Name) + `" LOGIN`} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return func(commit bool) {
		end := "ROLLBACK"
		if commit {
			end = "COMMIT"
		}
		if _, err := conn.Exec(t.Context(), end); err != nil {
			t.Error(err)
		}
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// stick grants the role something that the root account cannot take back: the table is the
// superuser's, and so is the grant.
func stick(t *testing.T, name providers.LoginName) func() {
	role := `"` + string(name) + `"`
	server.MustExec(t, postgrestest.Database,
		"CREATE TABLE IF NOT EXISTS private (secret text)",
		"GRANT SELECT ON private TO "+role)
	return func() {
		server.MustExec(t, postgrestest.Database, "REVOKE ALL ON private FROM "+role)
	}
}
