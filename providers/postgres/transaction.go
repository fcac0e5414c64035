package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"broker/providers"
)

const begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

// maxBatch is how many logins share a transaction. Each holds a few locks until its end.
const maxBatch = 100

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

// job is what is to be done for one login.
type job struct {
	name       providers.LoginName
	statements []string
}

// batch does jobs in shared transactions: all or nothing first and, when one fails, each behind a
// savepoint, so that it fails only itself.
type batch struct {
	doing    string                                         // a gerund phrase for errors, with one %q for the login
	first    []string                                       // statements at the begin of each transaction
	classify func(doing string, err error) *providers.Error // nil means statementError
}

// run returns an answer for every job; nil means committed. Jobs are sorted by name.
func (b batch) run(ctx context.Context, conn *pgx.Conn, jobs []job) map[providers.LoginName]error {
	answers := make(map[providers.LoginName]error, len(jobs))
	for len(jobs) > 0 {
		n := min(len(jobs), maxBatch)
		b.runChunk(ctx, conn, jobs[:n], answers)
		jobs = jobs[n:]
	}
	return answers
}

func (b batch) runChunk(ctx context.Context, conn *pgx.Conn, jobs []job, answers map[providers.LoginName]error) {
	statements := append([]string{begin}, b.first...)
	for _, j := range jobs {
		statements = append(statements, j.statements...)
	}
	statements = append(statements, "COMMIT")
	done, err := pipeline(ctx, conn, statements...)
	switch {
	case err == nil:
		for _, j := range jobs {
			answers[j.name] = nil
		}
		return
	case done == len(statements)-1:
		b.answerAll(answers, jobs, commitError(err))
		return
	}
	rollback(conn)
	var pgErr *pgconn.PgError
	if done <= len(b.first) || len(jobs) == 1 || !errors.As(err, &pgErr) || conn.IsClosed() {
		for _, j := range jobs {
			answers[j.name] = b.fail(j.name, err)
		}
		return
	}
	b.runWithSavepoints(ctx, conn, jobs, answers)
}

func (b batch) runWithSavepoints(ctx context.Context, conn *pgx.Conn, jobs []job, answers map[providers.LoginName]error) {
	defer rollback(conn)
	if _, err := pipeline(ctx, conn, append([]string{begin}, b.first...)...); err != nil {
		for _, j := range jobs {
			answers[j.name] = b.fail(j.name, err)
		}
		return
	}
	var succeeded []job
	for _, j := range jobs {
		statements := append([]string{"SAVEPOINT login"}, j.statements...)
		_, err := pipeline(ctx, conn, append(statements, "RELEASE SAVEPOINT login")...)
		if err == nil {
			succeeded = append(succeeded, j)
			continue
		}
		answers[j.name] = b.fail(j.name, err)
		if conn.IsClosed() {
			break
		}
		if _, err := pipeline(ctx, conn, "ROLLBACK TO SAVEPOINT login", "RELEASE SAVEPOINT login"); err != nil {
			break
		}
	}
	if conn.IsClosed() {
		// Without its COMMIT none of it happened, but then the same is said of the login whose
		// statement was lost, and the caller asks again for either.
		b.answerAll(answers, jobs, providers.Errorf(providers.KindUnknown, "connection lost"))
		return
	}
	if _, err := pipeline(ctx, conn, "COMMIT"); err != nil {
		b.answerAll(answers, succeeded, commitError(err))
		return
	}
	for _, j := range succeeded {
		answers[j.name] = nil
	}
}

func (b batch) fail(name providers.LoginName, err error) error {
	doing := fmt.Sprintf(b.doing, string(name))
	if b.classify != nil {
		return b.classify(doing, err)
	}
	return statementError(doing, err)
}

// answerAll gives the error to those of the jobs that have none yet.
func (b batch) answerAll(answers map[providers.LoginName]error, jobs []job, err *providers.Error) {
	for _, j := range jobs {
		if answers[j.name] == nil {
			answers[j.name] = &providers.Error{Kind: err.Kind, NotSent: err.NotSent, Hint: err.Hint,
				Err: fmt.Errorf("%s: %w", fmt.Sprintf(b.doing, string(j.name)), err)}
		}
	}
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
