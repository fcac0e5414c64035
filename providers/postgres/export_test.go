package postgres

import (
	"context"
	"time"

	"broker/providers"
)

// ReachSQL is the query that follows memberships.
const ReachSQL = reachSQL

// Share changes how creates and renewals share transactions; most 1 gives each one of its own.
func Share(of providers.Backend, lanes, most int) {
	b := of.(*backend)
	b.sharedCreates.lanes, b.sharedCreates.most = lanes, most
	b.loneCreates.lanes, b.loneCreates.most = lanes, most
	b.loneCreates.run = b.createShared
	b.renewals.lanes, b.renewals.most = lanes, most
}

// Waiting returns how many creates and calls of Renew wait for company.
func Waiting(of providers.Backend) int {
	b := of.(*backend)
	b.sharedCreates.mu.Lock()
	defer b.sharedCreates.mu.Unlock()
	b.renewals.mu.Lock()
	defer b.renewals.mu.Unlock()
	return len(b.sharedCreates.waiting) + len(b.renewals.waiting)
}

// LateRenewals looks at the roles as Renew does, and returns what does the rest.
func LateRenewals(ctx context.Context, of providers.Backend, logins ...providers.Login) (finish func() map[providers.LoginName]error, err error) {
	conn, err := of.(*backend).acquire(ctx)
	if err != nil {
		return nil, err
	}
	jobs, err := renewJobs(ctx, conn.Conn(), logins, map[providers.LoginName]error{})
	if err != nil {
		conn.Release()
		return nil, err
	}
	return func() map[providers.LoginName]error {
		defer conn.Release()
		answers := batch{doing: "renewing role %q", guard: notOvertaken}.run(ctx, conn.Conn(), jobs, time.Second)
		forgiveOvertaken(answers)
		return answers
	}, nil
}
