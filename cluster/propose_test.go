package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// definitelyNot is how callers that do not import cluster ask.
func definitelyNot(err error) bool {
	var definite interface{ NotCommitted() bool }
	return errors.As(err, &definite) && definite.NotCommitted()
}

func TestProposeReplicates(t *testing.T) {
	c := clustertest.New(t, 3)
	leader := c.Leader()
	var last uint64
	for i := range 5 {
		answer, index, err := leader.Live().Propose(within(t, time.Minute), fmt.Appendf(nil, "cmd %d", i))
		if err != nil {
			t.Fatal(err)
		}
		if answer != i+1 {
			t.Errorf("answer to command %d is %v, want the state machine's own: %d", i, answer, i+1)
		}
		if index <= last {
			t.Errorf("index %d after %d", index, last)
		}
		if got := leader.Live().AppliedIndex(); got < index {
			t.Errorf("acknowledged at index %d, but applied only up to %d", index, got)
		}
		last = index
	}
	want := leader.Journal().Entries()
	for _, n := range c.Nodes {
		n.MustApply(last)
		if diff := cmp.Diff(want, n.Journal().Entries()); diff != "" {
			t.Errorf("state of %s (-leader +%s):\n%s", n.ID, n.ID, diff)
		}
	}
}

func TestProposeAtFollowerIsDefinite(t *testing.T) {
	c := clustertest.New(t, 3)
	for _, n := range c.Followers(c.Leader()) {
		_, _, err := n.Live().Propose(within(t, time.Minute), []byte("x"))
		if !definitelyNot(err) || !errors.Is(err, cluster.ErrNotLeader) {
			t.Errorf("at %s: got %v, want not committed since not the leader", n.ID, err)
		}
	}
}

func TestProposeRefusesBeforeTheLog(t *testing.T) {
	c := clustertest.New(t, 1)
	leader := c.Leader().Live()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := leader.Propose(ended, []byte("x")); !definitelyNot(err) || !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: got %v", err)
	}
	big := bytes.Repeat([]byte("x"), cluster.MaxCommandBytes+1)
	if _, _, err := leader.Propose(t.Context(), big); !definitelyNot(err) || !errors.Is(err, cluster.ErrCommandTooLarge) {
		t.Errorf("with a command too large: got %v", err)
	}
	c.Stop(c.Nodes[0])
	if _, _, err := leader.Propose(t.Context(), []byte("x")); !definitelyNot(err) || !errors.Is(err, cluster.ErrStopped) {
		t.Errorf("after stop: got %v", err)
	}
	if entries := c.Nodes[0].Journal().Entries(); len(entries) != 0 {
		t.Errorf("applied nevertheless: %v", entries)
	}
}

// A leader cut off from the quorum must not call anything committed, and what
// it calls not committed must never appear.
func TestProposeInPartition(t *testing.T) {
	c := clustertest.New(t, 3)
	old := c.Leader()
	old.MustPropose([]byte("before"))
	c.Isolate(old)

	type outcome struct {
		cmd string
		err error
	}
	outcomes := make(chan outcome)
	var writers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				cmd := fmt.Sprintf("cut off %d/%d", w, i)
				_, _, err := old.Live().Propose(within(t, time.Minute), []byte(cmd))
				outcomes <- outcome{cmd, err}
				if err != nil && definitelyNot(err) {
					return // deposed by now
				}
			}
		})
	}
	go func() { writers.Wait(); close(outcomes) }()
	successor := c.Leader()
	after := successor.MustPropose([]byte("after"))
	close(stop)

	never, unknown := map[string]bool{}, 0
	for o := range outcomes {
		switch {
		case o.err == nil:
			t.Errorf("%q was committed without a quorum", o.cmd)
		case definitelyNot(o.err):
			never[o.cmd] = true
		case errors.Is(o.err, cluster.ErrOutcomeUnknown):
			unknown++
		default:
			t.Errorf("%q has none of the three outcomes: %v", o.cmd, o.err)
		}
	}
	if unknown == 0 {
		t.Error("nothing was in flight when leadership was lost: the test shows nothing")
	}
	c.Heal()
	for _, n := range c.Nodes {
		n.MustApply(after)
		for _, e := range n.Journal().Entries() {
			if never[e.Data] {
				t.Errorf("%s applied %q, which was said never to be committed", n.ID, e.Data)
			}
		}
	}
}

// The state machine may hang; whoever proposed gets an answer in time.
func TestProposeHasItsOwnDeadline(t *testing.T) {
	c := clustertest.New(t, 1)
	leader := c.Leader()
	release := leader.Journal().Hold()
	defer release()
	_, _, err := leader.Live().Propose(within(t, 50*time.Millisecond), []byte("x"))
	if !errors.Is(err, cluster.ErrOutcomeUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want unknown since time ran out", err)
	}
	if definitelyNot(err) {
		t.Error("an unknown outcome must not count as not committed")
	}
	release()
	clustertest.Eventually(t, "the command to be applied late", func() bool {
		return leader.Journal().Last().Data == "x"
	})
}

func TestProposalsShareBatches(t *testing.T) {
	c := clustertest.New(t, 1)
	leader := c.Leader()
	release := leader.Journal().Hold()
	const many = 500
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			if _, _, err := leader.Live().Propose(within(t, time.Minute), fmt.Appendf(nil, "%d", i)); err != nil {
				t.Errorf("proposing: %v", err)
			}
		})
	}
	release()
	all.Wait()
	if got := len(leader.Journal().Entries()); got != many {
		t.Errorf("applied %d of %d", got, many)
	}
}
