package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"broker/api"
	"broker/backup"
)

// snapshots makes snapshots of this node's state.
func (n *node) snapshots() *backup.Maker {
	return &backup.Maker{State: n.state, Keyring: n.keyring, Node: n.config.NodeID, Version: version}
}

func (n *node) snapshot() (api.Snapshot, error) { return n.snapshots().Begin() }

// newKeeper prepares scheduled snapshots, if any are asked for.
func (n *node) newKeeper() (err error) {
	if n.config.SnapshotInterval == 0 {
		return nil
	}
	n.keeper, err = backup.NewKeeper(backup.Schedule{
		Maker: n.snapshots(), Dir: n.config.SnapshotDir, Interval: n.config.SnapshotInterval, Keep: n.config.SnapshotKeep,
		Current: n.current, Logger: n.log.With("component", "backup"),
	})
	return err
}

// snapshotAt returns when the newest scheduled snapshot was made.
func (n *node) snapshotAt() (at time.Time, known bool) {
	if n.keeper == nil {
		return time.Time{}, false
	}
	return n.keeper.Newest()
}

// current returns an error when this node has not heard of a leader for so long that its state may be old.
func (n *node) current() error {
	if age := n.cluster.Status().Staleness; age > n.config.SnapshotInterval {
		if age == api.NeverHeard {
			return fmt.Errorf("this node has not heard of a leader yet: its state may be old")
		}
		return fmt.Errorf("this node has not heard of a leader for %s: its state may be old", age.Round(time.Second))
	}
	return nil
}

// runKeeper makes scheduled snapshots until stopKeeper is called, which waits for the end.
func (n *node) runKeeper() {
	if n.keeper == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { n.keeper.Run(ctx) })
	n.stopKeeper = func() {
		cancel()
		n.state.EndExports() // one that is being written need not be finished
		running.Wait()
	}
}
