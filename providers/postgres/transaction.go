package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

// readOnly marks connections of a Backend that may only look. The server refuses changes there, since no
// transaction asks to write.
const readOnly = "read only"

// errNotSent is returned when a connection was unusable before anything was sent over it.
var errNotSent = errors.New("not sent")

// pipeline sends the statements in one round trip and returns how many succeeded before the first
// error; those after it were skipped. Each is one statement, since they go over as such and not as
// a script. With all of them at the server at once, a transaction does not stay open because its
// client paused.
//
// An error that is errNotSent, and no other, says that nothing left the process.
func pipeline(ctx context.Context, conn *pgx.Conn, statements ...string) (done int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("%w: %w", errNotSent, err)
	}
	if conn.IsClosed() {
		return 0, fmt.Errorf("%w: connection lost", errNotSent)
	}
	batch := &pgconn.Batch{}
	for _, sql := range statements {
		if sql == begin && conn.PgConn().CustomData()[readOnly] == true {
			sql = "BEGIN ISOLATION LEVEL READ COMMITTED"
		}
		batch.ExecParams(sql, nil, nil, nil, nil)
	}
	results := conn.PgConn().ExecBatch(ctx, batch)
	for results.NextResult() {
		if _, err := results.ResultReader().Close(); err == nil {
			done++
		}
	}
	if err := results.Close(); err != nil {
		if errors.Is(err, pgconn.ErrConnClosed) {
			// The driver found the connection closed when it read on, after having sent.
			err = errors.New("connection lost")
		}
		return done, err
	}
	return done, nil
}

// rollback leaves the connection without a transaction, or leaves it to the pool to close it.
func rollback(conn *pgx.Conn) {
	if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return
	}
	// Not the call's context: it may be what ended the transaction.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = pipeline(ctx, conn, "ROLLBACK") // a failure shows in TxStatus, and the pool looks at that
}

// quoteName quotes an identifier.
func quoteName(name string) string { return pgx.Identifier{name}.Sanitize() }

// quoteLiteral quotes a string.
func quoteLiteral(conn *pgx.Conn, value string) (string, error) {
	escaped, err := conn.PgConn().EscapeString(value)
	if err != nil {
		return "", fmt.Errorf("quoting a literal: %w", err)
	}
	return "'" + escaped + "'", nil
}

// quoteTime writes an instant as a literal that needs no quoting and no time zone setting. It is cut
// to microseconds, which is all the server keeps.
func quoteTime(t time.Time) string {
	return "'" + t.UTC().Truncate(time.Microsecond).Format("2006-01-02 15:04:05.000000+00") + "'"
}
