package audit

import (
	"sync"
	"sync/atomic"
	"time"

	"broker/access/audit/chain"
)

// entry is a record on its way into the log: everything of it but its place in the chain.
type entry struct {
	kind  chain.Type
	body  []byte
	state atomic.Int32
	done  chan error // of who waits for it; it has room for the one answer
}

// The states of an entry that somebody waits for.
const (
	waiting int32 = iota
	taken         // it is being written
	givenUp       // nobody waits any more: it is not written
)

// waits reports whether somebody waits for the entry.
func (e *entry) waits() bool { return e.kind == chain.TypeRequest }

// queue holds what waits to be written. What is put back after a failed write counts until it is written.
type queue struct {
	maxRecords, maxBytes int

	wake chan struct{} // has room for one

	mu      sync.Mutex
	list    []*entry
	records int // in the list, or in the writer's hands
	bytes   int
	lost    lost
	closed  bool
}

// lost counts what found no room.
type lost struct {
	outcomes, calls uint64
	from, to        time.Time
}

func (l lost) any() bool { return l.outcomes+l.calls > 0 }

// add puts an entry into the queue. False: there is no room for it. What is nobody's to wait for is counted then.
func (q *queue) add(e *entry, now time.Time) bool {
	q.mu.Lock()
	fits := !q.closed && q.records < q.maxRecords && q.bytes+len(e.body) <= q.maxBytes
	switch {
	case fits:
		q.list = append(q.list, e)
		q.records++
		q.bytes += len(e.body)
	case e.kind == chain.TypeOutcome || e.kind == chain.TypeCall:
		if !q.lost.any() {
			q.lost.from = now
		}
		q.lost.to = now
		if e.kind == chain.TypeCall {
			q.lost.calls++
		} else {
			q.lost.outcomes++
		}
	}
	q.mu.Unlock()
	if fits {
		q.poke()
	}
	return fits
}

func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take adds what waits to the batch.
func (q *queue) take(batch []*entry) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch = append(batch, q.list...)
	clear(q.list)
	q.list = q.list[:0]
	return batch
}

// finished gives the room of an entry back.
func (q *queue) finished(e *entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.records--
	q.bytes -= len(e.body)
}

// takeLost returns what was lost and begins to count anew.
func (q *queue) takeLost() lost {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lost
	q.lost = lost{}
	return l
}

// giveBack counts again what could not be told.
func (q *queue) giveBack(l lost) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.lost.any() {
		q.lost = l
		return
	}
	q.lost.outcomes += l.outcomes
	q.lost.calls += l.calls
	q.lost.from = l.from
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

func (q *queue) size() (records int, lost uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.records, q.lost.outcomes + q.lost.calls
}
