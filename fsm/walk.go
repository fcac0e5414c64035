package fsm

import (
	"bytes"
	"slices"

	"go.etcd.io/bbolt"
)

// walk goes through ids in an order. It returns the first one that is not before from, or, when past is asked for, the
// first one that comes after it; no from: the first of all. From never goes back. Nil: there is none.
type walk func(from []byte, past bool) []byte

// before reports whether the order has a come before b.
func (o LeaseOrder) before(a, b []byte) bool {
	if o == OldestFirst {
		return bytes.Compare(a, b) < 0
	}
	return bytes.Compare(a, b) > 0
}

// filed walks the ids filed under a derived key of an index.
func (v *View) filed(bucket string, derived []byte, order LeaseOrder) walk {
	return walkRows(v.tx.Bucket([]byte(bucket)).Cursor(), rowKey(derived, nil), order)
}

// walkRows walks what follows a prefix in the keys that have it.
func walkRows(c *bbolt.Cursor, prefix []byte, order LeaseOrder) walk {
	next := func() (k []byte) {
		if order == OldestFirst {
			k, _ = c.Next()
		} else {
			k, _ = c.Prev()
		}
		return k
	}
	var row, target []byte
	over := false
	return func(from []byte, past bool) []byte {
		target = append(append(target[:0], prefix...), from...)
		behind := func() bool { return order.before(row, target) || past && bytes.Equal(row, target) }
		switch {
		case over:
			return nil
		case len(from) == 0 && order == OldestFirst:
			row, _ = c.Seek(prefix)
		case len(from) == 0:
			row = seekBefore(c, prefix, nil)
		default:
			if row != nil && behind() {
				row = next() // mostly that is it, and cheaper than seeking
			}
			if row == nil || behind() {
				row = seek(c, target, past, order)
			}
		}
		if row == nil || !bytes.HasPrefix(row, prefix) {
			over = true
			return nil
		}
		return row[len(prefix):]
	}
}

// seek positions the cursor on the first key, in the order, that is not before the target, or past it.
func seek(c *bbolt.Cursor, target []byte, past bool, order LeaseOrder) []byte {
	if order == NewestFirst && past {
		return seekBefore(c, nil, target)
	}
	k, _ := c.Seek(target)
	if order == NewestFirst && !bytes.Equal(k, target) {
		return seekBefore(c, nil, target)
	}
	if order == OldestFirst && past && bytes.Equal(k, target) {
		k, _ = c.Next()
	}
	return k
}

// listed walks the ids of a list.
func listed(ids []LeaseID, order LeaseOrder) walk {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	if order == NewestFirst {
		slices.Reverse(ids)
	}
	return func(from []byte, past bool) []byte {
		for len(ids) > 0 && len(from) > 0 && (order.before([]byte(ids[0]), from) || past && string(from) == string(ids[0])) {
			ids = ids[1:]
		}
		if len(ids) == 0 {
			return nil
		}
		return []byte(ids[0])
	}
}

// union walks the ids of all walks.
func union(all []walk, order LeaseOrder) walk {
	return func(from []byte, past bool) []byte {
		var first []byte
		for _, w := range all {
			if id := w(from, past); id != nil && (first == nil || order.before(id, first)) {
				first = id
			}
		}
		return first
	}
}

// common walks the ids that all walks share. Each leaps to where the others are, so it takes no more
// rounds than the shortest one has ids.
func common(all []walk) walk {
	return func(from []byte, past bool) []byte {
		agreed := 0
		for i := 0; agreed < len(all); i++ {
			id := all[i%len(all)](from, past)
			if id == nil {
				return nil
			}
			if !past && len(from) > 0 && bytes.Equal(id, from) {
				agreed++
			} else {
				agreed = 1
			}
			from, past = id, false
		}
		return from
	}
}
