package postgres

import (
	"context"
	"fmt"
	"time"

	"broker/providers"
)

// Renew moves VALID UNTIL, and only to a later instant. Nothing else of the role is touched, so a
// role whose log-ins a revoke has stopped stays stopped.
func (b *backend) Renew(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	ctx, cancel := b.bound(ctx, 8)
	defer cancel()
	todo, answers := b.sorted(logins)
	conn, err := b.acquire(ctx)
	if err != nil {
		failAll(answers, namesOf(todo), err)
		return answers
	}
	defer conn.Release()
	roles, err := lookUp(ctx, conn.Conn(), namesOf(todo))
	if err != nil {
		failAll(answers, namesOf(todo), err)
		return answers
	}
	var jobs []job
	for _, login := range todo {
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
			jobs = append(jobs, job{login.Name, []string{fmt.Sprintf("ALTER ROLE %s VALID UNTIL %s", quoteName(string(login.Name)), quoteTime(until))}})
		}
	}
	for name, err := range (batch{doing: "renewing role %q"}).run(ctx, conn.Conn(), jobs, b.settings.lockTimeout()) {
		answers[name] = err
	}
	return answers
}
