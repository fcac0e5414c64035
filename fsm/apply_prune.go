package fsm

import (
	"bytes"
	"encoding/binary"
)

func applyPrune(t *txn, c *Prune) (Pruned, *Refusal) {
	var p Pruned
	for _, key := range t.oldest("replies_by_end", t.now(), c.Limit) {
		replies.delete(t, key)
		p.Replies++
	}
	for _, key := range t.oldest("idempotency_keys_by_age", t.now().Add(-c.KeyTTL), c.Limit) {
		keys.delete(t, key)
		p.Keys++
	}
	horizon := t.now().Add(-c.HistoryTTL)
	for _, key := range t.oldest("leases_by_end", horizon, c.Limit) {
		for _, e := range t.LeaseEvents(LeaseID(key)) {
			t.dropEvent(e)
			p.Events++
		}
		leases.delete(t, key)
		p.Leases++
	}
	for _, key := range t.oldest("operations_by_end", horizon, c.Limit) {
		operations.delete(t, key)
		p.Operations++
	}
	for _, key := range t.oldest("locks_by_until", t.now(), c.Limit) {
		l, _ := t.Lock(LockID(key))
		locks.delete(t, key)
		t.recordLock(EventLockEnded, l)
		p.Locks++
	}
	for _, key := range t.oldest(bucketTokensByEnd, t.now(), c.Limit) {
		k, ok := t.Token(TokenAccessor(key))
		switch {
		case !ok: // it went with another
		case k.EndsAt() != k.ExpiresAt: // before its time: what was made with it may be good for longer
			p.Tokens += len(t.dropToken(k))
		default:
			t.forgetToken(k)
			p.Tokens++
		}
	}
	for _, key := range t.oldest(bucketClientSecretsByEnd, t.now(), c.Limit) {
		clientSecrets.delete(t, key)
		p.ClientSecrets++
	}
	for _, key := range t.oldest(bucketWrappedByEnd, t.now(), c.Limit) {
		wrappedValues.delete(t, key)
		p.Wrapped++
	}
	// Systems that nobody reaches any more stay in doubt for ever.
	for _, s := range t.Systems("") {
		if s.DoubtAt != 0 && s.DoubtAt <= horizon && t.Count(systemCounter(s.Connection, s.Number)) == 0 {
			if n, ok := t.Connection(s.Connection); !ok || n.System != s.Number {
				t.recordLeft(Event{Type: EventSystemGivenUp, Subject: string(s.Connection)}, t.Orphans(s.Connection, s.Number))
				t.deleteSystem(s.Connection, s.Number)
				p.Systems++
			}
		}
	}
	p.Anchors = t.pruneAuditAnchors(horizon, c.Limit)
	// Events that belong to no lease are filed under the empty id.
	var old, ahead [][]byte
	eachRow(t.tx, bucketEventsByLease, nil, nil, false, func(k []byte) bool {
		e, ok := events.get(t.tx, k)
		if ok && e.At > t.now() {
			// From before the clock was set back: as old as what comes after it.
			if len(ahead) < c.Limit {
				ahead = append(ahead, bytes.Clone(k))
			}
			return true
		}
		if !ok || e.At >= horizon || len(old) >= c.Limit {
			return false
		}
		old, ahead = append(append(old, ahead...), bytes.Clone(k)), nil
		return true
	})
	for _, key := range old {
		if e, ok := events.get(t.tx, key); ok {
			t.dropEvent(e)
			p.Events++
		}
	}
	return p, nil
}

// oldest returns up to limit primary keys from an index by instant, those before the given one.
func (t *txn) oldest(bucket string, before Instant, limit int) [][]byte {
	var list [][]byte
	c := t.tx.Bucket([]byte(bucket)).Cursor()
	for k, _ := c.First(); k != nil && len(list) < limit; k, _ = c.Next() {
		if Instant(binary.BigEndian.Uint64(k)) > before {
			break
		}
		list = append(list, bytes.Clone(k[9:]))
	}
	return list
}
