package fsm

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"maps"
	"slices"

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

	trial      bool // nothing is written
	written    int  // rows
	configured bool // a row of configBuckets was written

	scratch []byte    // for fold
	derived [2][]byte // for index.move
}

// configBuckets hold what is read with every request and hardly ever changes. Tokens are not among them: one that is
// made or counted changes nothing that is remembered, and each sign-in makes one. See txn.forgetToken.
var configBuckets = map[string]bool{
	environments.bucket: true, connections.bucket: true, systems.bucket: true, secrets.bucket: true,
	secretVersions.bucket: true, accounts.bucket: true, locks.bucket: true,
	nodes.bucket: true, authorities.bucket: true, gossipKeys.bucket: true,
	sealingKeys.bucket: true, rotations.bucket: true,

	groups.bucket: true, bindings.bucket: true, policies.bucket: true,
}

// ioError is thrown when the state file cannot be written. The file is scratch, but going on without
// it is not possible.
type ioError struct{ err error }

func newTxn(tx *bbolt.Tx, meta Meta) *txn {
	return &txn{View: View{tx: tx, counts: map[string]uint64{}, cache: map[cacheKey]any{}}, meta: meta, entry: sha256.New()}
}

// begin starts the entry at index.
func (t *txn) begin(index, term uint64, actor Actor) {
	t.meta.Index, t.meta.Term = index, term
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
	t.putRow(bucket, key, value)
}

func (t *txn) delete(bucket string, key []byte) {
	t.fold(bucket, key, nil)
	t.deleteRow(bucket, key)
}

// putRow writes a row without folding it into the hash: a row of an index, which follows from records.
func (t *txn) putRow(bucket string, key, value []byte) {
	if b := t.bucket(bucket); b != nil {
		t.must(b.Put(key, value))
	}
}

func (t *txn) deleteRow(bucket string, key []byte) {
	if b := t.bucket(bucket); b != nil {
		t.must(b.Delete(key))
	}
}

// bucket returns the bucket that a row is about to be written to; nil in a trial.
func (t *txn) bucket(name string) *bbolt.Bucket {
	t.written++
	if configBuckets[name] {
		t.configured = true
		delete(t.cache, allLocks)
	}
	if t.trial {
		return nil
	}
	return t.tx.Bucket([]byte(name))
}

func (t *txn) fold(bucket string, key, value []byte) {
	t.wrote = true
	b := t.scratch[:0]
	b = binary.BigEndian.AppendUint32(b, uint32(len(bucket)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(key)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	b = append(append(append(b, bucket...), key...), value...)
	t.entry.Write(b)
	t.scratch = b
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
	events.replace(t, nil, e)
}

// count adds to a counter and returns its new value. The same few counters change with every lease, so
// they are written once, at the end of the batch; the running hash has every change of them.
func (t *txn) count(name string, by int64) uint64 {
	n := uint64(int64(t.Count(name)) + by)
	t.fold(bucketCounts, []byte(name), bigEndian(n))
	t.counts[name] = n
	return n
}

// flush writes the counters that changed. Counters at zero have no row.
func (t *txn) flush() {
	b := t.tx.Bucket([]byte(bucketCounts))
	for _, name := range slices.Sorted(maps.Keys(t.counts)) {
		if n := t.counts[name]; n == 0 {
			t.must(b.Delete([]byte(name)))
		} else {
			t.must(b.Put([]byte(name), bigEndian(n)))
		}
	}
	clear(t.counts)
}
