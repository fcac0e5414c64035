package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"broker/providers"
)

// renewal is one call of Renew.
type renewal struct {
	logins  []providers.Login
	answers map[providers.LoginName]error // complete when the call is answered with nil
}

// Renew moves VALID UNTIL, and only to a later instant. Nothing else of the role is touched, so a
// role whose log-ins a revoke has stopped stays stopped. Calls share transactions when there are many.
func (b *backend) Renew(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	ctx, cancel := b.bound(ctx, 8)
	defer cancel()
	todo, answers := b.sorted(logins)
	if len(todo) == 0 {
		return answers
	}
	ordered := &renewal{logins: todo, answers: map[providers.LoginName]error{}}
	if err := b.renewals.do(ctx, ordered); err != nil {
		failAll(answers, namesOf(todo), err)
		return answers
	}
	maps.Copy(answers, ordered.answers)
	return answers
}

// renewAll serves the calls together. Those whose roles somebody has locked wait for it last, when the
// others have their answers.
func (b *backend) renewAll(ctx context.Context, conn *pgx.Conn, calls []ticket[*renewal]) {
	var todo []providers.Login
	for _, call := range calls {
		todo = append(todo, call.job.logins...)
	}
	// Of two calls for one login, the later end is what both ask for or more.
	slices.SortStableFunc(todo, func(x, y providers.Login) int {
		if x.Name != y.Name {
			return strings.Compare(string(x.Name), string(y.Name))
		}
		return nativeExpiry(y).Compare(nativeExpiry(x))
	})
	todo = slices.CompactFunc(todo, func(x, y providers.Login) bool { return x.Name == y.Name })
	answers := make(map[providers.LoginName]error, len(todo))
	jobs, err := renewJobs(ctx, conn, todo, answers)
	if err != nil {
		for _, call := range calls {
			call.answer(err)
		}
		return
	}
	wait := b.settings.lockTimeout()
	renewing := batch{doing: "renewing role %q", guard: notOvertaken}
	maps.Copy(answers, renewing.pass(ctx, conn, jobs, hasty(wait)))
	forgiveOvertaken(answers)
	blocked := slices.DeleteFunc(slices.Clone(calls), func(call ticket[*renewal]) bool {
		for _, login := range call.job.logins {
			if foundLocked(answers[login.Name]) {
				return false
			}
		}
		give(call, answers)
		return true
	})
	if len(blocked) > 0 {
		for _, call := range calls {
			if !slices.Contains(blocked, call) {
				call.hand()
			}
		}
		renewing.again(ctx, conn, jobs, answers, wait)
		forgiveOvertaken(answers)
	}
	for _, call := range blocked {
		give(call, answers)
	}
}

// notOvertaken fails when the end of one of the roles has been moved further than its job would. The jobs
// may run long after somebody has looked at the roles: the call was given up while it waited for a lock, or
// this process stood still, and another renewal came first.
func notOvertaken(jobs []job) string {
	rows := make([]string, len(jobs))
	for i, j := range jobs {
		rows[i] = j.row
	}
	return "SELECT 1 / (NOT EXISTS (SELECT FROM (VALUES " + strings.Join(rows, ", ") +
		") AS j (name, until) JOIN pg_roles r ON r.rolname = j.name::name WHERE r.rolvaliduntil > j.until::timestamptz))::int"
}

// forgiveOvertaken takes those for done whose end another call has moved further meanwhile.
func forgiveOvertaken(answers map[providers.LoginName]error) {
	for name, err := range answers {
		if hasCode(err, codeDivisionByZero) {
			answers[name] = nil
		}
	}
}

// give answers a call for its logins.
func give(call ticket[*renewal], answers map[providers.LoginName]error) {
	for _, login := range call.job.logins {
		if err, answered := answers[login.Name]; answered {
			call.job.answers[login.Name] = err
		}
	}
	call.answer(nil)
}

// renewJobs returns what there is to do, and answers for those of which there is nothing.
func renewJobs(ctx context.Context, conn *pgx.Conn, logins []providers.Login, answers map[providers.LoginName]error) ([]job, error) {
	roles, err := lookUp(ctx, conn, namesOf(logins))
	if err != nil {
		return nil, err
	}
	var jobs []job
	for _, login := range logins {
		r, exists := roles[login.Name]
		until := nativeExpiry(login).Truncate(time.Microsecond)
		switch {
		case !exists:
			answers[login.Name] = providers.Errorf(providers.KindRejected, "renewing role %q: it does not exist", string(login.Name))
		case !r.canLogin:
			answers[login.Name] = providers.Errorf(providers.KindRejected, "renewing role %q: its log-ins are stopped, it is being revoked", string(login.Name))
		case r.validUntil == nil || !until.After(*r.validUntil):
			// No VALID UNTIL is for ever: setting one would shorten.
			answers[login.Name] = nil
		default:
			name, err := quoteLiteral(conn, string(login.Name))
			if err != nil {
				return nil, err
			}
			jobs = append(jobs, job{
				name:       login.Name,
				statements: []string{fmt.Sprintf("ALTER ROLE %s VALID UNTIL %s", quoteName(string(login.Name)), quoteTime(until))},
				row:        fmt.Sprintf("(%s, %s)", name, quoteTime(until)),
			})
		}
	}
	return jobs, nil
}
