package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"broker/fsm"
	"broker/providers"
)

// Renew moves the end of an active lease: at the outside system first, so that the login never ends
// before its lease, then in the log as a compare-and-set. Errors as for Issue.
func (b *Broker) Renew(ctx context.Context, req Request, spec RenewSpec) (lease fsm.Lease, err error) {
	defer func(began time.Time) { b.asked(VerbRenew, lease.Connection, req, outcomeOf(err), began) }(time.Now())
	p, work, leave, err := b.enter(ctx)
	if err != nil {
		return fsm.Lease{}, err
	}
	defer leave()
	wait, stop := p.waiting(ctx)
	defer stop()
	release, err := p.renewAlone(wait, spec.Lease)
	if err != nil {
		return fsm.Lease{}, err
	}
	defer release()
	return p.renew(work, req, spec)
}

func (p *period) renew(ctx context.Context, req Request, spec RenewSpec) (fsm.Lease, error) {
	var lease fsm.Lease
	var found bool
	if err := p.peek(func(v *fsm.View) { lease, found = v.Lease(spec.Lease) }); err != nil {
		return lease, err
	}
	if !found {
		return lease, &fsm.Refusal{Code: fsm.CodeNotFound, Message: fmt.Sprintf("there is no lease %q", spec.Lease)}
	}
	if err := renewable(lease); err != nil {
		return lease, err
	}
	end, err := p.newEnd(lease, spec)
	if err != nil {
		return lease, err
	}
	body := &fsm.RenewLease{ID: lease.ID, IfVersion: lease.Version, ExpiresAt: end}
	// The state machine's own refusal is had before anything is called outside.
	would, result, err := try[fsm.Lease](p, req, body)
	switch {
	case err != nil:
		return lease, err
	case req.DryRun:
		return would, nil
	case result.Replayed, end == lease.ExpiresAt:
		return p.renewNothing(ctx, req, spec, lease)
	}
	if err := p.extend(ctx, lease, end); err != nil {
		return lease, err
	}
	renewed, _, err := propose[fsm.Lease](ctx, p, req, body)
	if err == nil {
		p.schedule(renewed)
	}
	return renewed, err
}

// renewNothing answers a request that leaves the lease as it is. That it does is only what this node's state says,
// which may be behind: another node may lead, and have ended the lease.
func (p *period) renewNothing(ctx context.Context, req Request, spec RenewSpec, lease fsm.Lease) (fsm.Lease, error) {
	if err := p.confirm(ctx); err != nil {
		return lease, err
	}
	now := lease
	if err := p.peek(func(v *fsm.View) { now, _ = v.Lease(spec.Lease) }); err != nil {
		return lease, err
	}
	if now.Version != lease.Version {
		return p.renew(ctx, req, spec)
	}
	return lease, nil
}

// newEnd works out what the request asks for.
func (p *period) newEnd(lease fsm.Lease, spec RenewSpec) (fsm.Instant, error) {
	given := 0
	for _, set := range []bool{spec.TTL != 0, !spec.Until.IsZero(), spec.UntilMax} {
		if set {
			given++
		}
	}
	switch {
	case given != 1:
		return 0, invalid("ttl", "give either ttl or until")
	case spec.UntilMax:
		return max(lease.MaxExpiresAt, lease.ExpiresAt), nil
	case !spec.Until.IsZero():
		return max(fsm.At(spec.Until), lease.ExpiresAt), nil
	case spec.TTL < MinTTL:
		return 0, invalid("ttl", "at least %s, not %s", fsm.FormatTTL(MinTTL), fsm.FormatTTL(spec.TTL))
	}
	return lease.ExpiresAt.Add(spec.TTL), nil
}

// extend moves the login's native expiry.
func (p *period) extend(ctx context.Context, lease fsm.Lease, end fsm.Instant) error {
	login, err := p.loginOf(lease)
	if err != nil {
		return err
	}
	guard := p.guard(systemOf(lease))
	if err := guard.unavailable(); err != nil {
		return err
	}
	login.ExpiresAt = end.Time()
	backend, release, err := p.backends.use(systemOf(lease))
	if err != nil {
		return &UnavailableError{Connection: lease.Connection, Err: err}
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, p.Timing.Call)
	defer cancel()
	answer, known := backend.Renew(ctx, []providers.Login{login})[login.Name]
	if !known {
		answer = errors.New("the outside system did not say whether the login was extended")
	}
	guard.report(answer)
	if answer == nil {
		return nil
	}
	if pe := classify(answer); pe.Kind == providers.KindRejected || pe.Kind == providers.KindUnsupported {
		r := &fsm.Refusal{Code: CodeProviderRejected, Message: fmt.Sprintf("connection %q refused to extend the login of lease %s: %s", lease.Connection, lease.ID, pe)}
		return withHint(r, pe)
	}
	return &UnavailableError{Connection: lease.Connection, Err: answer}
}

// renewAlone waits until no other renewal of the lease is under way.
func (p *period) renewAlone(ctx context.Context, id fsm.LeaseID) (release func(), err error) {
	for {
		p.mu.Lock()
		busy := p.renewing[id]
		if busy == nil {
			done := make(chan struct{})
			p.renewing[id] = done
			p.mu.Unlock()
			return func() {
				p.mu.Lock()
				delete(p.renewing, id)
				p.mu.Unlock()
				close(done)
			}, nil
		}
		p.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			if p.ctx.Err() != nil {
				return nil, ErrNotLeader
			}
			return nil, ctx.Err()
		}
	}
}
