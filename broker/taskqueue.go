package broker

import (
	"cmp"
	"container/heap"
	"time"

	"github.com/cenkalti/backoff/v5"

	"broker/fsm"
)

// task is the removal of one lease's login.
type task struct {
	id    fsm.LeaseID
	at    time.Time // of the next try
	tries int       // that failed, in earlier periods too
	pause *backoff.ExponentialBackOff
	waits bool // the system was unavailable: try again once it is back
	place int  // in the heap; -1 while it is worked on
}

// taskQueue holds tasks by the instant of their next try. It is not safe for concurrent use.
type taskQueue struct {
	byID map[fsm.LeaseID]*task
	heap taskHeap
}

func newTaskQueue() *taskQueue { return &taskQueue{byID: map[fsm.LeaseID]*task{}} }

// add takes a task on unless there is one for its lease already.
func (q *taskQueue) add(t *task) {
	if q.byID[t.id] == nil {
		q.byID[t.id] = t
		heap.Push(&q.heap, t)
	}
}

// take removes up to limit tasks that are due and returns them, earliest first, with the instant of
// the next one, which is zero when there is none. Each must be given back by postpone or done.
func (q *taskQueue) take(now time.Time, limit int) (due []*task, next time.Time) {
	for len(q.heap) > 0 && len(due) < limit && !q.heap[0].at.After(now) {
		due = append(due, heap.Pop(&q.heap).(*task))
	}
	if len(q.heap) > 0 {
		next = q.heap[0].at
	}
	return due, next
}

// postpone plans the next try of a lease. A lease without a task stays without.
func (q *taskQueue) postpone(id fsm.LeaseID, at time.Time) {
	t := q.byID[id]
	if t == nil {
		return
	}
	t.at = at
	if t.place < 0 {
		heap.Push(&q.heap, t)
	} else {
		heap.Fix(&q.heap, t.place)
	}
}

// advance has the next try of a lease be no later than at. One that is worked on stays as it is.
func (q *taskQueue) advance(id fsm.LeaseID, at time.Time) {
	if t := q.byID[id]; t != nil && t.place >= 0 && at.Before(t.at) {
		q.postpone(id, at)
	}
}

// release makes due what waits for the system to be back.
func (q *taskQueue) release(now time.Time) {
	for _, t := range q.byID {
		if t.waits && t.place >= 0 {
			t.at, t.waits = now, false
		}
	}
	heap.Init(&q.heap)
}

// done forgets the task of a lease.
func (q *taskQueue) done(id fsm.LeaseID) {
	t := q.byID[id]
	if t == nil {
		return
	}
	delete(q.byID, id)
	if t.place >= 0 {
		heap.Remove(&q.heap, t.place)
	}
}

// giveBack plans a try for every task of a batch that was neither finished nor postponed.
func (q *taskQueue) giveBack(batch []*task, at time.Time) {
	for _, t := range batch {
		if q.byID[t.id] == t && t.place < 0 {
			q.postpone(t.id, at)
		}
	}
}

type taskHeap []*task

func (h taskHeap) Len() int { return len(h) }
func (h taskHeap) Less(i, j int) bool {
	return cmp.Or(h[i].at.Compare(h[j].at), cmp.Compare(h[i].id, h[j].id)) < 0
}
func (h taskHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}
func (h *taskHeap) Push(x any) {
	t := x.(*task)
	t.place = len(*h)
	*h = append(*h, t)
}
func (h *taskHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h, t.place = old[:len(old)-1], -1
	return t
}
