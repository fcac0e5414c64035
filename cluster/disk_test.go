package cluster_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// disks are the disks of a cluster's nodes, each held for writing while it
// hangs.
type disks map[string]*sync.RWMutex

func (d disks) configure(node *clustertest.Node, cfg *cluster.Config) {
	cfg.WrapLog = func(log raft.LogStore) raft.LogStore { return stallingLog{log, d[node.ID]} }
}

func (d disks) hang(n *clustertest.Node) (release func()) {
	d[n.ID].Lock()
	return sync.OnceFunc(d[n.ID].Unlock)
}

// stallingLog is a log whose disk can be made to hang.
type stallingLog struct {
	raft.LogStore
	disk *sync.RWMutex
}

func (l stallingLog) StoreLogs(entries []*raft.Log) error {
	l.disk.RLock()
	defer l.disk.RUnlock()
	return l.LogStore.StoreLogs(entries)
}

// patient has a node bear that the machine stalls for most of a second. When its disk counts as bad stays as it is.
func patient(cfg *cluster.Config) {
	cfg.Timing.Disk = 2 * cfg.Timing.Heartbeat
	cfg.Timing.Heartbeat, cfg.Timing.Election, cfg.Timing.LeaderLease = time.Second, time.Second, 800*time.Millisecond
}

// Followers with slow disks stand still, but their leader must not lose its
// lease by that: it would not get better under another one.
func TestSlowFollowersKeepTheirLeader(t *testing.T) {
	t.Parallel()
	disks := disks{"n1": {}, "n2": {}, "n3": {}}
	c := clustertest.New(t, 3, &clustertest.Options{Configure: func(n *clustertest.Node, cfg *cluster.Config) { patient(cfg); disks.configure(n, cfg) }})
	leader := c.WaitLeader()
	leader.MustPropose([]byte("before"))
	term := leader.Live().Term()
	var releases []func()
	for _, n := range c.Followers(leader) {
		release := disks.hang(n)
		defer release()
		releases = append(releases, release)
	}
	// Much longer than lease and election timeout.
	_, _, err := leader.Live().Propose(within(t, 4*time.Second), []byte("slow"))
	if !errors.Is(err, cluster.ErrOutcomeUnknown) {
		t.Errorf("with no disk to write to: %v", err)
	}
	if !leader.Live().LeaderReady() {
		t.Error("the leader has lost its lease")
	}
	for _, release := range releases {
		release()
	}
	if _, _, err := leader.Live().Propose(within(t, time.Minute), []byte("after")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if got := leader.Live().Term(); got != term {
		t.Errorf("term %d became %d: there was an election", term, got)
	}
}
