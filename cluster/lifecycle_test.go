package cluster_test

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/cluster"
	"broker/cluster/clustertest"
)

func TestRestartFromSnapshot(t *testing.T) {
	c := clustertest.New(t, 3, &clustertest.Options{Configure: func(_ *clustertest.Node, cfg *cluster.Config) {
		cfg.TrailingLogs = 1
	}})
	leader := c.WaitLeader()
	away := c.Followers(leader)[0]
	c.Stop(away)
	var index uint64
	for i := range 50 {
		index = leader.MustPropose(fmt.Appendf(nil, "%d", i))
	}
	for _, n := range c.Nodes {
		if n.Running() {
			n.MustApply(index)
			if err := n.Live().Snapshot(within(t, time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := leader.Journal().Entries()

	// Who was away gets the snapshot over the network, and knows how far it
	// reaches without any further command.
	c.Restart(away)
	away.MustApply(index)
	if diff := cmp.Diff(want, away.Journal().Entries()); diff != "" {
		t.Errorf("after catching up (-want +got):\n%s", diff)
	}
	if away.Journal().Restores() == 0 {
		t.Error("caught up without the snapshot: the test shows nothing")
	}

	// All others restore their own.
	for _, n := range c.Nodes {
		c.Kill(n)
	}
	for _, n := range c.Nodes {
		c.Restart(n)
	}
	leader = c.Leader()
	for _, n := range c.Nodes {
		n.MustApply(index)
		if diff := cmp.Diff(want, n.Journal().Entries()); diff != "" {
			t.Errorf("%s after restart (-want +got):\n%s", n.ID, diff)
		}
	}
	leader.MustPropose([]byte("goes on"))
}

func TestFilesArePrivate(t *testing.T) {
	c := clustertest.New(t, 1)
	n := c.Nodes[0]
	n.MustPropose([]byte("x"))
	if err := n.Live().Snapshot(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err := filepath.WalkDir(n.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == n.Dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		seen++
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return nil
	})
	if err != nil || seen < 5 {
		t.Errorf("saw %d files, error %v", seen, err)
	}
}

func TestStopHandsLeadershipOver(t *testing.T) {
	c := clustertest.New(t, 3)
	old := c.WaitLeader()
	old.MustPropose([]byte("x"))
	began := time.Now()
	c.Stop(old)
	// An election after a time-out would need longer than the transfer.
	successor := c.Leader()
	t.Logf("stopped and replaced after %s", time.Since(began))
	if got := successor.Live().Term(); got == 0 {
		t.Errorf("term %d", got)
	}
	successor.MustPropose([]byte("y"))
	if got := successor.Journal().Last().Data; got != "y" {
		t.Errorf("last is %q", got)
	}
}

func TestStopFinishesForwardedRequests(t *testing.T) {
	var began atomic.Bool
	finish := make(chan struct{})
	c := clustertest.New(t, 3, &clustertest.Options{Configure: func(node *clustertest.Node, cfg *cluster.Config) {
		cfg.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			began.Store(true)
			<-finish
			if _, _, err := node.Live().Propose(req.Context(), []byte("finished")); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}})
	leader := c.WaitLeader()
	follower := c.Followers(leader)[0]
	type result struct {
		status int
		err    error
	}
	answered := make(chan result, 1)
	go func() {
		status, _, err := forward(t.Context(), follower, "/", "x")
		answered <- result{status, err}
	}()
	clustertest.Eventually(t, "the request to be served", began.Load)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		c.Stop(leader)
	}()
	clustertest.Eventually(t, "the leader to take no more", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, _, err := forward(ctx, follower, "/", strings.Repeat("y", 2<<20)) // more than lies in buffers
		return notSent(err)
	})
	close(finish)
	if got := <-answered; got.err != nil || got.status != http.StatusOK {
		t.Errorf("a request under way ended with %d, %v", got.status, got.err)
	}
	<-stopped
}

func TestStopTwiceAndBeforeStart(t *testing.T) {
	n, err := cluster.New(plain(t, "n1"))
	if err != nil {
		t.Fatal(err)
	}
	if got := n.Status(); got.State != "starting" || len(got.Members) != 0 {
		t.Errorf("before start: %+v", got)
	}
	stop(t, n)
	stop(t, n)
	if err := n.Start(t.Context()); err == nil {
		t.Error("a stopped node started")
	}
}

func TestStatusWithoutQuorum(t *testing.T) {
	c := clustertest.New(t, 3)
	index := c.Leader().MustPropose([]byte("x"))
	last := c.Followers(c.WaitLeader())[0]
	last.MustApply(index)
	for _, n := range c.Nodes {
		if n != last {
			c.Kill(n)
		}
	}
	clustertest.Eventually(t, "the leader to be missed", func() bool { return last.Live().Status().LeaderID == "" })
	s := last.Live().Status()
	if s.NodeID != last.ID || len(s.Members) != 3 || s.AppliedIndex < index || s.State == "leader" {
		t.Errorf("got %+v", s)
	}
	clustertest.Eventually(t, "the others to be seen as failed", func() bool {
		failed := 0
		for _, m := range last.Live().Status().Members {
			if m.Health == cluster.HealthFailed {
				failed++
			}
		}
		return failed == 2
	})
	if got := last.Journal().Last().Data; got != "x" {
		t.Errorf("a stale read gives %q", got)
	}
}

func TestMembersLearnOfEachOther(t *testing.T) {
	t.Parallel()
	for name, gossip := range map[string]bool{"by asking": false, "by gossip": true} {
		t.Run(name, func(t *testing.T) {
			c := clustertest.New(t, 3, &clustertest.Options{Gossip: gossip})
			for _, n := range c.Nodes {
				clustertest.Eventually(t, n.ID+" to know all API addresses", func() bool {
					for _, m := range n.Live().Status().Members {
						if m.APIAddr != m.ID+".test:8420" || m.Version != "test" || m.Health != cluster.HealthAlive || m.Self != (m.ID == n.ID) {
							return false
						}
					}
					return true
				})
			}
			gone := c.Nodes[2]
			c.Stop(gone)
			for _, n := range c.Nodes[:2] {
				clustertest.Eventually(t, n.ID+" to notice that "+gone.ID+" is gone", func() bool {
					return n.Live().Status().Members[2].Health == cluster.HealthFailed
				})
			}
		})
	}
}
