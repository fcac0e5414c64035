package broker

import (
	"context"
	"sync"

	"broker/fsm"
)

// rotations is what the leader holds of the rotations of root credentials.
type rotations struct {
	wake poker

	mu    sync.Mutex
	taken map[fsm.ConnectionName]chan struct{} // closed when whoever works on a connection's rotation is done
	news  chan struct{}                        // closed when something was recorded
}

func newRotations() *rotations {
	return &rotations{wake: make(poker, 1), taken: map[fsm.ConnectionName]chan struct{}{}, news: make(chan struct{})}
}

func (rs *rotations) poke() { rs.wake.poke() }

// tryTake begins work on a connection's rotation unless somebody is at it; done ends it.
func (rs *rotations) tryTake(name fsm.ConnectionName) (done func(), wait <-chan struct{}) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if ch := rs.taken[name]; ch != nil {
		return nil, ch
	}
	ch := make(chan struct{})
	rs.taken[name] = ch
	return func() {
		rs.mu.Lock()
		defer rs.mu.Unlock()
		delete(rs.taken, name)
		close(ch)
	}, nil
}

// take waits for its turn.
func (rs *rotations) take(ctx context.Context, name fsm.ConnectionName) (done func(), err error) {
	for {
		done, wait := rs.tryTake(name)
		if done != nil {
			return done, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ErrNotLeader // a request's context ends with the period only
		}
	}
}

// changed returns what is closed when something is recorded next.
func (rs *rotations) changed() <-chan struct{} {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.news
}

// tell tells those who wait that something was recorded.
func (rs *rotations) tell() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	close(rs.news)
	rs.news = make(chan struct{})
}
