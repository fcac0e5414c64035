package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Propose asks for cmd to be added to the log and returns what the state
// machine answered on this node, with the index of the entry. There are three
// outcomes:
//
//   - err is nil: committed and applied here.
//   - err has NotCommitted() == true (a *NotCommittedError wrapping
//     ErrNotLeader, ErrStopped, ErrCommandTooLarge, …): cmd is not in the log
//     and never will be.
//   - any other error wraps ErrOutcomeUnknown: cmd may be committed already,
//     later, or never. That includes the end of ctx.
//
// Proposals made at the same time share writes and messages. It is safe for
// concurrent use.
func (n *Node) Propose(ctx context.Context, cmd []byte) (response any, index uint64, err error) {
	defer func(began time.Time) { n.proposed(err, began) }(time.Now())
	if len(cmd) > MaxCommandBytes {
		return nil, 0, &NotCommittedError{fmt.Errorf("%w: %d bytes, at most %d", ErrCommandTooLarge, len(cmd), MaxCommandBytes)}
	}
	if err := ctx.Err(); err != nil {
		return nil, 0, &NotCommittedError{context.Cause(ctx)}
	}
	r := n.raft.Load()
	if r == nil || !n.futures.enter() {
		return nil, 0, &NotCommittedError{ErrStopped}
	}

	timeout := n.cfg.Timing.Propose
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline))
	}
	// Raft takes a timeout of zero or less for none.
	ctx, cancel := context.WithTimeout(ctx, max(timeout, time.Millisecond))
	defer cancel()
	future := r.Apply(cmd, max(timeout, time.Millisecond))

	if err := n.await(ctx, future); err != nil {
		return nil, 0, proposeError(err)
	}
	return future.Response(), future.Index(), nil
}

// proposeError sorts Raft's errors into "never" and "nobody knows". The three
// that mean never are answered by Raft only before an entry is given an index:
// ErrNotLeader by followers, candidates and a leader that has removed itself;
// ErrLeadershipTransferInProgress by a leader handing over; ErrEnqueueTimeout
// before the entry reaches Raft's queue.
func proposeError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader):
		return &NotCommittedError{ErrNotLeader}
	case errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return &NotCommittedError{fmt.Errorf("%w: it is handing over", ErrNotLeader)}
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return &NotCommittedError{errors.New("the log is too busy to take the command in time")}
	default:
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
}

// await waits for one of Raft's futures, but no longer than ctx: some are never
// answered. The caller has entered n.futures; await leaves it when the future
// answers, so that the goroutine left behind is waited for.
func (n *Node) await(ctx context.Context, future raft.Future) error {
	answered := make(chan error, 1)
	go func() {
		defer n.futures.leave()
		answered <- future.Error()
	}()
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
