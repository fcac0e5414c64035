package crashtest

import (
	"broker/fsm"
)

// history checks that the events of a lease tell its life without a hole.
func (c *checker) history(l fsm.Lease) {
	var events []fsm.Event
	must(c.w.truth.View(func(v *fsm.View) error { events = v.LeaseEvents(l.ID); return nil }))
	state, renewals := fsm.LeaseState(""), 0
	for i, e := range events {
		if i > 0 && (e.Index < events[i-1].Index || e.At < events[i-1].At) {
			c.fail("A6", "the history of %s is out of order at %s", c.w.name(l.ID), e.Type)
		}
		next, fits := step(state, e.Type)
		if e.Type == fsm.EventLeaseForgotten {
			next, fits = l.State, state == fsm.Revoking && l.Forgotten
		}
		if !fits {
			c.fail("A6", "the history of %s has %s while %q", c.w.name(l.ID), e.Type, state)
		}
		if state = next; e.Type == fsm.EventLeaseRenewed {
			renewals++
		}
	}
	if state != l.State || renewals != l.Renewals {
		c.fail("A6", "%s is %s with %d renewals; its history says %q and %d", c.w.name(l.ID), l.State, l.Renewals, state, renewals)
	}
}

func step(from fsm.LeaseState, e fsm.EventType) (fsm.LeaseState, bool) {
	switch e {
	case fsm.EventLeasePrepared:
		return fsm.Pending, from == ""
	case fsm.EventLeaseAdopted:
		return fsm.Revoking, from == ""
	case fsm.EventLeaseMissing, fsm.EventLeasePresent:
		return from, from == fsm.Active
	case fsm.EventLeaseIssued:
		return fsm.Active, from == fsm.Pending
	case fsm.EventLeaseRenewed:
		return fsm.Active, from == fsm.Active
	case fsm.EventLeaseRevoking:
		return fsm.Revoking, from == fsm.Pending || from == fsm.Active
	case fsm.EventLeaseRevoked:
		return fsm.Revoked, from == fsm.Revoking
	case fsm.EventLeaseExpired:
		return fsm.Expired, from == fsm.Revoking
	case fsm.EventLeaseFailed:
		return fsm.Failed, from == fsm.Revoking
	}
	return from, from == fsm.Revoking // trouble
}
