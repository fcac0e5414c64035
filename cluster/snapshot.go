package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// Snapshot writes a snapshot of the local state machine now and drops the log
// before it. Having nothing new to write is no error.
func (n *Node) Snapshot(ctx context.Context) error {
	r := n.raft.Load()
	if r == nil || !n.futures.enter() {
		return ErrStopped
	}
	err := n.await(ctx, r.Snapshot())
	if err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return fmt.Errorf("writing a snapshot: %w", err)
	}
	return nil
}
