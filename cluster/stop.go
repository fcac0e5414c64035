package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Stop takes the node out of work gracefully: it finishes requests forwarded to
// it, cancels the leader's work and waits for it, hands leadership over, says
// goodbye and closes everything. Local callers of Propose, ReadIndex and the
// forwarding transport should be finished before. What is not done when ctx
// ends is done without grace. A second Stop waits for the first. Stop must not
// be called while Start runs: end Start's context instead.
func (n *Node) Stop(ctx context.Context) error { return n.stop(ctx, true) }

// Abort closes everything at once, as if the process had died: nothing is
// handed over and nobody is told. ctx bounds the wait for what is under way.
func (n *Node) Abort(ctx context.Context) error { return n.stop(ctx, false) }

func (n *Node) stop(ctx context.Context, graceful bool) error {
	n.mu.Lock()
	if n.stopped != nil {
		stopped := n.stopped
		n.mu.Unlock()
		select {
		case <-stopped:
			return n.stopErr
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	n.stopped = make(chan struct{})
	n.mu.Unlock()
	defer close(n.stopped)
	n.stopErr = n.shutdown(ctx, graceful)
	return n.stopErr
}

func (n *Node) shutdown(ctx context.Context, graceful bool) error {
	var errs []error
	try := func(doing string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", doing, err))
		}
	}

	n.BeginStop()
	if graceful {
		// Streams may last for ever: leave time for the rest.
		grace, cancel := context.WithTimeout(ctx, stopGrace(ctx))
		if err := n.serving.wait(grace); err != nil {
			n.log.Warn("ending requests of other nodes that would not finish", "error", err)
		}
		cancel()
		if n.LeaderReady() && n.otherVoters() > 0 {
			if err := n.handOverWork(ctx, ""); err != nil {
				n.log.Warn("stopping as leader without a successor", "error", err)
			}
		}
	}
	n.serving.close()
	n.endLeading()
	if n.led != nil {
		select {
		case <-n.led:
		case <-ctx.Done():
			try("waiting for the leader's work to end", context.Cause(ctx))
		}
	}
	if n.gossip != nil {
		try("leaving gossip", n.gossip.close(graceful, n.cfg.Timing.RPC))
	}
	for _, s := range n.servers {
		if graceful && s == n.forwardServing {
			// The answer of a handler that is done may not be written yet.
			flush, cancel := context.WithTimeout(ctx, n.cfg.Timing.Heartbeat)
			_ = s.Shutdown(flush) // what does not end by then is closed
			cancel()
		}
		try("closing a server", s.Close())
	}
	// Proposals still waiting are answered once Raft has stepped down or a
	// lease has run out; after its shutdown nobody would answer them.
	drain, cancel := context.WithTimeout(ctx, 3*n.cfg.Timing.LeaderLease)
	if err := n.futures.wait(drain); err != nil {
		n.log.Warn("stopping with proposals unanswered", "error", err)
	}
	cancel()
	raftErr := n.closeRaft(ctx)
	try("stopping Raft", raftErr)
	n.endLifetime()
	n.clientConns.closeAll()
	n.client.close()
	if n.peerClient != nil {
		n.peerClient.CloseIdleConnections()
	}
	if n.port != nil {
		try("closing the cluster address", n.port.Close())
	}
	n.reads.wait()
	n.workers.Wait()
	try("ending requests of other nodes", n.handlers.wait(ctx))
	try("probing the disk", n.waitProbes(ctx))
	if n.stores != nil && raftErr == nil {
		// Under a Raft that goes on, the log had better stay open.
		try("closing the log", within(ctx, n.stores.close)) // a disk that hangs must not hold the process
	}
	n.log.Info("node is down")
	return errors.Join(errs...)
}

// within runs f and waits for it until ctx ends.
func within(ctx context.Context, f func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stopGrace is the part of the time to stop that requests under way may take.
func stopGrace(ctx context.Context) time.Duration {
	const most = 5 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		return min(most, time.Until(deadline)/2)
	}
	return most
}

// otherVoters counts the voters besides this one.
func (n *Node) otherVoters() int {
	count := 0
	if r := n.raft.Load(); r != nil {
		for _, s := range voters(r) {
			if string(s.ID) != n.self.Load().nodeID {
				count++
			}
		}
	}
	return count
}
