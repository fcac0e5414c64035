package e2e

import (
	"context"
	"testing"

	"broker/providers/postgres/postgrestest"
)

// foreigners starts the systems.
func foreigners(t *testing.T) []*foreign {
	return []*foreign{foreignPostgres(t)}
}

func foreignPostgres(t *testing.T) *foreign {
	server := postgrestest.Start(t)
	return &foreign{
		name: "postgres", provider: "postgres",
		connection: map[string]any{
			"host": postgrestest.Host, "port": server.Port, "database": postgrestest.Database,
			"username": postgrestest.RootName, "password": server.MustPrepare(t),
		},
		options: map[string]any{"member_of": postgrestest.ReadRole},
		logIn: func(ctx context.Context, values map[string]string) error {
			return server.LogIn(ctx, values["username"], values["password"], values["database"])
		},
		logins: func(ctx context.Context, prefix string) (names []string, err error) {
			conn, err := server.Superuser(ctx, postgrestest.Database)
			if err != nil {
				return nil, err
			}
			defer conn.Close(ctx)
			err = conn.QueryRow(ctx, "SELECT array_agg(rolname) FROM pg_roles WHERE starts_with(rolname, $1)", prefix).Scan(&names)
			return names, err
		},
	}
}
