// Package wheel is a hierarchical timer wheel as plain data: it knows which keys are due when, and
// nothing of clocks, goroutines or leases. See G. Varghese and T. Lauck, "Hashed and Hierarchical
// Timing Wheels" (1987).
package wheel

import (
	"fmt"
	"time"
)

const (
	bits   = 8
	slots  = 1 << bits // per level
	levels = 4         // together 2^32 ticks: 13 years at 100 ms
)

// Wheel holds keys by the instant at which they are due. Scheduling, rescheduling and cancelling take
// constant time. A Wheel is not safe for concurrent use.
type Wheel[K comparable] struct {
	tick  time.Duration
	start time.Time
	now   uint64 // ticks since start that have been worked off
	slot  [levels][slots]*entry[K]
	where map[K]*entry[K]
	free  *entry[K]
}

type entry[K comparable] struct {
	key        K
	due        uint64 // in ticks since start
	next, prev *entry[K]
	head       **entry[K] // the slot it hangs in
}

// New returns an empty wheel that stands at the given instant. The tick is the resolution: a key is
// reported up to one tick after its instant, never before.
func New[K comparable](tick time.Duration, at time.Time) *Wheel[K] {
	if tick <= 0 {
		panic(fmt.Sprintf("wheel: the tick must be positive, not %s", tick))
	}
	return &Wheel[K]{tick: tick, start: at, where: map[K]*entry[K]{}}
}

// Len returns the number of keys held.
func (w *Wheel[K]) Len() int { return len(w.where) }

// Schedule sets the instant at which the key is due, whatever it was before. An instant that has
// passed is reported by the next Advance that moves the wheel.
func (w *Wheel[K]) Schedule(key K, at time.Time) {
	e := w.where[key]
	if e != nil {
		e.unlink()
	} else {
		e = w.take(key)
		w.where[key] = e
	}
	e.due = max(w.ticksUntil(at), w.now+1)
	w.hang(e)
}

// Cancel forgets the key. Cancelling an unknown key does nothing.
func (w *Wheel[K]) Cancel(key K) {
	if e := w.where[key]; e != nil {
		e.unlink()
		w.drop(e)
	}
}

// Advance moves the wheel to the given instant and calls due for every key whose instant has come, in
// order of ticks. A key is forgotten before due is called, which may schedule it anew. An instant
// that lies behind does nothing.
func (w *Wheel[K]) Advance(at time.Time, due func(K)) {
	if at.Before(w.start) {
		return
	}
	target := uint64(at.Sub(w.start) / w.tick)
	for w.now < target {
		if len(w.where) == 0 {
			w.now = target
			return
		}
		w.now++
		w.cascade()
		head := &w.slot[0][w.now%slots]
		for *head != nil {
			e := *head
			e.unlink()
			key := e.key
			w.drop(e)
			due(key)
		}
	}
}

// cascade brings the keys of a coarser slot down when the wheel comes to its beginning.
func (w *Wheel[K]) cascade() {
	for level := 1; level < levels; level++ {
		if w.now%(1<<(bits*level)) != 0 {
			return
		}
		head := &w.slot[level][(w.now>>(bits*level))%slots]
		for *head != nil {
			e := *head
			e.unlink()
			w.hang(e)
		}
	}
}

// hang links an entry into the finest slot that can hold its distance.
func (w *Wheel[K]) hang(e *entry[K]) {
	due := min(e.due, w.now+1<<(bits*levels)-1) // beyond the last level: come by again at its end
	level := 0
	for level < levels-1 && due>>(bits*level)-w.now>>(bits*level) >= slots {
		level++
	}
	head := &w.slot[level][(due>>(bits*level))%slots]
	e.head, e.prev, e.next = head, nil, *head
	if e.next != nil {
		e.next.prev = e
	}
	*head = e
}

// ticksUntil rounds up, so that nothing is early.
func (w *Wheel[K]) ticksUntil(at time.Time) uint64 {
	d := at.Sub(w.start)
	if d <= 0 {
		return 0
	}
	return uint64((d-1)/w.tick) + 1
}

func (w *Wheel[K]) take(key K) *entry[K] {
	e := w.free
	if e == nil {
		return &entry[K]{key: key}
	}
	w.free, e.next, e.key = e.next, nil, key
	return e
}

func (w *Wheel[K]) drop(e *entry[K]) {
	delete(w.where, e.key)
	var zero K
	e.key, e.next = zero, w.free
	w.free = e
}

func (e *entry[K]) unlink() {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		*e.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	}
	e.prev, e.next, e.head = nil, nil, nil
}
