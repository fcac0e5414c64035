package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"broker/providers"
)

// LogIn logs in as the role of a lease, at the server that is meant: the root account makes sure of that first, since at
// another server every log-in is refused.
func (b *backend) LogIn(ctx context.Context, values providers.Values) error {
	ctx, cancel := b.bound(ctx, 2)
	defer cancel()
	if conn, err := b.acquire(ctx); err != nil {
		return err
	} else {
		conn.Release()
	}
	username, database := values["username"].Reveal(), values["database"].Reveal()
	config, err := b.connConfig(database)
	if err != nil {
		return b.connectError(err)
	}
	config.User, config.Password = username, values["password"].Reveal()
	// Not the cluster's own name: that stands for sessions of the root account.
	config.RuntimeParams = map[string]string{"application_name": "broker test", "client_encoding": "UTF8"}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return b.logInError(username, database, err)
	}
	closeQuietly(conn)
	return nil
}

// logInError classifies a log-in that failed. What a server says to whom it does not let in is an answer; anything else
// may be otherwise the next time.
func (b *backend) logInError(username, database string, err error) error {
	e := &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("logging in to database %q of PostgreSQL at %s as %q: %w", database, b.address(), username, err)}
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return e
	}
	e.Err = fmt.Errorf("logging in to database %q of PostgreSQL at %s as %q: %s", database, b.address(), username, serverText(pgErr))
	switch pgErr.Code {
	case codeInvalidPassword, codeInvalidAuth:
		e.Kind = providers.KindRejected
		e.Hint = "If the login exists, pg_hba.conf of the server has no line that lets it in from the broker's address with a SCRAM password."
	case codePrivilege:
		e.Kind = providers.KindRejected
		e.Hint = fmt.Sprintf("Leased users need CONNECT on the database: GRANT CONNECT ON DATABASE %s TO a role in member_of.", quoteName(database))
	case codeNoDatabase:
		e.Kind = providers.KindRejected
		e.Hint = "Check the connection's database."
	case codeTooManySessions:
		e.Hint = "The server has no session left, or the secret's connection_limit allows none."
	}
	return e
}
