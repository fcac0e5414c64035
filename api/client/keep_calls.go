package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"broker/api/types"
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

// revokeAll revokes everything that is held, after the Keeper's last act.
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
