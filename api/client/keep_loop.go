package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	"broker/api/types"
)

const (
	slowestTry = 30 * time.Second // between two tries, and for one call
	revokeWait = 5 * time.Second  // for revoking at the end
)

// request is one lease that is asked for, however often: its key makes them one.
type request struct {
	key     string
	spec    types.IssueSpec
	askedAt time.Time
}

func newRequest(spec types.IssueSpec) *request {
	return &request{key: rand.Text(), spec: spec, askedAt: time.Now()}
}

// want has a lease be asked for that replaces the current one, unless one is.
func (k *Keeper) want() {
	if k.config.Single || k.wanted != nil {
		return
	}
	spec := k.config.Spec
	spec.Replaces = k.held.issued.Lease.ID
	k.wanted = newRequest(spec)
}

// keep is the Keeper's goroutine: one act after the other until the context ends.
func (k *Keeper) keep(ctx context.Context) {
	defer close(k.done)
	defer k.revokeAll()
	for {
		timer := time.NewTimer(time.Until(k.nextAt()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		k.act(ctx)
		k.retire(ctx)
	}
}

// nextAt is when there is something to do.
func (k *Keeper) nextAt() time.Time {
	at := k.dueAt()
	if at.Before(k.nextTry) {
		at = k.nextTry
	}
	for _, old := range k.retired {
		if old.nextTry.Before(at) {
			at = old.nextTry
		}
	}
	return at
}

// dueAt is when the current lease needs something.
func (k *Keeper) dueAt() time.Time {
	switch renewAt := k.held.renewAt(); {
	case k.wanted != nil:
		return time.Time{}
	case k.lost: // a single one: there is nothing to do any more
		return time.Now().Add(time.Hour)
	case k.ending:
		return renewAt
	case k.held.replaceAt.Before(renewAt):
		return k.held.replaceAt
	default:
		return renewAt
	}
}

// act does what the current lease needs.
func (k *Keeper) act(ctx context.Context) {
	now := time.Now()
	if now.Before(k.dueAt()) || now.Before(k.nextTry) {
		return
	}
	var err error
	switch {
	case k.wanted != nil:
		err = k.replace(ctx)
	case !now.Before(k.held.replaceAt) && !k.config.Single:
		k.want()
		err = k.replace(ctx)
	case !now.Before(k.held.replaceAt) && !k.ending:
		k.ending = true
		k.notify(KeepEvent{Kind: KeepEnding, Lease: k.held.issued.Lease})
	case !now.Before(k.held.maxAt):
		k.lose(errors.New("its longest life is over"))
	default:
		err = k.renew(ctx, k.held, k.held.ttl)
		k.renewed(err)
	}
	k.judge(ctx, err)
}

// renewed tells how a renewal went.
func (k *Keeper) renewed(err error) {
	if err == nil {
		k.show(k.held.issued)
		k.notify(KeepEvent{Kind: KeepRenewed, Lease: k.held.issued.Lease})
		return
	}
	switch Code(err) {
	case "lease_not_active", "not_found":
		k.lose(err)
	case "not_renewable", "lease_ttl_exceeds_max":
		k.want()
	}
}

// judge plans the next try after a failure.
func (k *Keeper) judge(ctx context.Context, err error) {
	if err == nil {
		k.failed, k.nextTry = 0, time.Time{}
		return
	}
	if ctx.Err() != nil {
		return
	}
	k.failed++
	k.nextTry = time.Now().Add(k.backoff(k.failed))
	if k.lost || !time.Now().Before(k.held.endsAt) {
		k.lose(err)
		return
	}
	k.notify(KeepEvent{Kind: KeepDelayed, Lease: k.held.issued.Lease, Err: err})
}

// lose gives the current lease up, once, and wants another.
func (k *Keeper) lose(err error) {
	k.want()
	if !k.lost {
		k.lost = true
		k.notify(KeepEvent{Kind: KeepLost, Lease: k.held.issued.Lease, Err: err})
	}
}

// backoff grows with the attempts that failed, in proportion to the time that there is.
func (k *Keeper) backoff(failed int) time.Duration {
	first := min(max(k.held.ttl/30, 100*time.Millisecond), time.Second)
	longest := min(max(k.held.ttl/10, first), slowestTry)
	grown := min(first<<min(failed-1, 10), longest)
	return time.Duration(float64(grown) * (0.5 + mathrand.Float64()/2))
}

// patience is how long one call may take, so that there is time for others before the lease ends.
func (k *Keeper) patience() time.Duration {
	return min(max(k.held.ttl/6, time.Second), slowestTry)
}

// renew has a lease last so much longer from now on, or as long as it may.
func (k *Keeper) renew(ctx context.Context, h *held, ttl time.Duration) error {
	sent := time.Now()
	latest := h.issued.Lease.MaxExpiresAt
	until := h.remote(sent.Add(ttl)).Truncate(time.Millisecond) // the broker counts in these
	if until.After(latest) {
		until = latest
	}
	ctx, cancel := context.WithTimeout(ctx, k.patience())
	defer cancel()
	lease, err := k.client.RenewLease(ctx, h.issued.Lease.ID, types.RenewSpec{Until: until.UTC().Format(time.RFC3339Nano)})
	if err != nil {
		return err
	}
	if at := lease.RenewedAt; at != nil && lease.ExpiresAt.Equal(until) && until.Before(latest) {
		// This very call moved it, after it was sent: that may tell more of the broker's clock than what is known.
		if since := sent.Add(-at.Sub(lease.CreatedAt)); since.After(h.askedAt) {
			h.askedAt = since
		}
	}
	h.move(lease)
	return nil
}

// replace gets another lease in place of the current one, which is kept alive for as long as it may be needed.
func (k *Keeper) replace(ctx context.Context) error {
	if k.held.endsAt.Before(time.Now().Add(k.config.Overlap)) && k.held.renewAt().Before(k.held.maxAt) && !k.lost {
		// Whatever is wrong with this, what matters is the new lease.
		_ = k.renew(ctx, k.held, k.config.Overlap+k.held.ttl/3)
	}
	got, err := k.issue(ctx, k.patience())
	if err != nil {
		return err
	}
	old := k.held
	if !k.lost {
		old.revokeAt = time.Now().Add(k.config.Overlap)
		old.nextTry = old.revokeAt
		k.retired = append(k.retired, old)
	}
	k.hold(got)
	k.notify(KeepEvent{Kind: KeepReplaced, Lease: got.issued.Lease, Previous: old.issued.Lease})
	return nil
}

// hold makes a lease the current one.
func (k *Keeper) hold(h *held) {
	k.held, k.wanted, k.lost, k.ending = h, nil, false, false
	k.show(h.issued)
}

// show has everybody see the current lease.
func (k *Keeper) show(issued types.Issued) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.current = issued
}

// issue asks for the wanted lease.
func (k *Keeper) issue(ctx context.Context, patience time.Duration) (*held, error) {
	calling, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	sent := time.Now()
	issued, err := k.client.IssueLease(calling, k.config.Secret, k.wanted.spec, WithIdempotencyKey(k.wanted.key))
	if err == nil {
		if issued.Replayed {
			sent = k.wanted.askedAt // an earlier try made it
		}
		return newHeld(issued, sent, k.config.Overlap), nil
	}
	var problem *types.Problem
	if !errors.As(err, &problem) {
		return nil, err
	}
	switch problem.Code {
	case "idempotency_answer_gone":
		// A lease was made whose values nobody has.
		if id, ok := problem.Extra["lease_id"].(string); ok {
			_, _ = k.client.RevokeLease(calling, id, types.RevokeSpec{Reason: "its values did not arrive"}) // else it ends by itself
		}
		k.wanted = newRequest(k.wanted.spec)
	case "lease_ended":
		k.wanted = newRequest(k.wanted.spec)
	case "invalid_value":
		// The lease before may be forgotten by now, or be another account's: the broker does not have to know it.
		if spec := k.wanted.spec; spec.Replaces != "" {
			spec.Replaces = ""
			k.wanted = newRequest(spec)
		}
	case "lease_ttl_exceeds_max":
		longest := secondsOf(problem.Extra["renewable_ttl"])
		if asked := k.wanted.spec.TTL; asked != nil && longest > 0 && longest < asked.Std() {
			shorter := types.Duration(longest)
			spec := k.wanted.spec
			spec.TTL = &shorter
			k.wanted = newRequest(spec)
			return k.issue(ctx, patience)
		}
	}
	return nil, err
}

// secondsOf reads seconds, which some answers hold as text.
func secondsOf(value any) time.Duration {
	var seconds float64
	if _, err := fmt.Sscan(fmt.Sprint(value), &seconds); err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// retire revokes the leases before whose overlap is over. What cannot be revoked before it ends by itself is left to
// the broker.
func (k *Keeper) retire(ctx context.Context) {
	k.retired = slices.DeleteFunc(k.retired, func(old *held) bool {
		if time.Now().Before(old.nextTry) {
			return false
		}
		err := k.revoke(ctx, old)
		old.nextTry = time.Now().Add(k.patience())
		return err == nil || Code(err) == "not_found" || !time.Now().Before(old.endsAt)
	})
}

func (k *Keeper) revoke(ctx context.Context, h *held) error {
	ctx, cancel := context.WithTimeout(ctx, k.patience())
	defer cancel()
	reason := "it was replaced"
	if h == k.held {
		reason = "it is not needed any more"
	}
	_, err := k.client.RevokeLease(ctx, h.issued.Lease.ID, types.RevokeSpec{Reason: reason})
	return err
}

// revokeAll ends everything that is held.
func (k *Keeper) revokeAll() {
	ctx, cancel := context.WithTimeout(context.Background(), revokeWait)
	defer cancel()
	all := slices.Clone(k.retired)
	if !k.lost {
		all = append(all, k.held)
	}
	failures := make([]error, len(all))
	var revoking sync.WaitGroup
	for i, one := range all {
		revoking.Go(func() {
			if err := k.revoke(ctx, one); err != nil {
				failures[i] = fmt.Errorf("%w; it ends by itself at %s", err, one.issued.Lease.ExpiresAt.UTC().Format(time.RFC3339))
			}
		})
	}
	revoking.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failure = errors.Join(failures...)
}

func (k *Keeper) notify(event KeepEvent) {
	if k.config.Notify != nil {
		k.config.Notify(event)
	}
}
