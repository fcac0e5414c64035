package agent

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// gone are leases whose secrets are not in the configuration any more. They are revoked once whoever used them had time
// to see that.
type gone struct {
	client  *client.Client
	log     *slog.Logger
	inUse   func(lease string) bool
	changed func()

	mu   sync.Mutex
	left map[string]savedSecret // by the names that their secrets had
}

// add takes leases over, before revoke.
func (g *gone) add(name string, of savedSecret, leases []client.Kept) {
	if len(leases) == 0 {
		return
	}
	if of.Overlap <= 0 {
		of.Overlap = types.Duration(defaultOverlap)
	}
	of.Leases = nil
	for _, one := range leases {
		if one.RevokeAt.IsZero() {
			one.RevokeAt = time.Now().Add(of.Overlap.Std())
		}
		of.Leases = append(of.Leases, one)
	}
	g.left[name] = of
}

// saved is what another agent needs to go on.
func (g *gone) saved() map[string]savedSecret {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := map[string]savedSecret{}
	for name, one := range g.left {
		one.Leases = slices.Clone(one.Leases)
		out[name] = one
	}
	return out
}

// revoke goes on until there are none left, or ctx ends.
func (g *gone) revoke(ctx context.Context) {
	for left := g.saved(); len(left) > 0; left = g.saved() {
		for name, of := range left {
			var still []client.Kept
			for _, one := range of.Leases {
				now := time.Now()
				if g.inUse(one.Lease.ID) && now.Before(one.Lease.ExpiresAt) {
					one.RevokeAt = now.Add(retryPause + of.Overlap.Std()) // its overlap begins when it is let go
				}
				if now.Before(one.RevokeAt) || !g.revokeOne(ctx, one) {
					still = append(still, one)
				}
			}
			of.Leases = still
			g.set(name, of)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryPause):
		}
	}
}

// revokeOne reports whether there is nothing left to do.
func (g *gone) revokeOne(ctx context.Context, one client.Kept) bool {
	_, err := g.client.RevokeLease(ctx, one.Lease.ID, types.RevokeSpec{Reason: "its secret is not in the agent's configuration any more"})
	switch {
	case err == nil:
		g.log.Info("revoked a lease whose secret is not in the configuration any more", "lease", one.Lease.ID)
	case client.Code(err) == "not_found", !time.Now().Before(one.Lease.ExpiresAt):
	default:
		g.log.Warn("a lease that is not needed any more could not be revoked; it is tried again until it ends by itself", "lease", one.Lease.ID, "error", err)
		return false
	}
	return true
}

func (g *gone) set(name string, of savedSecret) {
	g.mu.Lock()
	before := len(g.left[name].Leases)
	if g.left[name] = of; len(of.Leases) == 0 {
		delete(g.left, name)
	}
	g.mu.Unlock()
	if len(of.Leases) < before {
		g.changed()
	}
}
