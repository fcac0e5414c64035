package mysql

import (
	"context"
	"database/sql"
	"fmt"

	"broker/providers"
)

// LogIn logs in with a lease's values, at its database, and out again.
func (b *backend) LogIn(ctx context.Context, values providers.Values) error {
	ctx, cancel := b.bound(ctx, 1)
	defer cancel()
	return b.logIn(ctx, values["username"].Reveal(), values["password"], values["database"].Reveal())
}

func (b *backend) logIn(ctx context.Context, username string, password providers.Secret, database string) error {
	connector, err := b.connector(username, password, database)
	if err != nil {
		return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: err}
	}
	pool := sql.OpenDB(connector)
	defer pool.Close()
	if err := pool.PingContext(ctx); err != nil {
		e := b.connectError(username, err)
		e.Err = fmt.Errorf("logging in: %w", e.Err)
		return e
	}
	return nil
}
