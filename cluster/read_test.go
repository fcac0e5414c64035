package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// readLast reads the newest command at a node, linearizably.
func readLast(ctx context.Context, n *clustertest.Node) (string, error) {
	live := n.Live()
	index, err := live.ReadIndex(ctx)
	if err != nil {
		return "", err
	}
	if err := live.WaitApplied(ctx, index); err != nil {
		return "", err
	}
	return n.Journal().Last().Data, nil
}

func TestReadSeesAcknowledgedWrites(t *testing.T) {
	c := clustertest.New(t, 3)
	leader := c.WaitLeader()
	for i := range 20 {
		want := fmt.Sprint(i)
		leader.MustPropose([]byte(want))
		for _, n := range c.Nodes {
			got, err := readLast(within(t, time.Minute), n)
			if err != nil {
				t.Fatalf("reading at %s: %v", n.ID, err)
			}
			if got != want {
				t.Fatalf("%s read %q after %q was acknowledged", n.ID, got, want)
			}
		}
	}
}

func TestCutOffLeaderServesNoLinearizableRead(t *testing.T) {
	c := clustertest.New(t, 3)
	old := c.Leader()
	old.MustPropose([]byte("old"))
	c.Isolate(old)
	// Long before its lease runs out it may not answer any more, since another
	// leader might be at work already.
	if got, err := readLast(within(t, 5*time.Second), old); err == nil || !errors.Is(err, cluster.ErrNoLeader) {
		t.Errorf("read %q, error %v; want no leader", got, err)
	}
	c.Leader().MustPropose([]byte("new"))
	if got, err := readLast(within(t, 5*time.Second), old); err == nil {
		t.Errorf("read %q from a cut-off node", got)
	}
	c.Heal()
	clustertest.Eventually(t, "the old leader to read the new value", func() bool {
		got, err := readLast(within(t, time.Second), old)
		if err == nil && got != "new" {
			t.Fatalf("read %q", got)
		}
		return err == nil
	})
}

// A leader whose disk hangs does not notice that it was replaced: its main loop
// stands still, as that of a paused process does. It must not take its state
// for the newest.
func TestHangingLeaderServesNoOldRead(t *testing.T) {
	disks := disks{"n1": {}, "n2": {}, "n3": {}}
	c := clustertest.New(t, 3, &clustertest.Options{Configure: func(node *clustertest.Node, cfg *cluster.Config) {
		disks.configure(node, cfg)
		cfg.Timing.Disk = time.Hour // it would notice that its disk hangs
	}})
	old := c.Leader()
	old.MustPropose([]byte("old"))

	release := disks.hang(old)
	defer release()
	if _, _, err := old.Live().Propose(within(t, 100*time.Millisecond), []byte("stuck")); !errors.Is(err, cluster.ErrOutcomeUnknown) {
		t.Fatalf("with a hanging disk: %v", err)
	}
	c.Isolate(old)
	var successor *clustertest.Node
	clustertest.Eventually(t, "a successor", func() bool {
		successor = c.Leader()
		return successor != old
	})
	successor.MustPropose([]byte("new"))
	// It can ask again, but the successor's heartbeats do not reach it.
	for _, n := range c.Followers(old) {
		c.MendDials(old, n)
	}
	for range 100 {
		if !old.Live().LeaderReady() {
			t.Fatal("the old leader noticed: the test shows nothing")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		got, err := readLast(ctx, old)
		cancel()
		if err == nil && got != "new" {
			t.Fatalf("read %q after %q was acknowledged", got, "new")
		}
	}
	c.Heal()
	release()
	clustertest.Eventually(t, "the old leader to read the new value", func() bool {
		got, err := readLast(within(t, time.Second), old)
		return err == nil && got == "new"
	})
}

func TestWaitAppliedIsTheSessionRead(t *testing.T) {
	c := clustertest.New(t, 3)
	leader := c.WaitLeader()
	follower := c.Followers(leader)[0]
	c.Isolate(follower)
	index := leader.MustPropose([]byte("mine"))
	if err := follower.Live().WaitApplied(within(t, 50*time.Millisecond), index); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cut off: got %v, want the end of the wait", err)
	}
	c.Heal()
	follower.MustApply(index)
	if got := follower.Journal().Last().Data; got != "mine" {
		t.Errorf("read %q, want the session's own write", got)
	}
}

func TestStaleness(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, 3)
	leader := c.WaitLeader()
	if got := leader.Live().Staleness(); got != 0 {
		t.Errorf("leader: %s, want 0", got)
	}
	follower := c.Followers(leader)[0]
	if got := follower.Live().Staleness(); got > 10*time.Second {
		t.Errorf("follower: %s", got)
	}
	c.Isolate(follower)
	clustertest.Eventually(t, "staleness to grow", func() bool { return follower.Live().Staleness() > time.Second })
}
