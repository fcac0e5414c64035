package broker

import (
	"context"
	"errors"
	"time"

	"broker/fsm"
)

// Revoke begins the end of a lease and waits a few seconds for it. The lease it returns is still
// revoking when the login is not gone by then: the work goes on by itself. Revoking what has ended
// returns the lease as it is. Errors as for Issue.
func (b *Broker) Revoke(ctx context.Context, req Request, spec RevokeSpec) (lease fsm.Lease, err error) {
	defer func(began time.Time) { b.revokeAsked(lease, req, err, began) }(time.Now())
	p, work, leave, err := b.enter(ctx)
	if err != nil {
		return fsm.Lease{}, err
	}
	defer leave()
	lease, err = p.beginRevoke(work, req, &fsm.BeginRevoke{ID: spec.Lease, Cause: fsm.CauseRevoke, Reason: spec.Reason})
	if err != nil || req.DryRun || lease.State != fsm.Revoking {
		return lease, err
	}
	p.drive(lease)
	wait, stop := p.waiting(ctx)
	defer stop()
	wait, cancel := context.WithTimeout(wait, p.Timing.RevokeWait)
	defer cancel()
	return p.awaitEnd(wait, lease), nil
}

// beginRevoke proposes until the outcome is known: nothing is called outside before.
func (p *period) beginRevoke(ctx context.Context, req Request, body *fsm.BeginRevoke) (fsm.Lease, error) {
	for {
		lease, _, err := propose[fsm.Lease](ctx, p, req, body)
		if !errors.Is(err, ErrOutcomeUnknown) || ctx.Err() != nil {
			return lease, err
		}
		if !p.sleep(100 * time.Millisecond) {
			return lease, err
		}
	}
}

// awaitEnd returns the lease as it is once its end is recorded, or when the context is done.
func (p *period) awaitEnd(ctx context.Context, lease fsm.Lease) fsm.Lease {
	for {
		done := p.ended(lease.ID)
		now := lease
		if err := p.peek(func(v *fsm.View) { now, _ = v.Lease(lease.ID) }); err != nil || now.State != fsm.Revoking {
			p.signal(lease.ID) // nobody else will
			return now
		}
		select {
		case <-done:
		case <-ctx.Done():
			return now
		}
	}
}

// ended returns a channel that is closed when the next attempt at the lease has been recorded.
func (p *period) ended(id fsm.LeaseID) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.ending[id]
	if c == nil {
		c = make(chan struct{})
		p.ending[id] = c
	}
	return c
}

func (p *period) signal(id fsm.LeaseID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.ending[id]; c != nil {
		close(c)
		delete(p.ending, id)
	}
}

// RetryLease has the login of a revoking lease removed now, not when its next try is due.
func (b *Broker) RetryLease(ctx context.Context, req Request, id fsm.LeaseID) (fsm.Lease, error) {
	p, work, leave, err := b.enter(ctx)
	if err != nil {
		return fsm.Lease{}, err
	}
	defer leave()
	lease, _, err := propose[fsm.Lease](work, p, req, &fsm.RetryLease{ID: id})
	if err != nil || req.DryRun || lease.State != fsm.Revoking {
		return lease, err
	}
	done := p.ended(lease.ID)
	p.retryNow(lease)
	wait, stop := p.waiting(ctx)
	defer stop()
	wait, cancel := context.WithTimeout(wait, p.Timing.RevokeWait)
	defer cancel()
	select {
	case <-done:
	case <-wait.Done():
	}
	err = p.peek(func(v *fsm.View) { lease, _ = v.Lease(lease.ID) })
	return lease, err
}

// ForgetLease ends a revoking lease whose login cannot be removed. The login may still exist; the
// next sweep that sees it takes it for an orphan.
func (b *Broker) ForgetLease(ctx context.Context, req Request, id fsm.LeaseID, reason string) (fsm.Lease, error) {
	var ps problems
	ps.reason("reason", reason)
	return change[fsm.Lease](ctx, b, req, ps, &fsm.ForgetLease{ID: id, Reason: reason})
}

// retryNow has a lease's login removed now.
func (p *period) retryNow(l fsm.Lease) {
	p.drive(l)
	p.revoker(systemOf(l)).now(l.ID)
}
