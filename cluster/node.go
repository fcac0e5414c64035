package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// A Node is this process's part in the cluster. Its methods are safe for
// concurrent use, also before Start and after Stop.
type Node struct {
	cfg     Config
	log     *slog.Logger
	machine *machine
	reads   readRounds
	peers   peerBook
	clocks  clockBook
	states  stateBook
	disk    diskBook
	disks   diskReports
	fitness fitness
	reigns  reigns

	// notify carries gains and losses of leadership from Raft.
	notify chan bool
	// established is the term this node leads in, once it has; else 0.
	established atomic.Uint64
	// tally is for Status.
	tally tally

	// lifetime ends when the node is down; leading ends first.
	lifetime    context.Context
	endLifetime context.CancelFunc
	leading     context.Context
	endLeading  context.CancelFunc

	forwarded gate           // requests being served for other nodes by the handler
	futures   gate           // unanswered futures of Raft
	handlers  gate           // anything being served for other nodes
	workers   sync.WaitGroup // every other goroutine of this node
	probes    sync.WaitGroup // those that probe the disk, which may hang
	probing   sync.Mutex     // held by the one that does
	led       chan struct{}  // closed when the one that leads has ended; nil before it began

	self atomic.Pointer[self]
	raft atomic.Pointer[raft.Raft]

	// What Start opens, in this order.
	stores         *stores
	port           Port
	raftConns      *raftStream
	raftTransport  *raft.NetworkTransport
	client         *forwardConns   // for clients' requests
	peerClient     *http.Transport // for the nodes' own questions
	clientConns    connSet
	servers        []*http.Server
	forwardServing *http.Server // one of them
	gossip         *gossip

	mu      sync.Mutex
	started bool
	stopped chan struct{} // made by the first stop, closed at its end
	stopErr error
}

// self is what a node knows of itself once it has a place in a cluster.
type self struct {
	nodeID      string
	clusterID   string
	clusterAddr string
}

// New checks the configuration and returns a node that does not run yet. It
// opens and changes nothing.
func New(cfg Config) (*Node, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, fmt.Errorf("configuring the node: %w", err)
	}
	n := &Node{
		cfg:     cfg,
		log:     cfg.Logger,
		machine: newMachine(cfg.FSM),
		notify:  make(chan bool, notifyBuffer),
	}
	n.lifetime, n.endLifetime = context.WithCancel(context.Background())
	n.leading, n.endLeading = context.WithCancel(n.lifetime)
	n.machine.diverged = n.Diverged
	n.reads.run = n.readRound
	n.disk.bound = n.cfg.Timing.Disk
	n.reigns.lifetime, n.reigns.grace = n.lifetime, n.cfg.Timing.Heartbeat
	n.client = newForwardConns(n.dialForward)
	n.reigns.begins = n.leaderChanged
	return n, nil
}

// Start brings the node up and returns when it is a member of its cluster: at
// once where the data directory says so or a cluster is begun, else after a
// member has let it in, for which Start asks until ctx ends. A leader need not
// exist when Start returns. After an error the node is down and stays so.
//
// Start returns errors wrapping ErrIdentity, ErrDamaged, ErrNotMember,
// ErrJoinRefused or ErrForeignCluster for what a person must mend.
func (n *Node) Start(ctx context.Context) error {
	n.mu.Lock()
	if n.started || n.stopped != nil {
		n.mu.Unlock()
		return errors.New("starting the node: a node starts only once")
	}
	n.started = true
	n.mu.Unlock()

	if err := n.start(ctx); err != nil {
		down, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.cfg.Timing.RPC)
		defer cancel()
		return errors.Join(fmt.Errorf("starting the node: %w", err), n.Abort(down))
	}
	return nil
}

