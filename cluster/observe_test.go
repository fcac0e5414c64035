package cluster_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// logNotes is an Observer that counts what it hears.
type logNotes struct {
	mu       sync.Mutex
	proposed map[cluster.ProposeOutcome]int
	flushed  int
}

func (n *logNotes) Proposed(outcome cluster.ProposeOutcome, _ time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proposed == nil {
		n.proposed = map[cluster.ProposeOutcome]int{}
	}
	n.proposed[outcome]++
}

func (n *logNotes) Flushed(time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.flushed++
}

func (n *logNotes) count(outcome cluster.ProposeOutcome) (proposed, flushed int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proposed[outcome], n.flushed
}

// Every outcome of a proposal is told, and every flush; Status counts elections.
func TestObserver(t *testing.T) {
	var mu sync.Mutex
	notes := map[string]*logNotes{}
	c := clustertest.New(t, 3, &clustertest.Options{Configure: func(node *clustertest.Node, cfg *cluster.Config) {
		mu.Lock()
		defer mu.Unlock()
		notes[node.ID] = &logNotes{}
		cfg.Observer = notes[node.ID]
	}})
	leader := c.WaitLeader()
	c.MustPropose([]byte("x"))
	if committed, flushed := notes[leader.ID].count(cluster.ProposeCommitted); committed < 1 || flushed < 1 {
		t.Errorf("the leader heard of %d proposals and %d flushes", committed, flushed)
	}
	follower := c.Followers(leader)[0]
	if _, _, err := follower.Live().Propose(within(t, time.Second), []byte("x")); err == nil {
		t.Error("a follower took a proposal")
	}
	if never, _ := notes[follower.ID].count(cluster.ProposeNotCommitted); never != 1 {
		t.Errorf("the follower heard of %d proposals that are not committed, not 1", never)
	}
	over, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	c.Isolate(leader)
	if _, _, err := leader.Live().Propose(over, []byte("y")); err == nil {
		t.Error("a leader on its own committed something")
	}
	if unknown, _ := notes[leader.ID].count(cluster.ProposeUnknown); unknown != 1 {
		t.Errorf("the old leader heard of %d proposals of unknown outcome, not 1", unknown)
	}
	next := c.Leader()
	clustertest.Eventually(t, "the election to be counted", func() bool {
		s := next.Live().Status()
		return s.Candidacies >= 1 && s.LeaderChanges >= 2
	})
}
