package client

import (
	"context"
	"errors"
	mathrand "math/rand/v2"
	"slices"
	"time"
)

const (
	slowestTry = 30 * time.Second // between two tries, and for one call
	revokeWait = 5 * time.Second  // for revoking at the end
	lookAgain  = time.Second      // between two looks whether a lease that was replaced is in use
)

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
	if !k.config.Leave {
		defer k.ended.Do(k.revokeAll)
	}
	for {
		timer := time.NewTimer(time.Until(k.nextAt()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-k.replace:
			timer.Stop()
			if k.held.resumed {
				k.want()
			}
		case <-timer.C:
		}
		k.act(ctx)
		k.retire(ctx)
		k.show()
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
	case k.unseen:
		return time.Time{}
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
		err = k.next(ctx)
	case k.unseen:
		err = k.look(ctx)
	case !now.Before(k.held.replaceAt) && !k.config.Single:
		k.want()
		err = k.next(ctx)
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
		k.show()
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
		// Not at once again, should the broker have moved nothing.
		k.failed, k.nextTry = 0, time.Now().Add(k.backoff(1))
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
		k.show()
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

// next gets another lease in place of the current one, which is kept alive for as long as it may be needed.
func (k *Keeper) next(ctx context.Context) error {
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
		k.retired = append(k.retired, old)
	}
	k.hold(got)
	k.notify(KeepEvent{Kind: KeepReplaced, Lease: got.issued.Lease, Previous: old.issued.Lease})
	return nil
}

// hold makes a lease the current one.
func (k *Keeper) hold(h *held) {
	k.held, k.wanted, k.lost, k.ending, k.unseen = h, nil, false, false, false
	k.show()
}

// show has everybody see what is held.
func (k *Keeper) show() {
	kept := k.all()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.current, k.over, k.kept = k.held.issued, k.lost, kept
}

// retire revokes the leases before that are let go and whose overlap is over. What cannot be revoked before it ends
// by itself is left to the broker.
func (k *Keeper) retire(ctx context.Context) {
	k.retired = slices.DeleteFunc(k.retired, func(old *held) bool {
		now := time.Now()
		if now.Before(old.nextTry) {
			return false
		}
		if k.config.InUse != nil && k.config.InUse(old.issued.Lease.ID) && now.Before(old.endsAt) {
			old.nextTry = now.Add(lookAgain)
			if !now.Before(old.renewAt()) {
				_ = k.renew(ctx, old, old.ttl) // else it is tried again, or is over
				old.nextTry = now.Add(k.patience())
			}
			old.revokeAt = old.nextTry.Add(k.config.Overlap)
			return false
		}
		if now.Before(old.revokeAt) {
			old.nextTry = old.revokeAt
			return false
		}
		err := k.revoke(ctx, old)
		old.nextTry = time.Now().Add(k.patience())
		return err == nil || Code(err) == "not_found" || !time.Now().Before(old.endsAt)
	})
}

func (k *Keeper) notify(event KeepEvent) {
	if k.config.Notify != nil {
		k.config.Notify(event)
	}
}
