package postgres

import "broker/providers"

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
