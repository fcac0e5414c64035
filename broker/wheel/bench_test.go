package wheel_test

import (
	"container/heap"
	"fmt"
	"sync"
	"testing"
	"time"

	"broker/broker/wheel"
)

// BenchmarkQueue compares the wheel with container/heap. Each holds so many keys that are due within one
// window, spread over it; an operation is one key that is scheduled, renewed, cancelled or found to be due.
//
//	go test ./broker/wheel -run='^$' -bench=Queue -benchtime=1000000x
func BenchmarkQueue(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000, 10_000_000} {
		wheels := sync.OnceValue(func() *load { return fill(wheel.New[int](tick, start), n) })
		heaps := sync.OnceValue(func() *load { return fill(&timers{where: map[int]*timer{}}, n) })
		for _, op := range []struct {
			name string
			run  func(*load, *testing.B)
		}{
			{"schedule", (*load).schedule}, {"renew", (*load).renew}, {"cancel", (*load).cancel}, {"advance", (*load).advance},
		} {
			b.Run(fmt.Sprintf("%s/%d/wheel", op.name, n), func(b *testing.B) { op.run(wheels(), b) })
			b.Run(fmt.Sprintf("%s/%d/heap", op.name, n), func(b *testing.B) { op.run(heaps(), b) })
		}
	}
}

// window is what the engine's wheel holds at a time.
const window = 10 * time.Minute

// queue is what a wheel and a heap have in common.
type queue interface {
	Schedule(key int, at time.Time)
	Cancel(key int)
	Advance(at time.Time, due func(key int))
}

// load is a queue between operations: it holds the keys 0 to n-1, due one step after another in an order
// that has nothing to do with where they lie in memory.
type load struct {
	queue queue
	n     int
	batch int           // operations that are timed at a stretch: few of what is held
	step  time.Duration // from one key to the next that is due
	now   time.Time
	next  int       // the place in the order of the key that is due next
	last  time.Time // when the last key is due
	due   []int
}

func fill(q queue, n int) *load {
	l := &load{queue: q, n: n, batch: max(n/10, 500), step: window / time.Duration(n), now: start, last: start}
	for range n {
		l.put()
	}
	return l
}

// key returns the key at a place in the order: the factor has no divisor in common with a power of ten.
func (l *load) key(place int) int { return place * 7_368_787 % l.n }

// put schedules the key that was due next as the last one.
func (l *load) put() {
	l.last = l.last.Add(l.step)
	l.queue.Schedule(l.key(l.next), l.last)
	l.next = (l.next + 1) % l.n
}

// pass has the time pass in which so many keys become due.
func (l *load) pass(steps int) { l.now = l.now.Add(time.Duration(steps) * l.step) }

// batches times one part of every batch and not the other.
func (l *load) batches(b *testing.B, timed, restore func(k int)) {
	b.ResetTimer()
	for left := b.N; left > 0; left -= l.batch {
		k := min(left, l.batch)
		timed(k)
		b.StopTimer()
		restore(k)
		b.StartTimer()
	}
}

func (l *load) schedule(b *testing.B) {
	l.batches(b, func(k int) {
		for i := range k {
			l.queue.Schedule(l.n+i, l.now.Add(time.Duration(l.key(i))*l.step))
		}
	}, func(k int) {
		for i := range k {
			l.queue.Cancel(l.n + i)
		}
	})
}

// renew moves the key that is due next to the end of the window: clients renew when a certain part of
// their time is left.
func (l *load) renew(b *testing.B) {
	l.batches(b, func(k int) {
		for range k {
			l.put()
		}
	}, func(k int) {
		l.pass(k)
		l.queue.Advance(l.now, func(int) { b.Error("a renewed key is due") })
	})
}

func (l *load) cancel(b *testing.B) {
	l.batches(b, func(k int) {
		for i := range k {
			l.queue.Cancel(l.key(l.next + l.n/3 + i))
		}
	}, func(k int) {
		for i := range k {
			l.queue.Schedule(l.key(l.next+l.n/3+i), l.last.Add(time.Duration(l.n/3+i-l.n+1)*l.step))
		}
	})
}

func (l *load) advance(b *testing.B) {
	b.ResetTimer()
	for done := 0; done < b.N; done += len(l.due) {
		l.due = l.due[:0]
		l.pass(min(l.batch, b.N-done))
		l.queue.Advance(l.now, func(key int) { l.due = append(l.due, key) })
		b.StopTimer()
		for range l.due {
			l.put()
		}
		b.StartTimer()
	}
}

// timers is the heap that stands in for a wheel.
type timers struct {
	list  []*timer
	where map[int]*timer
}

type timer struct {
	at         time.Time
	key, index int
}

func (h *timers) Schedule(key int, at time.Time) {
	if e := h.where[key]; e != nil {
		e.at = at
		heap.Fix(h, e.index)
		return
	}
	e := &timer{at: at, key: key}
	h.where[key] = e
	heap.Push(h, e)
}

func (h *timers) Cancel(key int) {
	if e := h.where[key]; e != nil {
		delete(h.where, key)
		heap.Remove(h, e.index)
	}
}

func (h *timers) Advance(at time.Time, due func(int)) {
	for len(h.list) > 0 && !h.list[0].at.After(at) {
		e := heap.Pop(h).(*timer)
		delete(h.where, e.key)
		due(e.key)
	}
}

func (h *timers) Len() int           { return len(h.list) }
func (h *timers) Less(i, j int) bool { return h.list[i].at.Before(h.list[j].at) }
func (h *timers) Swap(i, j int) {
	h.list[i], h.list[j] = h.list[j], h.list[i]
	h.list[i].index, h.list[j].index = i, j
}
func (h *timers) Push(x any) {
	e := x.(*timer)
	e.index = len(h.list)
	h.list = append(h.list, e)
}
func (h *timers) Pop() any {
	e := h.list[len(h.list)-1]
	h.list[len(h.list)-1] = nil
	h.list = h.list[:len(h.list)-1]
	return e
}
