package fsm

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
)

// table is a bucket of records of one type with its indexes. It is a description, not state: the
// transaction is passed to every call.
type table[R any] struct {
	bucket  string
	key     func(*R) []byte
	indexes []index[R]
	cached  bool // write transactions keep what they have read and written decoded
}

// cacheKey names a record of a cached table.
type cacheKey struct{ bucket, key string }

// index maps derived keys to a record's primary key. Its rows are `derived key, primary key` with an
// empty value, so that one derived key may belong to many records and a scan yields them in order.
type index[R any] struct {
	bucket string

	// key appends the part before the primary key; false: the record is not in the index.
	key func(r *R, to []byte) ([]byte, bool)

	// keys takes the place of key where one record may have several.
	keys func(*R) [][]byte
}

// filedBy is an index by a text that every record has.
func filedBy[R any](bucket string, text func(*R) string) index[R] {
	return index[R]{bucket: bucket, key: func(r *R, to []byte) ([]byte, bool) { return append(to, text(r)...), true }}
}

// filedWhere is an index by a text that not every record has.
func filedWhere[R any](bucket string, text func(*R) (string, bool)) index[R] {
	return index[R]{bucket: bucket, key: func(r *R, to []byte) ([]byte, bool) {
		s, ok := text(r)
		return append(to, s...), ok
	}}
}

// filedAt is an index by an instant that not every record has.
func filedAt[R any](bucket string, at func(*R) (Instant, bool)) index[R] {
	return index[R]{bucket: bucket, key: func(r *R, to []byte) ([]byte, bool) {
		i, ok := at(r)
		return binary.BigEndian.AppendUint64(to, uint64(i)), ok
	}}
}

// corruptError is thrown by reads that meet a record they cannot decode. The state is rebuilt from
// log and snapshot at every start, so this is a bug or failing memory, never a case to go on from.
type corruptError struct{ err error }

func (t table[R]) get(tx *bbolt.Tx, key []byte) (R, bool) {
	var r R
	data := tx.Bucket([]byte(t.bucket)).Get(key)
	if data == nil {
		return r, false
	}
	t.decode(key, data, &r)
	return r, true
}

// read is get for what may be in the transaction's cache.
func (t table[R]) read(v *View, key []byte) (R, bool) {
	if v.cache == nil || !t.cached {
		return t.get(v.tx, key)
	}
	name := cacheKey{t.bucket, string(key)}
	if r, ok := v.cache[name]; ok {
		return *r.(*R), true
	}
	r, ok := t.get(v.tx, key)
	if ok {
		v.cache[name] = &r
	}
	return r, ok
}

func (t table[R]) decode(key, data []byte, r *R) {
	if err := decode(data, r); err != nil {
		panic(corruptError{fmt.Errorf("reading %s %x: %w", t.bucket, key, err)})
	}
}

// put writes a record.
func (t table[R]) put(tx *txn, r R) {
	old, had := t.read(&tx.View, t.key(&r))
	if had {
		t.replace(tx, &old, r)
	} else {
		t.replace(tx, nil, r)
	}
}

// replace writes a record whose present state the caller knows: nil when there is none.
func (t table[R]) replace(tx *txn, old *R, r R) {
	key := t.key(&r)
	for _, ix := range t.indexes {
		ix.move(tx, old, &r, key)
	}
	data, err := encode(&r)
	tx.must(err)
	tx.put(t.bucket, key, data)
	if t.cached {
		tx.cache[cacheKey{t.bucket, string(key)}] = &r
	}
}

