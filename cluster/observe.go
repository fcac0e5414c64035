package cluster

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// Observer hears how the log goes, for metrics. Its methods are called on the
// way of every command, by many goroutines: they are quick and call nothing of
// the node.
type Observer interface {
	// Proposed tells of a Propose of this node that was answered.
	Proposed(outcome ProposeOutcome, took time.Duration)
	// Flushed tells how long this node's disk took to make a batch of entries
	// durable.
	Flushed(took time.Duration)
}

// ProposeOutcome is one of the three outcomes of Propose.
type ProposeOutcome string

// The outcomes of Propose.
const (
	ProposeCommitted    ProposeOutcome = "committed"
	ProposeNotCommitted ProposeOutcome = "not_committed"
	ProposeUnknown      ProposeOutcome = "unknown"
)

// proposed tells the observer of a Propose.
func (n *Node) proposed(err error, began time.Time) {
	if n.cfg.Observer == nil {
		return
	}
	outcome := ProposeCommitted
	var never *NotCommittedError
	switch {
	case errors.As(err, &never):
		outcome = ProposeNotCommitted
	case err != nil:
		outcome = ProposeUnknown
	}
	n.cfg.Observer.Proposed(outcome, time.Since(began))
}

// timedFlush is a flush that the observer hears of.
func (n *Node) timedFlush(flush func(*os.File) error) func(*os.File) error {
	if n.cfg.Observer == nil {
		return flush
	}
	return func(f *os.File) error {
		began := time.Now()
		err := flush(f)
		n.cfg.Observer.Flushed(time.Since(began))
		return err
	}
}

// tally counts what happened since the node was started.
type tally struct {
	candidacies, leaderChanges atomic.Uint64
}

// leaderChanged is called when another reign begins.
func (n *Node) leaderChanged() {
	n.tally.leaderChanges.Add(1)
	n.client.drop()
}

// countCandidacy counts how often this node stood for election. Raft calls a
// filter for each piece of news, also when nobody has time to hear it.
func (n *Node) countCandidacy(o *raft.Observation) bool {
	if state, ok := o.Data.(raft.RaftState); ok && state == raft.Candidate {
		n.tally.candidacies.Add(1)
	}
	return false
}
