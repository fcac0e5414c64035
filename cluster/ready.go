package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// maxBehind is how many entries a node that was ready may be behind and still be.
const maxBehind = 10_000

// readyPatience is after how many heartbeat timeouts without a leader a node is not ready any more: an
// election is no reason to send everybody elsewhere, as there the same election is waited for.
const readyPatience = 6

var (
	errStopping  = errors.New("the node is stopping")
	errNotMember = errors.New("the node has not been let into the cluster yet")
	errCatchUp   = errors.New("the node has not caught up with the leader yet")
)

// Ready returns nil when requests had better come here, else why they had better not: the node stops, knows no
// leader, or has not caught up since it started or since it knew none. Requests that come all the same are
// answered as well as possible.
func (n *Node) Ready() error {
	r := n.raft.Load()
	switch {
	case n.stopping.Load() || n.lifetime.Err() != nil:
		return errStopping
	case r == nil || n.isFresh():
		return errNotMember
	case n.Staleness() > readyPatience*n.cfg.Timing.Heartbeat:
		return ErrNoLeader
	case !n.caughtUp.Load():
		return errCatchUp
	case n.Diverged() != nil:
		return n.Diverged()
	}
	if commit, applied := r.CommitIndex(), n.AppliedIndex(); commit > applied+maxBehind {
		return fmt.Errorf("the node is %d log entries behind", commit-applied)
	}
	return nil
}

// watchReady catches up with the leader: it asks how far the log reaches and waits until this node has applied that.
func (n *Node) watchReady() {
	tick := time.NewTicker(max(n.cfg.Timing.Heartbeat/8, 10*time.Millisecond))
	defer tick.Stop()
	for {
		switch {
		case n.Staleness() > readyPatience*n.cfg.Timing.Heartbeat:
			n.caughtUp.Store(false)
		case !n.caughtUp.Load() && !n.isFresh():
			n.caughtUp.Store(n.catchUp())
		}
		select {
		case <-tick.C:
		case <-n.lifetime.Done():
			return
		}
	}
}

func (n *Node) catchUp() bool {
	ctx, cancel := context.WithTimeout(n.lifetime, n.cfg.Timing.Establish)
	defer cancel()
	index, err := n.ReadIndex(ctx)
	return err == nil && n.WaitApplied(ctx, index) == nil
}

// BeginStop has this node be not ready any more, while it serves on: whoever spreads requests sends the next ones
// elsewhere. Stop does it too.
func (n *Node) BeginStop() { n.stopping.Store(true) }
