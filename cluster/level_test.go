package cluster_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// levels are those of a test; what is in force is the same at all nodes.
type levels struct {
	reads   uint64
	inForce *atomic.Uint64
}

func (l levels) Reads() uint64   { return l.reads }
func (l levels) InForce() uint64 { return l.inForce.Load() }
func (l levels) Raise(_ context.Context, to uint64) error {
	l.inForce.Store(to)
	return nil
}

// upgraded is a cluster whose nodes read level 1 until they are restarted with another.
type upgraded struct {
	*clustertest.Cluster
	inForce atomic.Uint64
	reads   map[string]uint64
	hold    bool
}

func newUpgraded(t *testing.T, hold bool) *upgraded {
	t.Helper()
	u := &upgraded{reads: map[string]uint64{}, hold: hold}
	u.inForce.Store(1)
	u.Cluster = clustertest.New(t, 3, &clustertest.Options{Configure: func(node *clustertest.Node, cfg *cluster.Config) {
		cfg.Levels, cfg.HoldUpgrade = levels{max(u.reads[node.ID], 1), &u.inForce}, u.hold
	}})
	return u
}

// exchange restarts a node with a version that reads a level.
func (u *upgraded) exchange(n *clustertest.Node, level uint64) {
	u.Stop(n)
	u.reads[n.ID] = level
	u.Restart(n)
	u.WaitLeader()
}

func TestLevelIsRaisedWhenAllReadIt(t *testing.T) {
	u := newUpgraded(t, false)
	for _, n := range u.Nodes {
		throughout(t, 200*time.Millisecond, "raised before all nodes read it", func() bool { return u.inForce.Load() == 1 })
		u.exchange(n, 2)
	}
	clustertest.Eventually(t, "the level to be raised", func() bool { return u.inForce.Load() == 2 })

	// An older version starts no more, and is not let in.
	old := u.Followers(u.WaitLeader())[0]
	clustertest.Eventually(t, "the older version to be refused", func() bool {
		u.Stop(old)
		cfg := u.Config(old)
		cfg.Levels = levels{1, &u.inForce}
		again, err := cluster.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = again.Start(within(t, time.Minute))
		if err == nil { // the node had not written the level down yet
			if err := again.Stop(within(t, time.Minute)); err != nil {
				t.Fatal(err)
			}
			u.Restart(old)
			return false
		}
		if !errors.Is(err, cluster.ErrNewerData) || !strings.Contains(err.Error(), "is at feature level 2, this version reads up to level 1: start the newer version again") {
			t.Fatalf("starting an older version: %v", err)
		}
		return true
	})
	u.Restart(old)
	stranger := &clustertest.Node{ID: "n9", Dir: t.TempDir()}
	cfg := u.Config(stranger)
	cfg.Levels = levels{1, &u.inForce}
	n, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(within(t, 5*time.Second)); !errors.Is(err, cluster.ErrJoinRefused) || !strings.Contains(err.Error(), "install a newer version there") {
		t.Errorf("letting an older version in: %v", err)
	}
}

func TestLevelIsHeld(t *testing.T) {
	u := newUpgraded(t, true)
	first, last := u.Followers(u.WaitLeader())[0], u.WaitLeader()
	finish := func() error {
		_, err := u.WaitLeader().Live().FinishUpgrade(within(t, 5*time.Second), false)
		return err
	}
	u.exchange(first, 2)
	if err := finish(); !errors.Is(err, cluster.ErrTooOld) || !strings.Contains(err.Error(), "reads up to level 1: upgrade it") {
		t.Errorf("with one of three upgraded: %v", err)
	}
	for _, n := range u.Nodes {
		if n != first && n != last {
			u.exchange(n, 2)
		}
	}
	u.exchange(first, 1) // there is a way back
	u.exchange(first, 2)
	u.exchange(last, 2)
	throughout(t, 300*time.Millisecond, "raised though it is held", func() bool { return u.inForce.Load() == 1 })
	away := u.Followers(u.WaitLeader())[0]
	u.Stop(away)
	if err := finish(); !errors.Is(err, cluster.ErrTooOld) || !strings.Contains(err.Error(), away.ID+`" does not answer`) {
		t.Errorf("with a node that is down: %v", err)
	}
	u.Restart(away)
	clustertest.Eventually(t, "the upgrade to be finished", func() bool { return finish() == nil })
	if got := u.inForce.Load(); got != 2 {
		t.Errorf("at level %d", got)
	}
}
