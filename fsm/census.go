package fsm

import (
	"bytes"
	"encoding/binary"
	"time"

	"go.etcd.io/bbolt"
)

// MaxCensus is how many of a kind a [Census] counts at the most where they have to be counted one by one.
const MaxCensus = 100_000

// Census is the state in numbers, as metrics show it.
type Census struct {
	Clock  Instant               // the state machine's clock
	Leases map[LeaseState]uint64 // in each live state

	// Overdue counts the leases that the leader should have acted on by itself and has not yet: active ones
	// past their end, pending ones past their create deadline. Stuck counts the revoking ones whose removal
	// keeps failing. Both stop at MaxCensus.
	Overdue, Stuck uint64

	// FirstDueAt is when the first of all leases is due, overdue or not; zero when none is.
	FirstDueAt Instant

	Connections []ConnectionCensus // in order of name
}

// ConnectionCensus is a connection in numbers, with the systems that it pointed at before.
type ConnectionCensus struct {
	Name     ConnectionName
	Provider string
	Live     uint64 // leases that are pending, active or revoking
	Paused   bool

	// Orphans and Missing are what the newest sweeps left: logins without a live lease, and active leases
	// without a login. Both stop at MaxCensus, over all connections.
	Orphans, Missing uint64

	// SweptAt is the instant of the newest complete sweep of the present system; zero when there was none.
	SweptAt Instant
}

// Census counts. It costs some microseconds, as much again for each connection, and a tenth of a
// microsecond for each lease that is overdue, stuck or missing, and for each orphan.
func (v *View) Census(now Instant) Census {
	c := Census{Clock: v.Meta().Clock, Leases: v.LeaseCounts()}
	due := v.tx.Bucket([]byte("leases_by_due")).Cursor()
	for k, _ := due.First(); k != nil && c.Overdue < MaxCensus; k, _ = due.Next() {
		at := Instant(binary.BigEndian.Uint64(k))
		if c.FirstDueAt == 0 {
			c.FirstDueAt = at
		}
		if at > now {
			break
		}
		c.Overdue++
	}
	eachRow(v.tx, bucketStuck, nil, nil, false, func([]byte) bool {
		c.Stuck++
		return c.Stuck < MaxCensus
	})
	orphaned, missing := countByConnection(v.tx, orphans.bucket), countByConnection(v.tx, "leases_by_missing")
	connections.scan(v.tx, nil, func(n Connection) bool {
		one := ConnectionCensus{
			Name: n.Name, Provider: n.Provider, Live: v.Count(connectionCounter(n.Name)), Paused: n.Paused(now),
			Orphans: orphaned[n.Name], Missing: missing[n.Name],
		}
		if s, ok := v.Sweep(n.Name, n.System); ok {
			one.SweptAt = s.At
		}
		c.Connections = append(c.Connections, one)
		return true
	})
	return c
}

// countByConnection counts the rows of a bucket whose keys begin with a connection's name, without
// decoding any.
func countByConnection(tx *bbolt.Tx, bucket string) map[ConnectionName]uint64 {
	counts := map[ConnectionName]uint64{}
	cursor := tx.Bucket([]byte(bucket)).Cursor()
	var name []byte // of the rows that are being counted
	var n, all uint64
	for k, _ := cursor.First(); k != nil && all < MaxCensus; k, _ = cursor.Next() {
		if len(name) == 0 || !bytes.HasPrefix(k, name) {
			if n > 0 {
				counts[ConnectionName(name[:len(name)-1])] = n
			}
			end := bytes.IndexByte(k, 0)
			name, n = bytes.Clone(k[:end+1]), 0
		}
		n++
		all++
	}
	if n > 0 {
		counts[ConnectionName(name[:len(name)-1])] = n
	}
	return counts
}

// fillStuck files the stuck leases of a state file that was written before they were filed.
func fillStuck(tx *bbolt.Tx) error {
	var keys [][]byte
	eachRow(tx, "leases_by_state", []byte(Revoking), nil, false, func(id []byte) bool {
		if l, ok := leases.get(tx, id); ok && l.Stuck {
			keys = append(keys, rowKey(nil, id))
		}
		return true
	})
	for _, k := range keys {
		if err := tx.Bucket([]byte(bucketStuck)).Put(k, nil); err != nil {
			return err
		}
	}
	return nil
}

// Ends counts the active leases that end within each of n spans of time that follow each other, the first from an
// instant on. It costs a tenth of a microsecond for each of these leases.
func (v *View) Ends(from Instant, span time.Duration, n int) []uint64 {
	counts := make([]uint64, n)
	pending := map[string]bool{} // due at their create deadlines, which are no ends; there are few
	eachRow(v.tx, "leases_by_state", []byte(Pending), nil, false, func(id []byte) bool {
		pending[string(id)] = true
		return true
	})
	due := v.tx.Bucket([]byte("leases_by_due")).Cursor()
	for k, _ := due.Seek(bigEndian(uint64(from))); k != nil; k, _ = due.Next() {
		at := int(Instant(binary.BigEndian.Uint64(k)).Sub(from) / span)
		if at >= n {
			break
		}
		if !pending[string(k[9:])] {
			counts[at]++
		}
	}
	return counts
}
