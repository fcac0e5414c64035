package cluster_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// A voter that lost its disk has forgotten what it acknowledged. Were it to vote under its old name, a node that
// lacks acknowledged entries could win.
func TestLostDiskDoesNotVote(t *testing.T) {
	t.Parallel()
	w := newWatched(t, 3, nil)
	leader := w.WaitLeader()
	behind, lost := w.Followers(leader)[0], w.Followers(leader)[1]
	w.Isolate(behind)
	var index uint64
	clustertest.Eventually(t, "entries that only two nodes have", func() bool {
		_, at, err := leader.Live().Propose(within(t, time.Minute), []byte("acknowledged"))
		index = at
		return err == nil
	})
	lost.MustApply(index)
	w.Kill(lost)
	empty(t, lost.Dir)
	w.Kill(leader)
	w.Heal()
	back := make(chan struct{})
	go func() {
		defer close(back)
		w.Restart(lost) // returns when it has been let in
	}()
	// Two of three are there, and must not elect a leader: the entry would be lost.
	throughout(t, 4*clustertest.Timing().Heartbeat, "a node leads that lacks an acknowledged entry", func() bool {
		return !behind.Live().IsLeader()
	})
	w.Restart(leader)
	<-back
	w.Leader()
	for _, n := range w.Nodes {
		n.MustApply(index)
		if !slices.ContainsFunc(n.Journal().Entries(), func(e clustertest.Entry) bool { return e.Data == "acknowledged" }) {
			t.Errorf("%s lacks the acknowledged entry", n.ID)
		}
	}
	w.AllVote()
}

// A data directory of an earlier membership is not taken for the member's.
func TestDataOfEarlierMembership(t *testing.T) {
	w := newWatched(t, 3, nil)
	leader := w.WaitLeader()
	n := w.Followers(leader)[0]
	w.Kill(n)
	kept := t.TempDir()
	if err := os.CopyFS(kept, os.DirFS(n.Dir)); err != nil {
		t.Fatal(err)
	}
	empty(t, n.Dir)
	w.Restart(n) // a new disk
	w.AllVote()
	w.Kill(n)
	cfg := w.Config(n) // the old one, elsewhere
	cfg.DataDir, cfg.ClusterAddr, cfg.ClusterAdvertise = kept, "elsewhere.test:8421", "elsewhere.test:8421"
	old, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Start(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := old.Stop(within(t, time.Minute)); err != nil {
			t.Error(err)
		}
	}()
	throughout(t, 500*time.Millisecond, "the old directory took the member's place", func() bool {
		m, ok := memberOf(leader, n.ID)
		return ok && m.ClusterAddr == n.ID+".test:8421"
	})
}

// A node whose log is lost does not begin its cluster once more.
func TestLostLogBeginsNoCluster(t *testing.T) {
	cfg := plain(t, "n1")
	cfg.Init = true
	n := mustStart(t, cfg)
	mustLead(t, n)
	stop(t, n)
	if err := os.Remove(filepath.Join(cfg.DataDir, "raft.db")); err != nil {
		t.Fatal(err)
	}
	cfg.FSM = &clustertest.Journal{}
	if _, err := start(t, cfg); !errors.Is(err, cluster.ErrIdentity) || !strings.Contains(err.Error(), "would make a second one") {
		t.Errorf("without its log: %v", err)
	}
}
