package clustertest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"broker/cluster"
)

// patience bounds every wait of the kit.
const patience = time.Minute

// Options change what New builds. The zero value, and nil, is a cluster of
// Journals without gossip that lead by waiting.
type Options struct {
	// Configure is called before every start of a node, after the kit has
	// filled in cfg, and may change it: set FSM, Lead, Handler. Lead and Handler
	// may use node.Live, which is the node being started.
	Configure func(node *Node, cfg *cluster.Config)
	// Gossip switches gossip on. It does not heed partitions.
	Gossip bool
	// Logs receives the log of all nodes. Nil discards it.
	Logs io.Writer
}

// Timing returns the timing of the kit's nodes: fast, but not so fast that a
// busy machine causes elections.
func Timing() cluster.Timing {
	return cluster.Timing{
		Heartbeat:   300 * time.Millisecond,
		Election:    300 * time.Millisecond,
		LeaderLease: 250 * time.Millisecond,
		Commit:      5 * time.Millisecond,
		RPC:         time.Second,
		Propose:     5 * time.Second,
		Establish:   5 * time.Second,
		Retry:       50 * time.Millisecond,
		Clock:       50 * time.Millisecond,
		Compare:     50 * time.Millisecond,
	}
}

// Cluster is a running cluster under test. Its methods are for the test's own
// goroutine, unless they say otherwise.
type Cluster struct {
	// Nodes are all nodes, running or not, in the order they were made.
	Nodes []*Node

	t     testing.TB
	opts  Options
	board *switchboard
}

// Node is one place in the cluster. The node living there changes when it is
// restarted.
type Node struct {
	// ID is the node's name: n1, n2, …
	ID string
	// Dir is its data directory.
	Dir string

	c *Cluster

	mu      sync.Mutex
	live    *cluster.Node
	journal *Journal
	running bool
}

// New starts a cluster of size nodes and waits for its leader, and until all of them vote.
func New(t testing.TB, size int, opts ...*Options) *Cluster {
	t.Helper()
	c := &Cluster{t: t, board: newSwitchboard()}
	for _, o := range opts {
		if o != nil {
			c.opts = *o
		}
	}
	t.TempDir() // the first one decides when all are removed: after the nodes have stopped
	t.Cleanup(c.stopAll)
	for range size {
		c.Add()
	}
	c.AllVote()
	return c
}

// AllVote waits until every running node votes, and all of them know it: one that has not heard of another's
// vote does not vote for it.
func (c *Cluster) AllVote() {
	c.t.Helper()
	c.Leader()
	Eventually(c.t, "everybody to vote", func() bool {
		for _, n := range c.Nodes {
			for _, other := range c.Nodes {
				if n.Running() && other.Running() && !n.votes(other.ID) {
					return false
				}
			}
		}
		return true
	})
}

// votes reports whether this node knows another one as a voter.
func (n *Node) votes(id string) bool {
	for _, m := range n.Live().Status().Members {
		if m.ID == id {
			return m.Voter
		}
	}
	return false
}

// Add starts one more node. The first begins the cluster, others join it.
func (c *Cluster) Add() *Node {
	c.t.Helper()
	n := &Node{ID: fmt.Sprintf("n%d", len(c.Nodes)+1), Dir: c.t.TempDir(), c: c}
	c.Nodes = append(c.Nodes, n)
	c.start(n)
	return n
}

// Config returns the configuration a node is started with.
func (c *Cluster) Config(n *Node) cluster.Config {
	journal := &Journal{}
	n.mu.Lock()
	n.journal = journal
	n.mu.Unlock()
	cfg := cluster.Config{
		NodeID:            n.ID,
		DataDir:           n.Dir,
		ClusterAddr:       n.ID + ".test:8421",
		APIAdvertise:      n.ID + ".test:8420",
		Version:           "test",
		Network:           socket{board: c.board, node: n.ID},
		FSM:               journal,
		Timing:            Timing(),
		UnsafeNoSync:      true,
		SnapshotThreshold: 1 << 20,
		PromoteAfter:      40 * time.Millisecond,
	}
	cfg.ClusterAdvertise = cfg.ClusterAddr
	if n == c.Nodes[0] {
		cfg.Init = true
	} else {
		for _, other := range c.Nodes {
			if other != n {
				cfg.Join = append(cfg.Join, other.ID+".test:8421")
			}
		}
	}
	if c.opts.Gossip {
		cfg.GossipAddr = "127.0.0.1:0"
	}
	if c.opts.Logs != nil {
		cfg.Logger = slog.New(slog.NewTextHandler(c.opts.Logs, &slog.HandlerOptions{Level: slog.LevelDebug})).With("on", n.ID)
	}
	return cfg
}

