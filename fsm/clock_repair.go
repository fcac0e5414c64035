package fsm

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"time"
)

func applyRepairClock(t *txn, c *RepairClock) (ClockRepair, *Refusal) {
	done := ClockRepair{From: t.now(), To: t.now()}
	names, most := Saying(c.To, c.Voters, c.Readings)
	switch {
	case strings.TrimSpace(c.Reason) == "":
		return done, &Refusal{Code: CodeInvalid, Field: "reason", Message: "setting the clock back needs a reason"}
	case len(c.Reason) > 1024:
		return done, &Refusal{Code: CodeInvalid, Field: "reason", Message: "a reason has at most 1024 bytes"}
	case c.To <= 0:
		return done, &Refusal{Code: CodeInvalid, Field: "to", Message: "the time to set the clock to is missing"}
	case !most:
		return done, &Refusal{Code: CodeClockStepRefused, Message: "the clocks of the nodes do not agree about the time: set them right first"}
	case t.now() <= c.To.Add(ClockTolerance):
		return done, nil
	}
	done.To = c.To
	r := repair{txn: t, to: c.To, by: t.now().Sub(c.To)}
	t.meta.Clock = c.To
	done.Leases = r.leases()
	done.Tokens = r.tokens()
	r.bookkeeping()
	t.record(Event{Type: EventClockRepaired, Subject: "clock", Details: clockDetails(ClockStep{done.From, done.To}, names, c.Voters, map[string]string{
		"reason": c.Reason, "leases": strconv.FormatUint(done.Leases, 10), "tokens": strconv.FormatUint(done.Tokens, 10),
	})})
	return done, nil
}

// repair moves what was stamped by a clock that was ahead.
type repair struct {
	*txn
	to Instant
	by time.Duration
}

// past moves the instant of something that has happened: it cannot lie ahead of the clock.
func (r repair) past(at Instant) Instant { return min(at, r.to) }

// back moves an instant as far as the clock was moved, and keeps "not set".
func (r repair) back(at Instant) Instant {
	if at == 0 {
		return 0
	}
	return max(1, at.Add(-r.by))
}

// leases moves the leases that were made in the time that never was, and returns how many of those are
// live. Ended ones are moved too, so that they are forgotten in time.
func (r repair) leases() uint64 {
	var ids []LeaseID
	for _, state := range []LeaseState{Pending, Active, Revoking} {
		eachRow(r.tx, "leases_by_state", []byte(state), nil, false, func(id []byte) bool {
			if l, ok := r.Lease(LeaseID(id)); ok && r.ahead(l) {
				ids = append(ids, l.ID)
			}
			return true
		})
	}
	for _, key := range r.after("leases_by_end", r.to) {
		ids = append(ids, LeaseID(key))
	}
	var moved uint64
	for _, id := range ids {
		l, _ := r.Lease(id)
		from := l.ExpiresAt
		l = r.putLease(r.lease(l))
		if l.ExpiresAt == from || !l.State.Live() {
			continue
		}
		moved++
		r.record(Event{Type: EventLeaseMoved, Lease: l.ID, Subject: string(l.Secret), Details: map[string]string{
			"from": from.String(), "expires_at": l.ExpiresAt.String(),
		}})
	}
	return moved
}

func (r repair) ahead(l Lease) bool {
	return max(l.CreatedAt, l.ActivatedAt, l.RenewedAt, l.RevokingAt) > r.to || l.NextTryAt > r.to.Add(MaxClockStep)
}

// lease returns the lease with its instants moved. The ends of one that was made before the clock went
// wrong were counted from a right clock and stay.
func (r repair) lease(l Lease) Lease {
	facts := []*Instant{&l.ActivatedAt, &l.RenewedAt, &l.RevokingAt, &l.EndedAt}
	if l.CreatedAt > r.to {
		for _, at := range append(facts, &l.CreatedAt, &l.ExpiresAt, &l.MaxExpiresAt, &l.CreateDeadlineAt) {
			*at = r.back(*at)
		}
	} else {
		for _, at := range facts {
			*at = r.past(*at)
		}
	}
	if l.NextTryAt > r.to {
		l.NextTryAt = r.to // the revoker has a pause of its own
	}
	return l
}

