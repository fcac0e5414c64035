package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"broker/providers"
)

// queue lets calls of one kind share transactions. A call that finds a lane free goes at once and alone;
// calls that come while every lane is busy wait, and go together with the next one that is free. So
// nothing is delayed for company, and the busier it is the larger are the batches.
//
// A batch belongs to no call: one that is given up leaves the others be. The batch ends early when
// everybody has given it up, or the Backend is closed.
type queue[T any] struct {
	backend    *backend
	lanes      int                                                         // batches at the same time
	most       int                                                         // weight of a batch; the first job may weigh more
	weight     func(T) int                                                 // nil: each job weighs one
	statements int                                                         // how many waits the limit of a batch has room for
	run        func(ctx context.Context, conn *pgx.Conn, jobs []ticket[T]) // answers every job

	mu      sync.Mutex
	busy    int // lanes under way
	waiting []ticket[T]
	served  uint64 // batches that came to their end over a connection that lives
	going   sync.WaitGroup
}

// ticket is a job in a queue.
type ticket[T any] struct {
	job T
	*place
}

// place is where a job waits for its answer.
type place struct {
	answered chan error // takes one
	served   uint64     // of the queue when the job came; guarded by the queue's mu
	outcome  error      // the answer that is to be handed over; the lane's
	handed   bool       // the lane's
	batch    *party     // nil while the job waits; guarded by the queue's mu
}

// party is a batch under way.
type party struct {
	left   int // jobs that nobody has given up; guarded by the queue's mu
	cancel context.CancelFunc
}

// answer keeps the answer until the lane has given its connection back: whoever has it may rely on that.
func (p *place) answer(err error) { p.outcome = err }

// hand gives the answer to whoever waits for it, once.
func (p *place) hand() {
	if !p.handed {
		p.handed = true
		p.answered <- p.outcome
	}
}

// do returns the answer to the job. When ctx ends first, the error says whether anything of it can have
// been sent.
func (q *queue[T]) do(ctx context.Context, job T) error {
	if err := ctx.Err(); err != nil {
		return q.unsent(err)
	}
	t := ticket[T]{job, &place{answered: make(chan error, 1)}}
	q.mu.Lock()
	t.served = q.served
	q.waiting = append(q.waiting, t)
	if q.busy < q.lanes {
		q.busy++
		q.going.Go(q.lane)
	}
	q.mu.Unlock()
	select {
	case err := <-t.answered:
		return err
	case <-ctx.Done():
	}
	unsent, last, passed := q.giveUp(t.place)
	switch {
	case unsent:
		err := q.unsent(ctx.Err())
		err.Busy = passed
		return err
	case last:
		return <-t.answered // which knows more, and comes now that the batch is cancelled
	}
	select {
	case err := <-t.answered:
		return err
	default:
		return &providers.Error{Kind: providers.KindUnknown, Err: fmt.Errorf("waiting for an answer: %w", ctx.Err())}
	}
}

// unsent is the answer to a job that was given up while it waited.
func (q *queue[T]) unsent(err error) *providers.Error {
	return &providers.Error{Kind: providers.KindUnavailable, NotSent: true,
		Err: fmt.Errorf("waiting for a connection to PostgreSQL at %s: %w", q.backend.address(), err)}
}

// giveUp takes a job out of the queue, or reports that it was the last that its batch ran for. passed says
// that others had their turn while it waited.
func (q *queue[T]) giveUp(p *place) (unsent, last, passed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.batch != nil {
		p.batch.left--
		if p.batch.left == 0 {
			p.batch.cancel()
		}
		return false, p.batch.left == 0, false
	}
	q.waiting = slices.DeleteFunc(q.waiting, func(t ticket[T]) bool { return t.place == p })
	return true, false, q.served > p.served
}

// lane runs one batch after the other until nothing waits.
func (q *queue[T]) lane() {
	for q.occupied() {
		q.once()
	}
}

// occupied reports whether something waits, and gives the lane up when nothing does.
func (q *queue[T]) occupied() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.busy--
		return false
	}
	return true
}

// once runs a batch of those that wait when there is a connection.
func (q *queue[T]) once() {
	ctx, cancel := q.backend.bound(context.Background(), q.statements)
	defer cancel()
	conn, err := q.backend.acquire(ctx)
	batch := q.take(cancel)
	if err != nil {
		for _, t := range batch {
			t.answer(err)
		}
	} else {
		if len(batch) > 0 {
			q.run(ctx, conn.Conn(), slices.Clone(batch))
			if !conn.Conn().IsClosed() {
				q.mu.Lock()
				q.served++
				q.mu.Unlock()
			}
		}
		conn.Release()
	}
	for _, t := range batch {
		t.hand()
	}
}

// take makes a batch of those that wait longest.
func (q *queue[T]) take(cancel context.CancelFunc) []ticket[T] {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, weight := 0, 0
	for n < len(q.waiting) {
		if q.weight != nil {
			weight += q.weight(q.waiting[n].job)
		} else {
			weight++
		}
		if n > 0 && weight > q.most {
			break
		}
		n++
	}
	batch := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	together := &party{left: n, cancel: cancel}
	for _, t := range batch {
		t.batch = together
		// Silence is never success.
		t.outcome = &providers.Error{Kind: providers.KindUnknown, Err: errors.New("the batch gave no answer")}
	}
	return batch
}
