package cluster

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// maxBatch is how many entries share a write to disk, a message and an
	// ApplyBatch; Raft takes no more than 1024.
	maxBatch = 1024
	// connsPerPeer is how many idle Raft connections are kept to each node:
	// replication, heartbeat, and one to spare.
	connsPerPeer = 3
	// oneAtATime switches pipelining off. A follower that rejects a pipelined
	// message can leave sender and decoder waiting for each other for ever:
	// nothing reaches that follower any more, and Shutdown does not return.
	oneAtATime = 1
	// notifyBuffer lets Raft report changes of leadership without waiting: it
	// stands still while the channel is full.
	notifyBuffer = 16
)

func (n *Node) raftConfig(nodeID string) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(nodeID)
	c.HeartbeatTimeout = n.cfg.Timing.Heartbeat
	c.ElectionTimeout = n.cfg.Timing.Election
	c.LeaderLeaseTimeout = n.cfg.Timing.LeaderLease
	c.CommitTimeout = n.cfg.Timing.Commit
	c.MaxAppendEntries = maxBatch
	c.BatchApplyCh = true
	c.SnapshotThreshold = n.cfg.SnapshotThreshold
	c.TrailingLogs = n.cfg.TrailingLogs
	// Often, so that the threshold decides and not the clock.
	c.SnapshotInterval = 10 * time.Second
	c.ShutdownOnRemove = false
	c.NotifyCh = n.notify
	c.NoLegacyTelemetry = true
	c.Logger = &raftLogger{out: n.log, name: "raft"}
	return c
}

// openRaft starts Raft on what the data directory holds; with begin set it
// first writes the configuration of a new cluster of this node alone.
func (n *Node) openRaft(self self, begin bool) error {
	n.raftConns = &raftStream{
		network:   n.cfg.Network,
		listener:  n.port.Protocol(ProtocolRaft),
		advertise: self.clusterAddr,
		clusterID: self.clusterID,
		lifetime:  n.lifetime,
	}
	config := n.raftConfig(self.nodeID)
	inner := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:                  n.raftConns,
		MaxPool:                 connsPerPeer,
		MaxRPCsInFlight:         oneAtATime,
		Timeout:                 n.cfg.Timing.RPC,
		Logger:                  &raftLogger{out: n.log, name: "raft-net"},
		MsgpackUseNewTimeFormat: true,
	})
	n.raftTransport = inner
	transport := newTransport(n.lifetime, inner, n.raft.Load, n.stored, n.unfit, n.voice, config.LocalID)
	n.workers.Go(transport.pump)

	if begin {
		alone := raft.Configuration{Servers: []raft.Server{{
			Suffrage: raft.Voter,
			ID:       config.LocalID,
			Address:  transport.LocalAddr(),
		}}}
		if err := raft.BootstrapCluster(config, n.stores.logs, n.stores.stable, n.stores.snapshots, transport, alone); err != nil {
			return fmt.Errorf("beginning a new cluster: %w", err)
		}
	}
	r, err := n.newRaft(config, transport)
	if err != nil {
		return fmt.Errorf("starting Raft: %w", err)
	}
	n.raft.Store(r)
	if v := voters(r); len(v) == 1 && v[0].ID == config.LocalID {
		n.workers.Go(transport.standNow)
	}
	return nil
}

// newRaft has Raft begin with the newest snapshot and the log. It panics over an entry that it cannot read,
// before any of its goroutines runs.
func (n *Node) newRaft(config *raft.Config, transport raft.Transport) (r *raft.Raft, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = damaged(filepath.Join(n.cfg.DataDir, logFile), p)
		}
	}()
	r, err = raft.NewRaft(config, n.machine, n.stores.logs, n.stores.stable, n.stores.snapshots, transport)
	err = n.stores.snapshots.started(err)
	if err != nil && n.machine.refused != nil {
		// Raft only tells its log why.
		return nil, fmt.Errorf("%w: the newest snapshot cannot be restored: %w", ErrDamaged, n.machine.refused)
	}
	return r, err
}

// leadsOthers reports whether what Raft stores now is a leader's, which others have to acknowledge.
func (n *Node) leadsOthers() bool {
	r := n.raft.Load()
	return r != nil && r.State() == raft.Leader && len(voters(r)) > 1
}

// stored returns once the entry of that index is on this node's disk.
func (n *Node) stored(index uint64) error {
	return n.stores.journal.waitDurable(index, n.cfg.Timing.RPC)
}

// closeRaft ends Raft and waits for its goroutines, at most until ctx ends.
func (n *Node) closeRaft(ctx context.Context) error {
	var err error
	if r := n.raft.Load(); r != nil {
		down := r.Shutdown()
		// Exchanges under way would otherwise last until their timeout.
		n.raftConns.conns.closeAll()
		ended := make(chan error, 1)
		go func() { ended <- down.Error() }()
		select {
		case err = <-ended:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if n.raftTransport != nil {
		_ = n.raftTransport.Close()
		n.raftTransport.CloseStreams()
		n.raftConns.conns.closeAll()
	}
	return err
}

// raftStream is the stream layer below Raft's transport.
type raftStream struct {
	network   Network
	listener  net.Listener
	advertise string
	clusterID string
	lifetime  context.Context
	conns     connSet
}

var _ raft.StreamLayer = (*raftStream)(nil)

func (s *raftStream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.lifetime, timeout)
	defer cancel()
	conn, err := s.network.Dial(ctx, string(address), ProtocolRaft, s.clusterID)
	if err != nil {
		return nil, err
	}
	return s.conns.track(conn)
}

func (s *raftStream) Accept() (net.Conn, error) {
	conn, err := s.listener.Accept()
	if err != nil {
		return nil, err
	}
	return s.conns.track(conn)
}

func (s *raftStream) Close() error { return s.listener.Close() }

// Addr returns the advertised address: Raft tells it to others as the leader's.
func (s *raftStream) Addr() net.Addr { return textAddr(s.advertise) }

// textAddr is an address as it was configured, host names included.
type textAddr string

func (textAddr) Network() string  { return "tcp" }
func (a textAddr) String() string { return string(a) }

// voters returns the voting members of the newest configuration this node
// knows, committed or not.
func voters(r *raft.Raft) []raft.Server {
	var out []raft.Server
	for _, s := range servers(r) {
		if s.Suffrage == raft.Voter {
			out = append(out, s)
		}
	}
	return out
}

// servers returns all members of the newest configuration this node knows.
func servers(r *raft.Raft) []raft.Server {
	// Answered from memory, without Raft's main loop: it never blocks or fails.
	f := r.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	return f.Configuration().Servers
}