// move files a record that changed; nil: it was not there before, or is not there any more.
func (ix index[R]) move(tx *txn, old, now *R, primary []byte) {
	if ix.keys == nil {
		before, after := tx.derived[0][:0], tx.derived[1][:0]
		was, is := false, false
		if old != nil {
			before, was = ix.key(old, before)
		}
		if now != nil {
			after, is = ix.key(now, after)
		}
		tx.derived = [2][]byte{before, after}
		if was && is && bytes.Equal(before, after) {
			return
		}
		if was {
			tx.deleteRow(ix.bucket, rowKey(before, primary))
		}
		if is {
			tx.putRow(ix.bucket, rowKey(after, primary), nil)
		}
		return
	}
	var before, after [][]byte
	if old != nil {
		before = ix.keys(old)
	}
	if now != nil {
		after = ix.keys(now)
	}
	for _, k := range before {
		if !contains(after, k) {
			tx.deleteRow(ix.bucket, rowKey(k, primary))
		}
	}
	for _, k := range after {
		if !contains(before, k) {
			tx.putRow(ix.bucket, rowKey(k, primary), nil)
		}
	}
}

func (t table[R]) delete(tx *txn, key []byte) {
	old, had := t.read(&tx.View, key)
	if !had {
		return
	}
	for _, ix := range t.indexes {
		ix.move(tx, &old, nil, key)
	}
	tx.delete(t.bucket, key)
	if t.cached {
		delete(tx.cache, cacheKey{t.bucket, string(key)})
	}
}

// scan visits records in key order, beginning after the given key, until visit answers false.
func (t table[R]) scan(tx *bbolt.Tx, after []byte, visit func(R) bool) {
	c := tx.Bucket([]byte(t.bucket)).Cursor()
	k, v := c.Seek(after)
	if len(after) > 0 && bytes.Equal(k, after) {
		k, v = c.Next()
	}
	for ; k != nil; k, v = c.Next() {
		var r R
		t.decode(k, v, &r)
		if !visit(r) {
			return
		}
	}
}

// rowKey joins a derived key and a primary key. Derived keys either have a fixed length or are names,
// which never contain a zero byte, so the zero byte keeps one name from being another's prefix.
func rowKey(derived, primary []byte) []byte {
	row := make([]byte, 0, len(derived)+1+len(primary))
	row = append(row, derived...)
	row = append(row, 0)
	return append(row, primary...)
}

// eachRow visits the primary keys filed under a derived key, in order (newest last), beginning after
// one of them; reverse goes the other way.
func eachRow(tx *bbolt.Tx, bucket string, derived, after []byte, reverse bool, visit func(primary []byte) bool) {
	c := tx.Bucket([]byte(bucket)).Cursor()
	prefix := rowKey(derived, nil)
	var k []byte
	if reverse {
		k = seekBefore(c, prefix, after)
	} else {
		start := append(bytes.Clone(prefix), after...)
		k, _ = c.Seek(start)
		if len(after) > 0 && bytes.Equal(k, start) {
			k, _ = c.Next()
		}
	}
	for bytes.HasPrefix(k, prefix) {
		if !visit(k[len(prefix):]) {
			return
		}
		if reverse {
			k, _ = c.Prev()
		} else {
			k, _ = c.Next()
		}
	}
}

// hasRow reports whether any primary key is filed under a derived key.
func hasRow(tx *bbolt.Tx, bucket string, derived []byte) bool {
	prefix := rowKey(derived, nil)
	k, _ := tx.Bucket([]byte(bucket)).Cursor().Seek(prefix)
	return bytes.HasPrefix(k, prefix)
}

// seekBefore positions the cursor on the last row of the prefix that comes before `after`, or on the
// last row of all when after is empty.
func seekBefore(c *bbolt.Cursor, prefix, after []byte) []byte {
	target := append(bytes.Clone(prefix), after...)
	if len(after) == 0 {
		target = append(target, 0xff) // primary keys are ASCII or begin with small bytes
	}
	k, _ := c.Seek(target)
	if k == nil {
		k, _ = c.Last()
		if bytes.Compare(k, target) < 0 {
			return k
		}
	}
	k, _ = c.Prev()
	return k
}

func contains(list [][]byte, k []byte) bool {
	for _, l := range list {
		if bytes.Equal(l, k) {
			return true
		}
	}
	return false
}

func bigEndian(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