func (c *Cluster) start(n *Node) {
	c.t.Helper()
	cfg := c.Config(n)
	if c.opts.Configure != nil {
		c.opts.Configure(n, &cfg)
	}
	live, err := cluster.New(cfg)
	if err != nil {
		c.t.Fatalf("making node %s: %v", n.ID, err)
	}
	n.mu.Lock()
	n.live, n.running = live, true
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := live.Start(ctx); err != nil {
		c.t.Fatalf("starting node %s: %v", n.ID, err)
	}
}

// Live returns the node that lives here now, or lived here last. It is safe for
// concurrent use.
func (n *Node) Live() *cluster.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.live
}

// Journal returns the state machine of the node that lives here now, unless
// Configure put another in its place. It is safe for concurrent use.
func (n *Node) Journal() *Journal {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.journal
}

// Running reports whether the node is started and neither stopped nor killed.
func (n *Node) Running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.running
}

// MustPropose proposes cmd at this node and returns the index of its entry.
func (n *Node) MustPropose(cmd []byte) uint64 {
	n.c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, index, err := n.Live().Propose(ctx, cmd)
	if err != nil {
		n.c.t.Fatalf("proposing at %s: %v", n.ID, err)
	}
	return index
}

// MustApply waits until this node has applied index.
func (n *Node) MustApply(index uint64) {
	n.c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Live().WaitApplied(ctx, index); err != nil {
		n.c.t.Fatalf("at %s: %v", n.ID, err)
	}
}

// MustPropose proposes cmd at whoever leads, and again until it knows that it
// was committed: on a machine that does much else leadership may change in
// between, and the entry is there twice then. It returns the index of the
// last one.
func (c *Cluster) MustPropose(cmd []byte) uint64 {
	c.t.Helper()
	var index uint64
	Eventually(c.t, "a proposal to be committed", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		leader := c.Leader()
		var err error
		_, index, err = leader.Live().Propose(ctx, cmd)
		if err != nil {
			c.t.Logf("proposing at %s again: %v", leader.ID, err)
		}
		return err == nil
	})
	return index
}

// Leader waits for a leader that is established and reaches a majority, and
// returns it.
func (c *Cluster) Leader() *Node {
	c.t.Helper()
	var leader *Node
	Eventually(c.t, "a leader that reaches a majority", func() bool {
		leader = nil
		for _, n := range c.Nodes {
			if n.Running() && n.Live().LeaderReady() && c.reachesMajority(n) &&
				(leader == nil || n.Live().Term() > leader.Live().Term()) {
				leader = n
			}
		}
		return leader != nil
	})
	return leader
}

// WaitLeader waits for a leader that every running node which reaches a
// majority knows of, and returns it.
func (c *Cluster) WaitLeader() *Node {
	c.t.Helper()
	var leader *Node
	Eventually(c.t, "a leader that everybody knows", func() bool {
		leader = c.Leader()
		for _, n := range c.Nodes {
			id, _, _ := n.Live().Leader()
			if n.Running() && c.reachesMajority(n) && id != leader.ID {
				return false
			}
		}
		return true
	})
	return leader
}

// Followers returns the running nodes other than leader.
func (c *Cluster) Followers(leader *Node) []*Node {
	var out []*Node
	for _, n := range c.Nodes {
		if n != leader && n.Running() {
			out = append(out, n)
		}
	}
	return out
}

// Kill ends a node as a crash would: from one moment to the next nobody hears
// of it.
func (c *Cluster) Kill(n *Node) {
	c.t.Helper()
	c.Partition(n)
	c.end(n, (*cluster.Node).Abort)
}

// Stop ends a node gracefully.
func (c *Cluster) Stop(n *Node) {
	c.t.Helper()
	c.end(n, (*cluster.Node).Stop)
}

func (c *Cluster) end(n *Node, how func(*cluster.Node, context.Context) error) {
	c.t.Helper()
	n.mu.Lock()
	n.running = false
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := how(n.Live(), ctx); err != nil {
		c.t.Errorf("ending node %s: %v", n.ID, err)
	}
}

// Restart starts a node again that was stopped or killed, on its old data
// directory and connected to all others.
func (c *Cluster) Restart(n *Node) {
	c.t.Helper()
	c.board.mend(func(r route) bool { return r.from != n.ID && r.to != n.ID })
	c.start(n)
}

// stopAll ends the nodes that still run, at the same time.
func (c *Cluster) stopAll() {
	c.t.Helper()
	c.Heal()
	var all sync.WaitGroup
	for _, n := range c.Nodes {
		if n.Running() {
			all.Go(func() { c.end(n, (*cluster.Node).Stop) })
		}
	}
	all.Wait()
}

// Eventually polls until ok is true, and fails the test when that takes too
// long.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain for %s", patience, what)
		}
		<-tick.C
	}
}
