package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"broker/providers"
)

// step is one statement of a create.
type step struct {
	doing string // for errors
	sql   string
	of    int // position of the login that it is for; everybody's have none
}

// everybody stands for all logins of a transaction.
const everybody = -1

const (
	doingCreate   = "creating it"
	doingDeadline = "checking the deadline"
)

// mostTries is how often a login is tried that another transaction is in the way of.
const mostTries = 6

// createShared makes the logins in one transaction. When the server refuses one of them, the others are
// tried again without it: its statements end the transaction for all, and certainly. There are no
// savepoints, which would cost every login two statements more for what happens to few. Nobody waits for
// a lock while others wait behind: Create tries those again alone.
func (b *backend) createShared(ctx context.Context, conn *pgx.Conn, batch []ticket[*creation]) {
	b.createTogether(ctx, conn, batch, hasty(b.settings.lockTimeout()))
}

// createAlone makes one login, and tries again when another transaction is in its way.
func (b *backend) createAlone(ctx context.Context, conn *pgx.Conn, batch []ticket[*creation]) {
	for tries := 1; ; tries++ {
		b.createTogether(ctx, conn, batch[:1], b.settings.lockTimeout())
		if !inTheWay(batch[0].outcome) || tries == mostTries || ctx.Err() != nil || conn.IsClosed() {
			return
		}
		batch[0].job.sent = true
		pause(ctx, tries)
	}
}

// createTogether answers each of the batch. Nobody waits longer than that for a lock.
func (b *backend) createTogether(ctx context.Context, conn *pgx.Conn, batch []ticket[*creation], wait time.Duration) {
	if len(batch) == 0 {
		return
	}
	steps, failed, err := b.createSteps(conn, batch, wait)
	if err != nil {
		batch[failed].answer(&providers.Error{Kind: providers.KindRejected, NotSent: !batch[failed].job.sent, Err: err})
		b.createTogether(ctx, conn, slices.Concat(batch[:failed], batch[failed+1:]), wait)
		return
	}
	statements := make([]string, len(steps))
	for i, s := range steps {
		statements[i] = s.sql
	}
	done, err := pipeline(ctx, conn, statements...)
	if err == nil {
		for _, t := range batch {
			t.answer(nil)
		}
		return
	}
	rollback(conn)
	at := steps[min(done, len(steps)-1)]
	var pgErr *pgconn.PgError
	if at.of == everybody || !errors.As(err, &pgErr) || conn.IsClosed() {
		for _, t := range batch {
			t.answer(createError(t.job, at, err))
		}
		return
	}
	refused, others := batch[at.of:at.of+1], slices.Concat(batch[:at.of], batch[at.of+1:])
	if at.doing == doingDeadline && hasCode(err, codeDivisionByZero) {
		// The checks stand in the order of the deadlines, the latest first: with this one the earlier
		// ones have passed too.
		deadline := batch[at.of].job.grant.Deadline
		refused, others = nil, nil
		for _, t := range batch {
			if t.job.grant.Deadline.After(deadline) {
				others = append(others, t)
			} else {
				refused = append(refused, t)
			}
		}
	}
	for _, t := range refused {
		t.answer(createError(t.job, at, err))
	}
	for _, t := range others {
		t.job.sent = true
	}
	b.createTogether(ctx, conn, others, wait)
}

// inTheWay reports whether nothing is wrong but that another transaction changed the same at the same
// time, such as the privileges of one table.
func inTheWay(err error) bool {
	var pgErr *pgconn.PgError
	return hasCode(err, codeDeadlock, codeSerialization) ||
		hasCode(err, codeCatalogConcurrent) && errors.As(err, &pgErr) && strings.HasPrefix(pgErr.Message, "tuple concurrently")
}

// pause waits before another try, longer each time and never as long as whoever collided.
func pause(ctx context.Context, tries int) {
	longest := 5 * time.Millisecond << tries
	select {
	case <-time.After(longest/4 + rand.N(longest)):
	case <-ctx.Done():
	}
}