// tokens moves the ends of tokens that were made or renewed in the time that never was.
func (r repair) tokens() uint64 {
	var list []Token
	tokens.scan(r.tx, nil, func(one Token) bool {
		if one.CreatedAt > r.to || one.IdleEndsAt > r.to.Add(one.IdleTTL) {
			list = append(list, one)
		}
		return true
	})
	var moved uint64
	for _, one := range list {
		end := one.EndsAt()
		one.IdleEndsAt = min(one.IdleEndsAt, r.to.Add(one.IdleTTL))
		if one.CreatedAt > r.to { // else it was only renewed then
			if one.ExpiresAt > one.CreatedAt {
				one.ExpiresAt = r.back(one.ExpiresAt)
			}
			one.CreatedAt, r.configured = r.to, true
		}
		one.Version = r.meta.Index
		tokens.put(r.txn, one)
		if one.EndsAt() != end {
			moved++
		}
	}
	r.credentials()
	return moved
}

// credentials does the same for client secrets and wrapped values.
func (r repair) credentials() {
	var secrets []ClientSecret
	clientSecrets.scan(r.tx, nil, func(one ClientSecret) bool {
		if one.CreatedAt > r.to {
			secrets = append(secrets, one)
		}
		return true
	})
	for _, one := range secrets {
		one.CreatedAt, one.ExpiresAt, one.Version = r.to, r.back(one.ExpiresAt), r.meta.Index
		clientSecrets.put(r.txn, one)
	}
	var wrapped []Wrapped
	wrappedValues.scan(r.tx, nil, func(one Wrapped) bool {
		if one.CreatedAt > r.to {
			wrapped = append(wrapped, one)
		}
		return true
	})
	for _, one := range wrapped {
		one.CreatedAt, one.ExpiresAt = r.to, r.back(one.ExpiresAt)
		wrappedValues.put(r.txn, one)
	}
}

// bookkeeping moves what is forgotten by age, or compared with the clock, and would else stay too long.
func (r repair) bookkeeping() {
	// Sealed answers are kept for minutes. Which of these were is not known any more: a client that
	// asks again hears that the lease is there, without its values.
	for _, key := range r.after("replies_by_end", r.to) {
		replies.delete(r.txn, key)
	}
	for _, key := range r.after("idempotency_keys_by_age", r.to) {
		if k, ok := keys.get(r.tx, key); ok {
			k.CreatedAt = r.back(k.CreatedAt)
			keys.put(r.txn, k)
		}
	}
	for _, key := range r.after("operations_by_end", r.to) {
		if o, ok := operations.get(r.tx, key); ok {
			o.EndedAt, o.Version = r.to, r.meta.Index
			operations.put(r.txn, o)
		}
	}
	for _, s := range r.Systems("") {
		if max(s.DoubtAt, s.CleanAt) > r.to {
			s.DoubtAt, s.CleanAt = r.past(s.DoubtAt), 0
			systems.put(r.txn, s)
		}
	}
	var seen []Orphan
	orphans.scan(r.tx, nil, func(o Orphan) bool {
		if o.LastSeenAt > r.to {
			seen = append(seen, o)
		}
		return true
	})
	for _, o := range seen {
		// Its quarantine begins anew.
		o.FirstSeenAt, o.LastSeenAt, o.Version = r.past(o.FirstSeenAt), r.to, r.meta.Index
		orphans.put(r.txn, o)
	}
}

// after returns the primary keys of an index by instant that are filed after the given one.
func (r repair) after(bucket string, at Instant) [][]byte {
	var list [][]byte
	c := r.tx.Bucket([]byte(bucket)).Cursor()
	for k, _ := c.Seek(binary.BigEndian.AppendUint64(nil, uint64(at)+1)); k != nil; k, _ = c.Next() {
		list = append(list, bytes.Clone(k[9:]))
	}
	return list
}
