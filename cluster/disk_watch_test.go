package cluster_test

import (
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// flushes are the disks of a cluster's nodes below their logs, each held for writing while it hangs.
type flushes map[string]*sync.RWMutex

func newFlushes(ids ...string) flushes {
	f := flushes{}
	for _, id := range ids {
		f[id] = new(sync.RWMutex)
	}
	return f
}

func (f flushes) configure(node *clustertest.Node, cfg *cluster.Config) {
	disk := f[node.ID]
	cfg.Flush = func(*os.File) error {
		disk.RLock()
		defer disk.RUnlock()
		return nil
	}
}

func (f flushes) hang(t *testing.T, n *clustertest.Node) (release func()) {
	f[n.ID].Lock()
	release = sync.OnceFunc(f[n.ID].Unlock)
	t.Cleanup(release)
	return release
}

// proposeUntil has a node write to its log until the condition holds: a disk that nobody writes to hangs
// unnoticed. What becomes of the entries does not matter.
func proposeUntil(t *testing.T, n *clustertest.Node, what string, holds func() bool) {
	t.Helper()
	clustertest.Eventually(t, what, func() bool {
		_, _, _ = n.Live().Propose(within(t, 10*time.Millisecond), []byte("x"))
		return holds()
	})
}

// otherLeads reports whether another node than n leads now.
func otherLeads(c *clustertest.Cluster, n *clustertest.Node) bool {
	for _, other := range c.Nodes {
		if other != n && other.Running() && other.Live().LeaderReady() {
			return true
		}
	}
	return false
}

// A leader whose disk hangs hands over to a node whose disk does not, and does not come back before its own
// does well again. Nothing that was acknowledged is lost.
func TestHangingDiskDoesNotLead(t *testing.T) {
	disks := newFlushes("n1", "n2", "n3")
	c := clustertest.New(t, 3, &clustertest.Options{Configure: disks.configure})
	leader := c.WaitLeader()
	leader.MustPropose([]byte("acknowledged"))
	release := disks.hang(t, leader)
	began := time.Now()
	proposeUntil(t, leader, "another leader", func() bool { return otherLeads(c, leader) })
	t.Logf("another node led after %s", time.Since(began).Round(time.Millisecond))
	c.MustPropose([]byte("goes on"))
	err := leader.Live().Status().Disk.Trouble
	if err == nil || !strings.Contains(err.Error(), "hangs") {
		t.Errorf("the reason: %v", err)
	}
	second := c.Leader()
	clustertest.Eventually(t, "the other nodes to know", func() bool {
		for _, m := range second.Live().Status().Members {
			if m.ID == leader.ID {
				return len(m.Disk) > 0 && strings.Contains(m.Disk[0], "disk")
			}
		}
		return false
	})
	// Leadership goes to the third, for as long as there is one.
	if err := second.Live().TransferLeadership(within(t, 5*time.Second), ""); err != nil && c.Leader() == leader {
		t.Error("the node with the hanging disk was elected")
	}
	release()
	clustertest.Eventually(t, "the disk to be well", func() bool { return leader.Live().Disk().Trouble == nil })
	clustertest.Eventually(t, "leading again", func() bool {
		if now := c.Leader(); now != leader {
			_ = now.Live().TransferLeadership(within(t, 5*time.Second), "") // to whomever; again until it is this one
		}
		return leader.Live().LeaderReady()
	})
	for _, n := range c.Nodes {
		n.MustApply(leader.MustPropose([]byte("after")))
		var all []string
		for _, e := range n.Journal().Entries() {
			all = append(all, e.Data)
		}
		text := strings.Join(all, " ")
		if !strings.Contains(text, "acknowledged") || !strings.Contains(text, "goes on") {
			t.Errorf("%s has lost something: %s", n.ID, text)
		}
	}
}

// The same where the log hangs for Raft itself, so that its main loop stands still and passes nothing on.
func TestHangingRaftDoesNotLead(t *testing.T) {
	disks := disks{"n1": {}, "n2": {}, "n3": {}}
	c := clustertest.New(t, 3, &clustertest.Options{Configure: disks.configure})
	leader := c.WaitLeader()
	release := disks.hang(leader)
	defer release()
	proposeUntil(t, leader, "another leader", func() bool { return otherLeads(c, leader) })
	c.MustPropose([]byte("goes on"))
}

// Where every disk is bad, and where there is no other node, leadership stays: it would not get better elsewhere.
func TestBadDisksKeepTheirLeader(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"alone": 1, "all hang": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disks := newFlushes("n1", "n2", "n3")
			c := clustertest.New(t, size, &clustertest.Options{Configure: func(n *clustertest.Node, cfg *cluster.Config) { patient(cfg); disks.configure(n, cfg) }})
			leader := c.WaitLeader()
			term := leader.Live().Term()
			for _, n := range append(c.Followers(leader), leader) {
				disks.hang(t, n)
			}
			proposeUntil(t, leader, "all to know", func() bool {
				for _, n := range c.Nodes {
					if n.Live().Disk().Trouble == nil {
						return false
					}
				}
				return true
			})
			// Several times what it takes to hand over.
			proposeUntil(t, leader, "time to pass", func() bool {
				return leader.Live().Disk().Longest > 5*time.Second
			})
			if !leader.Live().IsLeader() || leader.Live().Term() != term {
				t.Errorf("the leader changed, in term %d after %d", leader.Live().Term(), term)
			}
		})
	}
}

// A leader whose disk takes nothing more, without hanging, is no leader either.
func TestFullDiskDoesNotLead(t *testing.T) {
	full := map[string]*switchable{"n1": {}, "n2": {}, "n3": {}}
	c := clustertest.New(t, 3, &clustertest.Options{Configure: func(node *clustertest.Node, cfg *cluster.Config) {
		cfg.WrapLog = func(log raft.LogStore) raft.LogStore { return fullLog{log, full[node.ID]} }
	}})
	leader := c.WaitLeader()
	full[leader.ID].set(true)
	proposeUntil(t, leader, "another leader", func() bool { return otherLeads(c, leader) })
	if err := leader.Live().Disk().Trouble; !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the reason: %v", err)
	}
	index := c.MustPropose([]byte("goes on"))
	full[leader.ID].set(false)
	leader.MustApply(index)
}

type switchable struct {
	mu sync.Mutex
	on bool
}

func (s *switchable) set(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = on
}

func (s *switchable) get() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on
}

// fullLog is a log on a disk that can be made full.
type fullLog struct {
	raft.LogStore
	full *switchable
}

func (l fullLog) StoreLogs(entries []*raft.Log) error {
	if l.full.get() {
		return &os.PathError{Op: "write", Path: "raft.journal0", Err: syscall.ENOSPC}
	}
	return l.LogStore.StoreLogs(entries)
}
