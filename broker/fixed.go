package broker

import (
	"fmt"
	"time"

	"broker/fsm"
	"broker/providers"
)

// longestLife is how long a lease may live with all renewals: no longer than at first where the end of a credential is
// fixed as it is made. Zero: as long as its secret says.
func longestLife(kind providers.Provider, ttl, longest time.Duration) time.Duration {
	if kind.Describe().Fixed && (longest == 0 || ttl < longest) {
		return ttl
	}
	return longest
}

// renewable refuses to renew a lease whose credential's end is fixed. What the provider is, is the same on every node: it
// is the lease's own system that tells, not what its connection points at now.
func (p *period) renewable(lease fsm.Lease) error {
	of := systemOf(lease)
	record, found, err := recall(p.Broker, of, func(v *fsm.View) (fsm.System, bool) { return v.System(of.connection, of.number) })
	if err != nil || !found {
		return err // who calls the system tells what is wrong
	}
	kind, ok := p.Providers.Get(record.Provider)
	if !ok || !kind.Describe().Fixed {
		return nil
	}
	return (&fsm.Refusal{
		Code: CodeNotRenewable, Message: fmt.Sprintf("lease %s cannot be renewed: the end of what %s makes is fixed as it is made", lease.ID, kind.Describe().Title),
	}).With("hint", "issue a new lease before this one ends, with the TTL that is needed")
}
