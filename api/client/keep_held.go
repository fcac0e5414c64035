package client

import (
	"time"

	"broker/api/types"
)

// held is a lease with the instants of its life by this machine's clock. The broker's clock may differ: instants are
// counted from when the lease was asked for, which was before it began, so each is early rather than late.
type held struct {
	issued    types.Issued
	resumed   bool // its values are not known
	askedAt   time.Time
	endsAt    time.Time
	maxAt     time.Time     // no renewal goes beyond
	ttl       time.Duration // what it has left after each renewal
	replaceAt time.Time
	revokeAt  time.Time // once it is retired
	nextTry   time.Time // to look whether it is let go, and of revoking it then
}

func newHeld(issued types.Issued, askedAt time.Time, overlap time.Duration) *held {
	h := &held{issued: issued, askedAt: askedAt}
	h.move(issued.Lease)
	h.ttl = h.endsAt.Sub(askedAt)
	h.plan(overlap)
	return h
}

// plan decides when the lease is replaced.
func (h *held) plan(overlap time.Duration) {
	// There has to be time for an outage of the broker and for the overlap after it, but half of the lease's
	// life is used however short it is.
	life := h.maxAt.Sub(h.askedAt)
	h.replaceAt = h.maxAt.Add(-min(overlap+h.ttl/3, life/2))
}

// move takes over what the broker says of the lease.
func (h *held) move(lease types.Lease) {
	h.issued.Lease = lease
	h.endsAt, h.maxAt = h.local(lease.ExpiresAt), h.local(lease.MaxExpiresAt)
	if !lease.Renewable && !lease.ExpiresAt.IsZero() && lease.ExpiresAt.Before(lease.MaxExpiresAt) {
		h.maxAt = h.endsAt
	}
}

func (h *held) local(at time.Time) time.Time { return h.askedAt.Add(at.Sub(h.issued.Lease.CreatedAt)) }

func (h *held) remote(at time.Time) time.Time { return h.issued.Lease.CreatedAt.Add(at.Sub(h.askedAt)) }

// renewAt is when two thirds of the lease's time are over.
func (h *held) renewAt() time.Time {
	if !h.endsAt.Before(h.maxAt) {
		return h.maxAt // there is nothing to renew
	}
	return h.endsAt.Add(-h.ttl / 3)
}
