package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"broker/providers"
)

// maxBatch is how many logins share a transaction. Each holds a few locks until its end.
const maxBatch = 100

// job is what is to be done for one login.
type job struct {
	name       providers.LoginName
	statements []string
	row        string // what batch.guard needs to know of it
}

// batch does jobs in transactions of their own or shared ones. What has succeeded is committed before
// others are waited for: neither a failure nor the end of the call takes it back.
type batch struct {
	doing    string                                         // a gerund phrase for errors, with one %q for the login
	first    []string                                       // statements at the begin of each transaction
	classify func(doing string, err error) *providers.Error // nil means statementError
	apart    bool                                           // each job by itself: one may take long, or hold many locks
	guard    func(jobs []job) string                        // a statement before the jobs' that divides by zero when one of them must not be done
}

// run returns an answer for every job; nil means committed. Jobs are sorted by name. Those that find
// a lock taken are tried again when the others are done, and then wait for it.
func (b batch) run(ctx context.Context, conn *pgx.Conn, jobs []job, wait time.Duration) map[providers.LoginName]error {
	answers := b.pass(ctx, conn, jobs, hasty(wait))
	b.again(ctx, conn, jobs, answers, wait)
	return answers
}

// again tries those of the jobs once more that found a lock taken.
func (b batch) again(ctx context.Context, conn *pgx.Conn, jobs []job, answers map[providers.LoginName]error, wait time.Duration) {
	insist(ctx, wait, answers, foundLocked, func(name providers.LoginName) {
		for _, j := range jobs {
			if j.name == name && !conn.IsClosed() {
				b.attempt(ctx, conn, []job{j}, answers, patience(ctx, wait, 1))
			}
		}
	})
}

// foundLocked reports whether a login's answer is that somebody else held a lock.
func foundLocked(err error) bool { return hasCode(err, codeLockNotAvailable, codeDeadlock) }

// hasty is how long a login may wait for a lock while others wait for it.
func hasty(wait time.Duration) time.Duration { return max(wait/50, time.Millisecond) }

// insist has those tried again that found a lock taken, or failed in another way that another try may
// mend. It takes them one by one, so that they hold
// no lock while they wait but their own, and in no particular order, so that one whose lock is never
// free does not use up the time of the same others each time. It spends about one wait in all, since
// whoever calls has more logins, and begins nothing that less than a wait is left for.
func insist(ctx context.Context, wait time.Duration, answers map[providers.LoginName]error, mendable func(error) bool, again func(providers.LoginName)) {
	var blocked []providers.LoginName
	for name, err := range answers {
		if mendable(err) {
			blocked = append(blocked, name)
		}
	}
	rand.Shuffle(len(blocked), func(i, j int) { blocked[i], blocked[j] = blocked[j], blocked[i] })
	begun := time.Now()
	for _, name := range blocked {
		if end, limited := ctx.Deadline(); time.Since(begun) >= wait || limited && time.Until(end) < wait {
			return
		}
		again(name)
	}
}

// patience is how long one of n jobs may wait for a lock: at the most half of what is left of the call
// goes to waiting, so that there is time to do something and to say how it ended.
func patience(ctx context.Context, wait time.Duration, n int) time.Duration {
	if end, limited := ctx.Deadline(); limited {
		wait = min(wait, time.Until(end)/time.Duration(2*max(n, 1)))
	}
	return max(wait, time.Millisecond) // zero would be for ever
}

// pass tries every job once. Each waits at most that long for a lock.
func (b batch) pass(ctx context.Context, conn *pgx.Conn, jobs []job, wait time.Duration) map[providers.LoginName]error {
	answers := make(map[providers.LoginName]error, len(jobs))
	wait = patience(ctx, wait, len(jobs))
	most := maxBatch
	if b.apart {
		most = 1
	}
	for len(jobs) > 0 {
		n := min(len(jobs), most)
		b.attempt(ctx, conn, jobs[:n], answers, wait)
		jobs = jobs[n:]
	}
	return answers
}

// attempt does the jobs in one transaction. When one of them fails, those before it are done again
// without it and those after it next, so that each failure costs one wait and one repetition.
func (b batch) attempt(ctx context.Context, conn *pgx.Conn, jobs []job, answers map[providers.LoginName]error, wait time.Duration) {
	if len(jobs) == 0 {
		return
	}
	statements := []string{begin, "SET LOCAL lock_timeout = " + strconv.FormatInt(max(wait.Milliseconds(), 1), 10)}
	statements = append(statements, b.first...)
	heading := len(statements)
	if b.guard != nil {
		statements = append(statements, b.guard(jobs))
		heading++
	}
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
	if b.guard != nil && done == heading-1 && hasCode(err, codeDivisionByZero) && len(jobs) > 1 {
		// Which of them it is shows when there is one left.
		half := len(jobs) / 2
		b.attempt(ctx, conn, jobs[:half], answers, wait)
		b.attempt(ctx, conn, jobs[half:], answers, wait)
		return
	}
	if done < heading || !errors.As(err, &pgErr) || conn.IsClosed() {
		for _, j := range jobs {
			answers[j.name] = b.fail(j.name, err)
		}
		return
	}
	failed, end := 0, heading+len(jobs[0].statements)
	for done >= end {
		failed++
		end += len(jobs[failed].statements)
	}
	answers[jobs[failed].name] = b.fail(jobs[failed].name, err)
	b.attempt(ctx, conn, jobs[:failed], answers, wait)
	b.attempt(ctx, conn, jobs[failed+1:], answers, wait)
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
			answers[j.name] = &providers.Error{Kind: err.Kind, NotSent: err.NotSent, Blocked: err.Blocked, Hint: err.Hint,
				Err: fmt.Errorf("%s: %w", fmt.Sprintf(b.doing, string(j.name)), err)}
		}
	}
}
