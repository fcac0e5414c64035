package rotate

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// DB opens a database/sql pool on a database, given as a URL without credentials. Queries take no longer than the overlap.
//
// With a driver that cannot tell by which login a connection was made, have connections be used for less than half of
// the overlap (SetConnMaxLifetime), and queries take less than the other half.
func DB(url string, source Source) (*sql.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("reading the URL of the database: %w", err)
	}
	return stdlib.OpenDB(*config,
		stdlib.OptionBeforeConnect(func(_ context.Context, connection *pgx.ConnConfig) error {
			logIn(connection, source)
			return nil
		}),
		stdlib.OptionResetSession(func(_ context.Context, connection *pgx.Conn) error {
			if connection.Config().User != source.Value("DB_USER") {
				return driver.ErrBadConn // the pool takes another
			}
			return nil
		}),
	), nil
}
