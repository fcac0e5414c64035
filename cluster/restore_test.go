package cluster_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// A state that the leader is given takes the place of all nodes', the log goes on after the index that it was
// given for, and a node that was away gets the same.
func TestRestoreReplacesTheState(t *testing.T) {
	c := clustertest.New(t, 3)
	leader := c.WaitLeader()
	away := c.Followers(leader)[0]
	for _, entry := range []string{"a", "b", "c"} {
		c.MustPropose([]byte(entry))
	}
	c.Kill(away)
	want := []clustertest.Entry{{Index: 7, Term: 1, Data: "from a snapshot"}}
	content, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	follower := c.Followers(leader)[0]
	if follower == away {
		follower = c.Followers(leader)[1]
	}
	if err := follower.Live().Restore(t.Context(), 5000, int64(len(content)), bytes.NewReader(content)); !errors.Is(err, cluster.ErrNotLeader) {
		t.Errorf("at a follower: %v", err)
	}
	if err := leader.Live().Restore(t.Context(), 3, int64(len(content)), bytes.NewReader(content)); err == nil || !strings.Contains(err.Error(), "the log is at") {
		t.Errorf("in the past: %v", err)
	}
	if err := leader.Live().Restore(t.Context(), 5000, int64(len(content)), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if index := leader.MustPropose([]byte("later")); index <= 5000 {
		t.Errorf("the log goes on at %d", index)
	}
	c.Restart(away)
	for _, n := range c.Nodes {
		n.MustApply(leader.Live().Status().AppliedIndex)
		got := n.Journal().Entries()
		if len(got) != 2 || got[1].Data != "later" {
			t.Errorf("node %s: %+v", n.ID, got)
			continue
		}
		if d := cmp.Diff(want, got[:1]); d != "" {
			t.Errorf("node %s (-want +got):\n%s", n.ID, d)
		}
	}
}
