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

	serving  gate           // requests being served as leader
	futures  gate           // unanswered futures of Raft
	handlers gate           // anything being served for other nodes
	workers  sync.WaitGroup // every other goroutine of this node
	probes   sync.WaitGroup // those that probe the disk, which may hang
	probing  sync.Mutex     // held by the one that does
	led      chan struct{}  // closed when the one that leads has ended; nil before it began

	voice           *voice // what Raft is answered with; silent until this node was let in
	contacts        contacts
	handOvers       chan *handOverAsked // taken by the leader's work
	stopping        atomic.Bool         // others had better not count on this node
	caughtUp        atomic.Bool         // it has been up to date, and known a leader since
	removed         atomic.Bool         // it is a member no more
	rememberedLevel uint64              // what the data directory says; for watchMembers only

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
	instance    string
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

		voice:     newVoice(),
		handOvers: make(chan *handOverAsked),
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
		if err := n.checkMembership(stored); err != nil {
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
	if id, err = n.brand(id, member); err != nil {
		return err
	}
	if member || n.cfg.Init {
		n.voice.raise()
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
	me := self{nodeID: id.NodeID, clusterID: id.ClusterID, clusterAddr: n.cfg.ClusterAdvertise, instance: id.Instance}
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
	n.workers.Go(n.watchMembers)
	n.workers.Go(n.watchReady)
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
