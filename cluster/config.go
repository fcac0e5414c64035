package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/raft"
)

// MaxCommandBytes is the largest command that Propose takes. Larger entries
// would hold up the heartbeats behind them.
const MaxCommandBytes = 1 << 20

// Config says who a node is and what it works for.
type Config struct {
	// NodeID names the node in its cluster for ever: lower case letters,
	// digits, '_', '.' and '-', at most 63. Empty takes the one stored in
	// DataDir.
	NodeID string
	// DataDir holds the log, the snapshots and the node's identity. It is
	// created with mode 0700 when missing.
	DataDir string
	// Version is the version of the program, shown to other nodes. Empty is
	// shown as empty.
	Version string

	// CertificateEndsAt tells when the certificate ends that this node shows to others, as they tell whoever looks at the
	// cluster. Nil, and a zero time: it is not known.
	CertificateEndsAt func() time.Time

	// ClusterAddr is the host:port that other nodes connect to. Port 0 takes
	// any free one, which suits a single node only.
	ClusterAddr string
	// ClusterAdvertise is the host:port that others are told. Empty is the
	// address listened at, which then must name a host.
	ClusterAdvertise string
	// GossipAddr is the host:port of gossip, TCP and UDP. Empty switches gossip
	// off; nodes then learn of each other over the cluster port alone.
	GossipAddr string
	// GossipAdvertise is the host:port of gossip that others are told. Empty is
	// the address listened at.
	GossipAdvertise string
	// GossipKeys encrypt gossip: 16, 24 or 32 bytes each. The first one is used, all are
	// understood. Empty leaves gossip in clear. See Node.SetGossipKeys.
	GossipKeys [][]byte
	// APIAdvertise is where this node's API is found; shown by Status at every
	// node. Empty is shown as empty.
	APIAdvertise string

	// Init begins a new cluster of this one node when DataDir is empty. A node
	// that is already a member ignores it.
	Init bool
	// ClusterID is the identity of the cluster: chosen at Init, learned when
	// joining. Empty at Init makes one up; empty otherwise takes the stored one.
	ClusterID string
	// Join lists cluster addresses of nodes to ask for membership when DataDir
	// is empty. A node that is already a member ignores it.
	Join []string

	// Network carries the connections between nodes. Required.
	Network Network

	// FSM is the state machine. Only committed commands reach it, in order,
	// each once between a Restore and the end of the process; entries of other
	// types are kept away from it. Required.
	FSM raft.BatchingFSM
	// Checkpoints returns hashes over what the state machine made of the log, at
	// indexes that are the same at every node, sorted; and at the newest index.
	// It is called often and must not wait. Nil compares nothing.
	Checkpoints func() []Checkpoint
	// Handler serves the requests that other nodes forward to this one: while it leads, or because it is the one that
	// is meant (see Node.MemberTransport). Nil answers 404.
	Handler http.Handler
	// Questions answers, while this node leads, what nodes ask by AskLeader and what strangers ask of
	// AboutEnrolling. It may be called concurrently. An error wrapping ErrJoinRefused is final. Nil
	// answers none.
	Questions func(ctx context.Context, about string, question []byte) (answer []byte, err error)
	// Lead is the work of one leadership period of this node, in the given
	// term. It is called after everything committed in earlier terms has been
	// applied here, never twice at the same time. The context is cancelled as
	// soon as leadership is known to be gone, this node's clock or state is found
	// to be wrong or its disk bad, or the node stops; Lead must then return soon.
	// Returning while the context lives hands leadership over to another node. Nil
	// does nothing.
	Lead func(ctx context.Context, term uint64) error

	// Roster remembers members beside Raft's configuration. Nil remembers nothing; a node that comes back with
	// data of an earlier membership is then not told from one that kept them.
	Roster Roster
	// Levels are the feature levels. Nil is a single one.
	Levels Levels
	// HoldUpgrade keeps the cluster at its feature level until somebody raises it by hand.
	HoldUpgrade bool
	// Forget is called by the leader before a member is removed: whoever believes the node by a key is to
	// believe it no more. It is called, too, for a node that was let in and never became a member. It returns an
	// error wrapping ErrNoMember where nobody believes such a node. Nil does nothing.
	Forget func(ctx context.Context, nodeID string) error
	// Removed is called, once, when this node has found out that it is no member any more. It must not block;
	// the node is to be stopped then. Nil does nothing.
	Removed func(error)
	// Leave is called when the cluster has this node leave. It must not block; Node.Leave and Stop are to
	// follow. Nil: it cannot be asked.
	Leave func()
	// PromoteAfter is for how long a node must have been well before it gets a vote. Zero is 2 s.
	PromoteAfter time.Duration
	// RemoveDeadAfter is after how long a member that nobody reaches is removed. Zero is never.
	RemoveDeadAfter time.Duration

	// Timing holds timeouts. The zero value is LAN.
	Timing Timing
	// SnapshotThreshold is after how many log entries a snapshot is taken. Zero
	// is 8192.
	SnapshotThreshold uint64
	// TrailingLogs is how many entries stay in the log after a snapshot, so
	// that a node which was away briefly needs no snapshot. Zero is 10240.
	TrailingLogs uint64
	// WrapLog is put between Raft's cache and the durable log: to watch the disk,
	// or to play a bad one in tests. Nil leaves the log as it is.
	WrapLog func(raft.LogStore) raft.LogStore
	// Flush makes what was written to a file of the log durable: to play a bad disk in tests. Nil is fdatasync.
	Flush func(*os.File) error
	// Halt is called with the reason when the disk has lost what it was given,
	// so that this node cannot go on. Nil leaves a node that takes no entry any
	// more, and answers everything else.
	Halt func(error)
	// UnsafeNoSync skips fsync of the log. A crash of the machine may then lose
	// acknowledged entries: for tests only.
	UnsafeNoSync bool

	// Observer hears how the log goes. Nil is nobody.
	Observer Observer

	// Now is the wall clock of this machine. Nil is time.Now.
	Now func() time.Time

	// Logger receives what the node has to say. Nil discards it.
	Logger *slog.Logger
}

var nodeIDPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,62}$`)

// validate checks what can be checked without touching anything, and fills in
// defaults.
func (c Config) validate() (Config, error) {
	if c.Halt == nil {
		c.Halt = func(error) {}
	}
	if c.Flush == nil {
		c.Flush = flush
		if c.UnsafeNoSync {
			c.Flush = func(*os.File) error { return nil }
		}
	}
	switch {
	case c.DataDir == "":
		return c, errors.New("the data directory is not set")
	case c.NodeID != "" && !nodeIDPattern.MatchString(c.NodeID):
		return c, fmt.Errorf("node id %q must be lower case letters, digits, '_', '.' or '-', at most 63 of them", c.NodeID)
	case c.FSM == nil:
		return c, errors.New("the state machine is not set")
	case c.Network == nil:
		return c, errors.New("the network is not set")
	case c.Init && len(c.Join) > 0:
		return c, errors.New("a node either begins a new cluster or joins one, not both")
	case len(c.ClusterID) > maxClusterIDLen:
		return c, fmt.Errorf("cluster id is longer than %d characters", maxClusterIDLen)
	}
	for _, a := range []struct{ what, addr string }{
		{"cluster address", c.ClusterAddr},
		{"advertised cluster address", c.ClusterAdvertise},
		{"gossip address", c.GossipAddr},
		{"advertised gossip address", c.GossipAdvertise},
	} {
		if a.addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(a.addr); err != nil {
			return c, fmt.Errorf("%s %q is not host:port: %w", a.what, a.addr, err)
		}
	}
	if c.ClusterAddr == "" {
		return c, errors.New("the cluster address is not set")
	}
	for _, key := range c.GossipKeys {
		if err := memberlist.ValidateKey(key); err != nil {
			return c, fmt.Errorf("gossip key has %d bytes; 16, 24 or 32 are possible", len(key))
		}
	}

	c.Timing = c.Timing.withDefaults()
	if c.SnapshotThreshold == 0 {
		c.SnapshotThreshold = 8192
	}
	if c.TrailingLogs == 0 {
		c.TrailingLogs = 10240
	}
	if c.Checkpoints == nil {
		c.Checkpoints = func() []Checkpoint { return nil }
	}
	if c.Handler == nil {
		c.Handler = http.NotFoundHandler()
	}
	if c.Lead == nil {
		c.Lead = func(ctx context.Context, _ uint64) error {
			<-ctx.Done()
			return nil
		}
	}
	if c.Roster == nil {
		c.Roster = noRoster{}
	}
	if c.Levels == nil {
		c.Levels = oneLevel{}
	}
	if c.PromoteAfter <= 0 {
		c.PromoteAfter = 2 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
