package cluster_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// One of three nodes goes on alone with all that its snapshot and its log hold, and others join it.
func TestGoingOnAlone(t *testing.T) {
	t.Parallel()
	for _, snapshot := range []bool{false, true} {
		c := clustertest.New(t, 3)
		last := c.Nodes[2]
		for i := range 20 {
			if i == 10 && snapshot {
				last.MustApply(c.Leader().Live().Status().AppliedIndex)
				if err := last.Live().Snapshot(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			c.MustPropose([]byte{byte('a' + i)})
		}
		last.MustApply(c.Leader().Live().Status().CommitIndex)
		want := last.Journal().Entries()
		if _, err := cluster.OpenOffline(last.Dir); err == nil || !strings.Contains(err.Error(), "in use by another process") {
			t.Errorf("opened under a running node: %v", err)
		}
		for _, n := range c.Nodes {
			c.Kill(n)
		}

		offline := mustOpenOffline(t, last.Dir)
		kept := &clustertest.Journal{}
		left, err := offline.Replay(kept)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, kept.Entries()); d != "" {
			t.Errorf("what is left (-want +got):\n%s", d)
		}
		if len(left.Members) != 3 || left.Index < want[len(want)-1].Index {
			t.Errorf("remains: %+v", left)
		}
		alone := cluster.Beginning{NodeID: "n3", ClusterID: offline.ClusterID(), Address: "n3.test:8421", Index: left.Index, Term: left.Term + 7, State: kept}
		if err := offline.Begin(alone); err == nil {
			t.Error("a state that does not come after the log was taken")
		}
		alone.Index += 1000
		if err := offline.Begin(alone); err != nil {
			t.Fatal(err)
		}
		if err := offline.Close(); err != nil {
			t.Fatal(err)
		}

		c.Restart(last)
		clustertest.Eventually(t, "it leads alone", last.Live().LeaderReady)
		if index := last.MustPropose([]byte("later")); index <= alone.Index {
			t.Errorf("the log goes on at %d, not after %d", index, alone.Index)
		}
		if s := last.Live().Status(); len(s.Members) != 1 || s.Term <= alone.Term {
			t.Errorf("status: %+v", s)
		}
		got := last.Journal().Entries()
		if d := cmp.Diff(want, got[:len(got)-1]); d != "" {
			t.Errorf("after the start (-want +got):\n%s", d)
		}
		if fresh := c.Add(); true {
			fresh.MustApply(last.Live().Status().AppliedIndex)
			if d := cmp.Diff(last.Journal().Entries(), fresh.Journal().Entries()); d != "" {
				t.Errorf("a node that joined (-want +got):\n%s", d)
			}
		}
	}
}

func mustOpenOffline(t *testing.T, dir string) *cluster.Offline {
	t.Helper()
	offline, err := cluster.OpenOffline(dir)
	if err != nil {
		t.Fatal(err)
	}
	return offline
}

// A directory without a node, and one that is not empty, are refused and stay as they are.
func TestOfflineRefuses(t *testing.T) {
	empty, full := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "raft.db"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.OpenOffline(empty); !errors.Is(err, cluster.ErrNoNode) {
		t.Errorf("a directory without a node: %v", err)
	}
	if _, err := cluster.NewOffline(full); !errors.Is(err, cluster.ErrNotEmpty) {
		t.Errorf("a directory that is not empty: %v", err)
	}
	for dir, want := range map[string]int{empty: 0, full: 1} {
		if left, err := os.ReadDir(dir); err != nil || len(left) != want {
			t.Errorf("%s holds %v now, %v", dir, left, err)
		}
	}
}

// A directory whose making was cut short is no node's: a start refuses it.
func TestHalfMadeDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	offline, err := cluster.NewOffline(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := offline.Begin(cluster.Beginning{NodeID: "n1", ClusterID: "c", Address: "n1.test:8421", Index: 100, Term: 3, State: &clustertest.Journal{}}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(offline.Close(), os.Remove(filepath.Join(dir, "node.json"))); err != nil {
		t.Fatal(err)
	}
	node, err := cluster.New(cluster.Config{NodeID: "n1", DataDir: dir, ClusterAddr: "127.0.0.1:0", Network: cluster.PlainTCP{}, FSM: &clustertest.Journal{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := node.Start(ctx); !errors.Is(err, cluster.ErrIdentity) {
		t.Errorf("starting: %v", err)
	}
}
