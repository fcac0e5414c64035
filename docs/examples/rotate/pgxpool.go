package rotate

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A Source holds the credential of the moment; [broker/api/client.Keeper] is one.
type Source interface {
	// Value returns the value of one of the secret's keys.
	Value(key string) string
}

// Pool opens a pgx pool on a database, given as a URL without credentials. Queries take no longer than the overlap.
func Pool(ctx context.Context, url string, source Source) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("reading the URL of the database: %w", err)
	}
	config.BeforeConnect = func(_ context.Context, connection *pgx.ConnConfig) error {
		logIn(connection, source)
		return nil
	}
	config.PrepareConn = func(_ context.Context, connection *pgx.Conn) (bool, error) {
		return connection.Config().User == source.Value("DB_USER"), nil
	}
	return pgxpool.NewWithConfig(ctx, config)
}

func logIn(connection *pgx.ConnConfig, source Source) {
	connection.User, connection.Password = source.Value("DB_USER"), source.Value("DB_PASSWORD")
}
