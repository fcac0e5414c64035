package cluster

import (
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// unfit returns why this node must not lead: its clock or its state is wrong. Nil when it may.
func (n *Node) unfit() error {
	if err := n.Diverged(); err != nil {
		return err
	}
	return n.clockOff()
}

// successor returns a voter that may lead, when this node may not.
func (n *Node) successor(r *raft.Raft) (raft.Server, bool) {
	clock, agree, _ := n.clocks.judgement()
	most, _, diverged := n.states.judgement()
	if clock.Off() == nil && diverged == nil {
		return raft.Server{}, false
	}
	for _, v := range voters(r) {
		id := string(v.ID)
		if id != n.NodeID() && (clock.Off() == nil || slices.Contains(agree, id)) && (diverged == nil || slices.Contains(most, id)) {
			return v, true
		}
	}
	return raft.Server{}, false
}

// retryPause is how long a leader waits whose work failed and whom nobody relieved. While it is unfit it waits
// longer each time: nothing that it does helps.
func (n *Node) retryPause(err error, last time.Duration) time.Duration {
	var clock *clockError
	var diverged *divergedError
	if !errors.As(err, &clock) && !errors.As(err, &diverged) {
		return n.cfg.Timing.Retry
	}
	return min(max(2*last, n.cfg.Timing.Retry), 16*n.cfg.Timing.Retry)
}
