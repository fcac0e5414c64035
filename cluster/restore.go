package cluster

import (
	"context"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
)

// Restore replaces the replicated state of the whole cluster by a snapshot of its state machine, as this
// node's own Snapshot writes it, of so many bytes. The log goes on after index, which must be far beyond
// what it has. Membership stays as it is; the other nodes get the state like any that was away too long. It
// is for the leader, whose work must not be under way; what is proposed meanwhile may be lost. It returns
// ErrNotLeader at other nodes. Any other error leaves the state as it was, or unknown.
func (n *Node) Restore(ctx context.Context, index uint64, size int64, content io.Reader) error {
	r := n.raft.Load()
	if r == nil || !n.LeaderReady() {
		return ErrNotLeader
	}
	if last := r.LastIndex(); index <= last+1 {
		return fmt.Errorf("restoring at index %d, and the log is at %d", index, last)
	}
	if !n.futures.enter() {
		return ErrStopped
	}
	done := make(chan error, 1)
	go func() {
		defer n.futures.leave()
		// Raft takes the entry after the greater of its own last index and this one.
		meta := &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, Index: index - 1, Size: size}
		done <- r.Restore(meta, content, 0)
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("restoring the cluster's state: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: restoring the cluster's state: %w", ErrOutcomeUnknown, context.Cause(ctx))
	}
}
