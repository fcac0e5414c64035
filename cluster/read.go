package cluster

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// ReadIndex returns a log index such that local state which has applied it (see
// WaitApplied) contains every write acknowledged anywhere before ReadIndex was
// called. Reads that arrive while a round of questions is under way share the
// next one. It returns an error wrapping ErrNoLeader when no leader could be
// found or could prove to be one.
func (n *Node) ReadIndex(ctx context.Context) (uint64, error) {
	if n.raft.Load() == nil {
		return 0, ErrStopped
	}
	return n.reads.join(ctx)
}

// WaitApplied blocks until the local state machine has applied index, or ctx
// ends.
func (n *Node) WaitApplied(ctx context.Context, index uint64) error {
	return n.machine.wait(ctx, index)
}

// AppliedIndex is the index of the last entry the local state machine has
// taken in; unlike Raft's applied index it never runs ahead of the state. Only
// commands move it and snapshots, so it may stay behind the commit index.
func (n *Node) AppliedIndex() uint64 { return n.machine.applied.Load() }

// Staleness is for how long this node has not heard from a leader: 0 on the
// leader, math.MaxInt64 where it never has. State read at once is at most this
// old, plus the time an entry takes from being known to being applied.
func (n *Node) Staleness() time.Duration {
	r := n.raft.Load()
	if r == nil {
		return math.MaxInt64
	}
	if r.State() == raft.Leader {
		return 0
	}
	last := r.LastContact()
	if last.IsZero() {
		return math.MaxInt64
	}
	return max(time.Since(last), 0)
}

// readRound finds a read index on behalf of every read that arrived before it
// began.
func (n *Node) readRound() (uint64, error) {
	ctx, cancel := context.WithTimeout(n.lifetime, n.cfg.Timing.RPC)
	defer cancel()
	r := n.raft.Load()
	if r.State() == raft.Leader {
		return n.leaderReadIndex(ctx)
	}
	leader, _, ok := n.leaderAddr()
	if !ok {
		return 0, ErrNoLeader
	}
	var answer readIndexAnswer
	if err := n.call(ctx, leader, pathReadIndex, nil, &answer); err != nil {
		return 0, fmt.Errorf("%w: asking the leader for a read index: %w", ErrNoLeader, err)
	}
	return answer.Index, nil
}

// leaderReadIndex answers with the index this leader has applied, once a quorum
// has confirmed that at some moment after that no later leader could exist.
// Writes of this term are applied here before they are acknowledged, those of
// earlier terms were applied by the barrier that established this leader.
func (n *Node) leaderReadIndex(ctx context.Context) (uint64, error) {
	r := n.raft.Load()
	term := n.established.Load()
	if term == 0 {
		return 0, fmt.Errorf("%w: the new one is not established yet", ErrNoLeader)
	}
	index := n.AppliedIndex()
	if err := n.confirmTerm(ctx, r, term); err != nil {
		return 0, err
	}
	if !leads(r, term) {
		return 0, fmt.Errorf("%w: this node lost leadership", ErrNoLeader)
	}
	return index, nil
}

// readRounds lets concurrent reads share rounds: one is under way, one collects
// who comes meanwhile.
type readRounds struct {
	run func() (uint64, error)

	rounds atomic.Int64 // begun so far

	mu      sync.Mutex
	running bool
	next    *round
	worker  sync.WaitGroup
	closed  bool
}

// round is one question asked on behalf of several reads.
type round struct {
	done  chan struct{}
	index uint64
	err   error
}

// join waits for a round that begins after join was called.
func (r *readRounds) join(ctx context.Context) (uint64, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return 0, ErrStopped
	}
	if r.next == nil {
		r.next = &round{done: make(chan struct{})}
	}
	mine := r.next
	if !r.running {
		r.running = true
		r.worker.Go(r.work)
	}
	r.mu.Unlock()

	select {
	case <-mine.done:
		return mine.index, mine.err
	case <-ctx.Done():
		return 0, fmt.Errorf("finding a read index: %w", context.Cause(ctx))
	}
}

// work runs rounds as long as somebody waits for one.
func (r *readRounds) work() {
	for {
		r.mu.Lock()
		current := r.next
		r.next = nil
		if current == nil {
			r.running = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		r.rounds.Add(1)
		current.index, current.err = r.run()
		close(current.done)
	}
}

// wait refuses further reads and blocks until the rounds under way have ended.
func (r *readRounds) wait() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.worker.Wait()
}
