package fsm

import "fmt"

func applyBeginRevoke(t *txn, c *BeginRevoke) (Lease, *Refusal) {
	l, ok := t.Lease(c.ID)
	if !ok {
		return l, notFound("", "lease", string(c.ID))
	}
	if l.State != Pending && l.State != Active {
		return l, nil
	}
	notSent := c.NotSent && l.State == Pending
	l = t.beginEnd(l, c.Cause, c.Reason)
	if notSent {
		l = t.finish(l, Failed)
	}
	return l, nil
}

func applyExpireLeases(t *txn, c *ExpireLeases) ([]Lease, *Refusal) {
	var moved []Lease
	for _, id := range c.IDs {
		if l, ok := t.Lease(id); ok && l.State == Active && t.now() >= l.ExpiresAt {
			moved = append(moved, t.beginEnd(l, CauseExpire, ""))
		}
	}
	return moved, nil
}

func applyRollbackLeases(t *txn, c *RollbackLeases) ([]Lease, *Refusal) {
	var moved []Lease
	for _, id := range c.IDs {
		l, ok := t.Lease(id)
		if !ok || l.State != Pending {
			continue
		}
		switch {
		case l.Term < t.meta.Term:
			moved = append(moved, t.beginEnd(l, CauseRollback, "the leader that was making the login is gone"))
		case t.now() >= l.CreateDeadlineAt:
			moved = append(moved, t.beginEnd(l, CauseRollback, "making the login took too long"))
		}
	}
	return moved, nil
}

func applyFinishRevoke(t *txn, c *FinishRevoke) ([]Lease, *Refusal) {
	var finished []Lease
	for _, r := range c.Removed {
		l, ok := t.Lease(r.ID)
		if !ok || l.State != Revoking {
			continue
		}
		if !l.WasActive() && (!r.Confirmed || t.now() < l.CreateDeadlineAt) {
			continue // absence is not proved: a create may still execute
		}
		finished = append(finished, t.finish(l, endState(l)))
	}
	return finished, nil
}

func applyRecordTrouble(t *txn, c *RecordTrouble) ([]Lease, *Refusal) {
	var troubled []Lease
	for _, f := range c.Failures {
		l, ok := t.Lease(f.ID)
		if !ok || l.State != Revoking {
			continue
		}
		becameStuck := f.Stuck && !l.Stuck
		isNew := l.LastError != f.Error
		l.Attempts++
		l.LastError, l.NextTryAt, l.Stuck = f.Error, f.NextTryAt, f.Stuck
		l = t.putLease(l)
		troubled = append(troubled, l)
		// An error that repeats itself is one event, or history would grow with every try.
		if becameStuck || isNew {
			e := Event{Type: EventLeaseTrouble, Lease: l.ID, Subject: string(l.Secret), Details: map[string]string{
				"error": f.Error, "attempts": fmt.Sprint(l.Attempts), "next_try_at": f.NextTryAt.String(),
			}}
			if becameStuck {
				e.Type = EventLeaseStuck
			}
			t.record(e)
		}
	}
	return troubled, nil
}

func applyRetryLease(t *txn, c *RetryLease) (Lease, *Refusal) {
	l, refusal := t.revokingLease(c.ID)
	if refusal != nil {
		return l, refusal
	}
	return t.retry(l), nil
}

func applyForgetLease(t *txn, c *ForgetLease) (Lease, *Refusal) {
	l, refusal := t.revokingLease(c.ID)
	if refusal != nil {
		return l, refusal
	}
	return t.forget(l, c.Reason), nil
}

func (t *txn) revokingLease(id LeaseID) (Lease, *Refusal) {
	l, ok := t.Lease(id)
	switch {
	case !ok:
		return l, notFound("", "lease", string(id))
	case l.State != Revoking:
		return l, (&Refusal{Code: CodeLeaseNotRevoking, Message: fmt.Sprintf("lease %s is not being revoked: it is %s", id, ended(l))}).
			With("lease_id", string(id)).With("state", string(l.State))
	}
	return l, nil
}

// retry has the next try at a login's removal be now. It stays stuck until that has succeeded.
func (t *txn) retry(l Lease) Lease {
	l.NextTryAt = t.now()
	l = t.putLease(l)
	t.record(Event{Type: EventLeaseRetried, Lease: l.ID, Subject: string(l.Secret)})
	return l
}

// forget ends a revoking lease whose login may still exist. A sweep that finds it takes it for an orphan.
func (t *txn) forget(l Lease, reason string) Lease {
	l.State, l.EndedAt, l.Stuck, l.NextTryAt, l.Forgotten = endState(l), t.now(), false, 0, true
	t.doubt(l.Connection, l.System, t.now())
	l = t.putLease(l)
	t.record(Event{Type: EventLeaseForgotten, Lease: l.ID, Subject: string(l.Secret), Details: map[string]string{
		"reason": reason, "username": l.Username, "connection": string(l.Connection),
	}})
	return l
}

// endState is the state in which a revoking lease ends.
func endState(l Lease) LeaseState {
	switch {
	case !l.WasActive():
		return Failed
	case l.Cause == CauseExpire:
		return Expired
	}
	return Revoked
}

// beginEnd moves a pending or active lease to revoking.
func (t *txn) beginEnd(l Lease, cause Cause, reason string) Lease {
	l.State, l.Cause, l.Reason, l.RevokingAt = Revoking, cause, reason, t.now()
	l = t.putLease(l)
	details := map[string]string{"cause": string(cause)}
	if reason != "" {
		details["reason"] = reason
	}
	t.record(Event{Type: EventLeaseRevoking, Lease: l.ID, Subject: string(l.Secret), Details: details})
	return l
}

// finish records the end of one revoking lease.
func (t *txn) finish(l Lease, state LeaseState) Lease {
	l.State, l.EndedAt, l.Stuck, l.NextTryAt = state, t.now(), false, 0
	l = t.putLease(l)
	e := Event{Type: EventLeaseRevoked, Lease: l.ID, Subject: string(l.Secret)}
	switch state {
	case Expired:
		e.Type = EventLeaseExpired
	case Failed:
		e.Type = EventLeaseFailed
	}
	t.record(e)
	return l
}
