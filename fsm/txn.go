package fsm

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"go.etcd.io/bbolt"
)

// txn is one write transaction over a batch of log entries. Every change of a record goes through
// put and delete, which fold it into the running hash.
type txn struct {
	View
	meta    Meta
	entry   hash.Hash // over the changes of the present entry
	wrote   bool      // whether the present entry changed anything
	actor   Actor
	ordinal uint32
}

// ioError is thrown when the state file cannot be written. The file is scratch, but going on without
// it is not possible.
type ioError struct{ err error }

func newTxn(tx *bbolt.Tx, meta Meta) *txn {
	return &txn{View: View{tx: tx}, meta: meta, entry: sha256.New()}
}

// begin starts the entry at index: time moves forward, never back.
func (t *txn) begin(index, term uint64, at Instant, actor Actor) {
	t.meta.Index, t.meta.Term = index, term
	t.meta.Clock = max(t.meta.Clock, at)
	t.actor, t.ordinal, t.wrote = actor, 0, false
	t.entry.Reset()
	t.entry.Write(t.meta.Hash)
}

// end folds the entry's changes into the running hash. An entry that changed nothing leaves it alone.
func (t *txn) end() {
	if t.wrote {
		t.meta.Hash = t.entry.Sum(nil)
	}
}

// now is the state machine's clock.
func (t *txn) now() Instant { return t.meta.Clock }

func (t *txn) put(bucket string, key, value []byte) {
	t.fold(bucket, key, value)
	t.must(t.tx.Bucket([]byte(bucket)).Put(key, value))
}

func (t *txn) delete(bucket string, key []byte) {
	t.fold(bucket, key, nil)
	t.must(t.tx.Bucket([]byte(bucket)).Delete(key))
}

func (t *txn) fold(bucket string, key, value []byte) {
	t.wrote = true
	var n [12]byte
	binary.BigEndian.PutUint32(n[0:], uint32(len(bucket)))
	binary.BigEndian.PutUint32(n[4:], uint32(len(key)))
	binary.BigEndian.PutUint32(n[8:], uint32(len(value)))
	t.entry.Write(n[:])
	t.entry.Write([]byte(bucket))
	t.entry.Write(key)
	t.entry.Write(value)
}

func (t *txn) must(err error) {
	if err != nil {
		panic(ioError{err})
	}
}

// record appends an event to history.
func (t *txn) record(e Event) {
	e.Index, e.Ordinal, e.At, e.Actor = t.meta.Index, t.ordinal, t.now(), t.actor
	t.ordinal++
	events.put(t, e)
}

// count adds to a counter and returns its new value. Counters at zero have no row.
func (t *txn) count(name string, by int64) uint64 {
	n := uint64(int64(t.Count(name)) + by)
	if n == 0 {
		t.delete(bucketCounts, []byte(name))
	} else {
		t.put(bucketCounts, []byte(name), bigEndian(n))
	}
	return n
}
