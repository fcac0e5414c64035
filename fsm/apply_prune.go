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
			events.delete(t, eventKey(e.Index, e.Ordinal))
			p.Events++
		}
		leases.delete(t, key)
		p.Leases++
	}
	// Events that belong to no lease are filed under the empty id.
	var old [][]byte
	eachRow(t.tx, bucketEventsByLease, nil, nil, false, func(k []byte) bool {
		e, ok := events.get(t.tx, k)
		if !ok || e.At >= horizon || len(old) >= c.Limit {
			return false
		}
		old = append(old, bytes.Clone(k))
		return true
	})
	for _, key := range old {
		events.delete(t, key)
		p.Events++
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
