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

// leaderReadIndex answers with the index up to which this leader knows the log
// to be committed, once a quorum has confirmed that at some moment after that no
// later leader could exist. What earlier terms committed is known since the
// barrier that established this leader.
//
// What this leader has applied would not do: a follower may be ahead of it, and
// a read served there be followed by a read of something older elsewhere.
func (n *Node) leaderReadIndex(ctx context.Context) (uint64, error) {
	r := n.raft.Load()
	term := n.established.Load()
	if term == 0 {
		return 0, fmt.Errorf("%w: the new one is not established yet", ErrNoLeader)
	}
	index, err := n.committedCommand(r)
	if err != nil {
		return 0, err
	}
	if err := n.confirmTerm(ctx, r, term); err != nil {
		return 0, err
	}
	if !leads(r, term) {
		return 0, fmt.Errorf("%w: this node lost leadership", ErrNoLeader)
	}
	return index, nil
}

// committedCommand returns the index of the last committed entry that moves the
// applied index of state machines: those that begin a term or a barrier do not,
// and waiting for them might never end.
func (n *Node) committedCommand(r *raft.Raft) (uint64, error) {
	// In this order, so that everything in between is still in the log.
	applied := n.AppliedIndex()
	var entry raft.Log
	for index := r.CommitIndex(); index > applied; index-- {
		if err := n.stores.logs.GetLog(index, &entry); err != nil {
			return 0, fmt.Errorf("looking for the last committed command: %w", err)
		}
		if entry.Type == raft.LogCommand || entry.Type == raft.LogConfiguration {
			return index, nil
		}
	}
	return applied, nil
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