func (n *Node) start(ctx context.Context) error {
	if err := os.MkdirAll(n.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	stored, known, err := readIdentity(n.cfg.DataDir)
	if err != nil {
		return err
	}
	if known {
		if err := checkIdentity(n.cfg.DataDir, stored, n.cfg.NodeID, n.cfg.ClusterID); err != nil {
			return err
		}
	}
	if n.stores, err = openStores(n.cfg, &n.disk, &raftLogger{out: n.log, name: "snapshot"}); err != nil {
		return err
	}
	n.stores.journal.mayDefer = n.leadsOthers
	n.stores.journal.sync = n.timedFlush(n.stores.journal.sync)
	member, err := n.stores.hasState()
	if err != nil {
		return fmt.Errorf("looking into the log: %w", err)
	}
	if member && !known {
		return fmt.Errorf("%w: there is a log but no %s: put it back; it names this node and its cluster", ErrIdentity, filepath.Join(n.cfg.DataDir, identityFile))
	}
	if member {
		if err := n.checkJoin(ctx, stored); err != nil {
			return err
		}
	}

	n.peerClient = n.newPeerClient()
	id := stored
	if !member {
		if id, err = n.place(ctx, stored, known); err != nil {
			return err
		}
	}
	self, err := n.open(id, !member && n.cfg.Init)
	if err != nil {
		return err
	}
	switch {
	case member:
		n.workers.Go(func() { n.move(self) })
	case !n.cfg.Init:
		return n.join(ctx, self)
	}
	return nil
}

// place finds out who this node is going to be, and in which cluster, when its
// directory does not say that it is a member.
func (n *Node) place(ctx context.Context, stored identity, known bool) (identity, error) {
	id := identity{NodeID: n.cfg.NodeID, ClusterID: n.cfg.ClusterID}
	if known {
		// An earlier start got as far as writing the identity.
		id = stored
	}
	if id.NodeID == "" {
		return identity{}, errors.New("the node id is not set")
	}
	switch {
	case n.cfg.Init:
		if id.ClusterID == "" {
			id.ClusterID = newClusterID()
		}
	case len(n.cfg.Join) > 0:
		clusterID, err := n.askClusterID(ctx)
		if err != nil {
			return identity{}, err
		}
		if id.ClusterID != "" && id.ClusterID != clusterID {
			return identity{}, fmt.Errorf("%w: asked to join cluster %s, this node is meant for %s", ErrForeignCluster, clusterID, id.ClusterID)
		}
		id.ClusterID = clusterID
	default:
		return identity{}, ErrNotMember
	}
	return id, writeIdentity(n.cfg.DataDir, id)
}

// open listens, starts Raft and everything around it.
func (n *Node) open(id identity, begin bool) (self, error) {
	port, err := n.cfg.Network.Listen(n.cfg.ClusterAddr, id.ClusterID)
	if err != nil {
		return self{}, fmt.Errorf("listening for other nodes at %s: %w", n.cfg.ClusterAddr, err)
	}
	n.port = port
	me := self{nodeID: id.NodeID, clusterID: id.ClusterID, clusterAddr: n.cfg.ClusterAdvertise}
	if me.clusterAddr == "" {
		if me.clusterAddr, err = advertised(n.cfg.ClusterAddr, port.Addr()); err != nil {
			return self{}, err
		}
	}
	n.self.Store(&me)

	if err := n.openRaft(me, begin); err != nil {
		return self{}, err
	}
	n.forwardServing = n.forwardServer()
	n.serve(ProtocolForward, n.forwardServing)
	n.serve(ProtocolPeer, n.peerServer())
	n.serve(ProtocolJoin, n.joinServer())
	n.led = make(chan struct{})
	go func() {
		defer close(n.led)
		n.lead()
	}()
	if n.cfg.GossipAddr != "" {
		if n.gossip, err = n.openGossip(me); err != nil {
			return self{}, err
		}
	}
	n.workers.Go(n.meetPeers)
	n.workers.Go(func() { n.watchLeader(n.raft.Load()) })
	n.workers.Go(n.watchClocks)
	n.workers.Go(n.watchStates)
	n.workers.Go(n.watchDisk)
	n.log.Info("node is up", "node", me.nodeID, "cluster", me.clusterID, "address", me.clusterAddr)
	return me, nil
}

// advertised makes an address for others from the one listened at.
func advertised(configured string, actual net.Addr) (string, error) {
	host, _, err := net.SplitHostPort(configured)
	if err != nil {
		return "", fmt.Errorf("advertising %q: %w", configured, err)
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		return "", fmt.Errorf("listening at %q does not tell others where to connect: set the advertised address", configured)
	}
	_, port, err := net.SplitHostPort(actual.String())
	if err != nil {
		return "", fmt.Errorf("advertising %q: %w", actual, err)
	}
	return net.JoinHostPort(host, port), nil
}

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

	if graceful {
		// Streams may last for ever: leave time for the rest.
		grace, cancel := context.WithTimeout(ctx, stopGrace(ctx))
		if err := n.forwarded.wait(grace); err != nil {
			n.log.Warn("ending requests of other nodes that would not finish", "error", err)
		}
		cancel()
	}
	n.forwarded.close()
	n.endLeading()
	if n.led != nil {
		select {
		case <-n.led:
		case <-ctx.Done():
			try("waiting for the leader's work to end", context.Cause(ctx))
		}
	}
	if graceful && n.IsLeader() && n.others() > 0 {
		if err := n.handOver(ctx); err != nil {
			n.log.Warn("stopping as leader without a successor", "error", err)
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

// others counts the members besides this one.
func (n *Node) others() int {
	count := 0
	if r := n.raft.Load(); r != nil {
		for _, s := range servers(r) {
			if string(s.ID) != n.self.Load().nodeID {
				count++
			}
		}
	}
	return count
}