func createError(c *creation, failed step, err error) error {
	name := c.grant.Name
	doing := fmt.Sprintf("creating role %q: %s", string(name), failed.doing)
	switch {
	case errors.Is(err, errNotSent):
		return &providers.Error{Kind: providers.KindUnavailable, NotSent: !c.sent, Err: fmt.Errorf("%s: %w", doing, err)}
	case failed.sql == "COMMIT":
		return commitError(fmt.Errorf("creating role %q: %w", string(name), err))
	case failed.doing == doingCreate && hasCode(err, codeDuplicateObject, codeUniqueViolation):
		return providers.Errorf(providers.KindExists, "creating role %q: a role of that name exists", string(name))
	case failed.doing == doingDeadline && hasCode(err, codeDivisionByZero):
		return providers.Errorf(providers.KindRejected, "creating role %q: its deadline has passed by the server's clock", string(name))
	}
	return statementError(doing, err)
}

// createSteps returns the statements that make the logins, or which of them has none that could be sent.
// What is dear comes first. From PostgreSQL 16 a GRANT locks the group until COMMIT, so that these come
// last and in the order of the groups, which no other transaction meets in another order. The deadlines
// are checked when all else is done, the earliest as the last.
func (b *backend) createSteps(conn *pgx.Conn, batch []ticket[*creation], wait time.Duration) (steps []step, failed int, err error) {
	var roles, comments, memberships, own, checks []step
	latest := batch[0].job.grant.Deadline
	for i, t := range batch {
		grant := t.job.grant
		refuse := func(err error) ([]step, int, error) {
			return nil, i, fmt.Errorf("creating role %q: %w", string(grant.Name), err)
		}
		name := quoteName(string(grant.Name))
		verifier, err := quoteLiteral(conn, t.job.verifier)
		if err != nil {
			return refuse(err)
		}
		comment, err := quoteLiteral(conn, roleComment(b.env.ClusterID, grant.LeaseID))
		if err != nil {
			return refuse(err)
		}
		expiration := quoteTime(nativeExpiry(grant.Login))
		options := grant.Options
		roles = append(roles, step{doingCreate, createRole(name, connectionLimit(options), verifier, expiration), i})
		comments = append(comments, step{"commenting on it", commentOn(name, comment), i})
		for _, group := range sortedUnique(options.List(optionMemberOf)) {
			memberships = append(memberships, step{fmt.Sprintf("making it a member of %q", group), grantMembership(group, name), i})
		}
		rendered, err := renderAll(options.List(optionCreationStatements), creationPlaceholders, map[string]string{
			placeholderName: name, placeholderPassword: verifier, placeholderExpiration: expiration,
		})
		if err != nil {
			return refuse(fmt.Errorf("creation_statements: %w", err))
		}
		for n, sql := range rendered {
			own = append(own, step{fmt.Sprintf("running creation statement %d", n+1), sql, i})
		}
		checks = append(checks, step{doingDeadline, "SELECT 1 / (clock_timestamp() <= " + quoteTime(grant.Deadline) + "::timestamptz)::int", i})
		if grant.Deadline.After(latest) {
			latest = grant.Deadline
		}
	}
	// Each begins with GRANT and the quoted group, so that sorting the texts sorts the groups.
	slices.SortStableFunc(memberships, func(x, y step) int { return strings.Compare(x.sql, y.sql) })
	slices.SortStableFunc(checks, func(x, y step) int {
		return batch[y.of].job.grant.Deadline.Compare(batch[x.of].job.grant.Deadline)
	})
	// No statement may outlast the deadline by more than itself: the check at the end is what holds,
	// this ends what would fail there anyway.
	remaining := min(max(time.Until(latest), time.Second), b.settings.statementTimeout)
	setting := func(name string, d time.Duration) string {
		return fmt.Sprintf("set_config('%s', '%d', true)", name, max(d.Milliseconds(), 1))
	}
	limits := "SELECT " + setting("statement_timeout", remaining) + ", " + setting("idle_in_transaction_session_timeout", remaining) +
		", " + setting("lock_timeout", min(wait, remaining))
	return slices.Concat([]step{
		{"beginning", begin, everybody},
		{"setting limits", limits, everybody},
	}, roles, comments, memberships, own, checks, []step{{"committing", "COMMIT", everybody}}), 0, nil
}
