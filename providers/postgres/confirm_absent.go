package postgres

import (
	"context"
	"fmt"
	"time"

	"broker/providers"
)

// ConfirmAbsent claims each name: it makes a role without log-in and drops it in the same
// transaction. The unique index on role names makes that wait for a create of the name that is still
// open, which no look at the catalogue would see. A wait that outlasts lock_timeout leaves the
// answer unknown.
func (b *backend) ConfirmAbsent(ctx context.Context, logins []providers.Login, notBefore time.Time) map[providers.LoginName]error {
	ctx, cancel := b.bound(ctx, 8)
	defer cancel()
	todo, answers := b.sorted(logins)
	conn, err := b.acquire(ctx)
	if err != nil {
		failAll(answers, namesOf(todo), err)
		return answers
	}
	defer conn.Release()
	jobs := make([]job, len(todo))
	for i, login := range todo {
		name := quoteName(string(login.Name))
		jobs[i] = job{name: login.Name, statements: []string{"CREATE ROLE " + name + " NOLOGIN", "DROP ROLE " + name}}
	}
	claim := batch{
		doing: "confirming that role %q is absent",
		first: []string{"SELECT 1 / (clock_timestamp() > " + quoteTime(notBefore) + "::timestamptz)::int"},
		classify: func(doing string, err error) *providers.Error {
			switch {
			case hasCode(err, codeDivisionByZero):
				return providers.Errorf(providers.KindTooEarly, "%s: by the server's clock a create may still come", doing)
			case hasCode(err, codeDuplicateObject, codeUniqueViolation):
				return providers.Errorf(providers.KindExists, "%s: it exists", doing)
			case hasCode(err, codeLockNotAvailable, codeQueryCanceled, codeDeadlock):
				return &providers.Error{Kind: providers.KindUnknown, Err: fmt.Errorf("%s: a create of that name is under way: %w", doing, err)}
			}
			return statementError(doing, err)
		},
	}
	for name, err := range claim.run(ctx, conn.Conn(), jobs, b.settings.lockTimeout()) {
		answers[name] = err
	}
	return answers
}
