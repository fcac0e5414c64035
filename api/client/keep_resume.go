package client

import (
	"context"
	"fmt"
	"time"

	"broker/api/types"
)

// Kept is what it takes to go on with a lease that a Keeper held. It has no values, so it may be saved.
type Kept struct {
	Lease    types.Lease    `json:"lease"`
	AskedAt  time.Time      `json:"asked_at"`           // by this machine's clock
	TTL      types.Duration `json:"ttl"`                // what it has left after each renewal
	RevokeAt time.Time      `json:"revoke_at,omitzero"` // zero: it is the current one; else it was replaced
}

// Kept returns what the Keeper holds now, or held at its end: the leases that were replaced and live on, then the
// current one unless it is lost.
func (k *Keeper) Kept() []Kept {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kept
}

// all returns what is held.
func (k *Keeper) all() []Kept {
	var kept []Kept
	for _, one := range k.retired {
		kept = append(kept, one.kept())
	}
	if !k.lost {
		kept = append(kept, k.held.kept())
	}
	return kept
}

func (h *held) kept() Kept {
	return Kept{Lease: h.issued.Lease, AskedAt: h.askedAt, TTL: types.Duration(h.ttl), RevokeAt: h.revokeAt}
}

// resume takes over the leases of another Keeper and returns the current one, nil when there is none.
func (k *Keeper) resume() (current *held) {
	for _, one := range k.config.Resume {
		h := &held{issued: types.Issued{Lease: one.Lease}, resumed: true, askedAt: one.AskedAt, ttl: one.TTL.Std(), revokeAt: one.RevokeAt}
		h.move(one.Lease)
		h.plan(k.config.Overlap)
		if one.RevokeAt.IsZero() {
			current = h
		} else {
			k.retired = append(k.retired, h)
		}
	}
	return current
}

// look finds out what became of a lease that was resumed, before it is relied on.
func (k *Keeper) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, k.patience())
	defer cancel()
	lease, err := k.client.GetLease(ctx, k.held.issued.Lease.ID)
	switch {
	case err == nil && lease.State != "active":
		err = fmt.Errorf("lease %s is %s", lease.ID, lease.State)
		k.lose(err)
	case Code(err) == "not_found":
		k.lose(err)
	case err == nil:
		k.unseen = false
		k.held.move(lease)
		k.show()
	}
	return err
}
