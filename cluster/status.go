package cluster

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// Status is what one node knows of the cluster. It needs no quorum and may be
// behind.
type Status struct {
	NodeID      string
	ClusterID   string
	ClusterAddr string
	// State is follower, candidate, leader, shutdown, or "starting" before
	// Raft runs.
	State string
	Term  uint64
	// LeaderID and LeaderAddr are empty while no leader is known.
	LeaderID   string
	LeaderAddr string
	// LeaderReady says that this node leads and has applied what came before.
	LeaderReady bool
	// CommitIndex is the highest index known to be committed, LastLogIndex the
	// highest stored, AppliedIndex the highest the state machine has taken in.
	CommitIndex  uint64
	AppliedIndex uint64
	LastLogIndex uint64
	// Staleness is as Node.Staleness has it.
	Staleness time.Duration
	// Candidacies counts how often this node stood for election since it was
	// started, LeaderChanges how often it came to know of another leader or term.
	Candidacies   uint64
	LeaderChanges uint64
	// ClockError says why this node does not lead on account of its clock; nil
	// when it may.
	ClockError error
	// StateError says why this node neither leads nor should be read on account of
	// its state; nil when it may.
	StateError error
	// Divergences are the nodes that made another state of the log than this one.
	Divergences []Divergence
	// Disk is what this node knows of its disk.
	Disk DiskView
	// Members are sorted by ID.
	Members []Member
}

// Member is one node of the cluster as another sees it.
type Member struct {
	ID          string
	ClusterAddr string
	// APIAddr and Version are empty until heard of.
	APIAddr string
	Version string
	Voter   bool
	Leader  bool
	// Self marks the node that gives the answer.
	Self   bool
	Health Health
	// State is voter, non-voter for one that an operator keeps without a vote, or promoting.
	State MemberState
	// Trouble is why it would not get a vote now, as "is 700 log entries behind"; empty when nothing is wrong.
	Trouble string
	// Level is the highest feature level it reads; 0 until heard of.
	Level uint64
	// LastContact is how long ago it answered; nil when it never did.
	LastContact *time.Duration
	// Lag is how many log entries it had less than this node; nil when it does not answer.
	Lag *uint64
	// GossipAddr is empty until heard of.
	GossipAddr string
	// Clock is how far its clock is ahead of this node's; nil when unknown.
	Clock *ClockOffset
	// CertificateEndsAt is when the certificate ends that it shows to other nodes; zero when it has not said.
	CertificateEndsAt time.Time
	// Disk is what somebody should know of its disk; empty when there is nothing, or the node has not
	// answered lately.
	Disk []string
}

// MemberState says whether a member votes, or is going to.
type MemberState string

// The states of members.
const (
	StateVoter     MemberState = "voter"
	StateNonvoter  MemberState = "non-voter"
	StatePromoting MemberState = "promoting"
)

// Status returns what this node knows.
func (n *Node) Status() Status {
	s := Status{
		State: "starting", AppliedIndex: n.AppliedIndex(), Staleness: n.Staleness(),
		Candidacies: n.tally.candidacies.Load(), LeaderChanges: n.tally.leaderChanges.Load(),
	}
	if me := n.self.Load(); me != nil {
		s.NodeID, s.ClusterID, s.ClusterAddr = me.nodeID, me.clusterID, me.clusterAddr
	}
	r := n.raft.Load()
	if r == nil {
		return s
	}
	s.State = strings.ToLower(r.State().String())
	s.Term = r.CurrentTerm()
	s.LeaderID, s.LeaderAddr, _ = n.Leader()
	s.LeaderReady = n.LeaderReady()
	s.CommitIndex = r.CommitIndex()
	s.LastLogIndex = r.LastIndex()
	clock := n.Clock()
	s.ClockError = clock.Off()
	s.StateError, s.Divergences = n.Diverged(), n.Divergences()
	s.Disk = n.Disk()
	for _, server := range servers(r) {
		m := Member{
			ID:          string(server.ID),
			ClusterAddr: string(server.Address),
			Voter:       server.Suffrage == raft.Voter,
			Leader:      string(server.ID) == s.LeaderID,
			Self:        string(server.ID) == s.NodeID,
		}
		info, health := n.peers.look(m.ID)
		if m.Self {
			info, health = n.info(), HealthAlive
		}
		report, fresh := n.disks.latest(m.ID, n.clockAge())
		if m.Self {
			report, fresh = n.diskReport(), true
		}
		for _, says := range []string{report.Trouble, report.LowSpace} {
			if fresh && says != "" {
				m.Disk = append(m.Disk, says)
			}
		}
		m.APIAddr, m.Version, m.Health, m.GossipAddr = info.API, info.Version, health, info.Gossip
		n.tellContact(&m)
		if o, known := clock.Offsets[m.ID]; known {
			m.Clock = &o
		}
		s.Members = append(s.Members, m)
	}
	sort.Slice(s.Members, func(i, j int) bool { return s.Members[i].ID < s.Members[j].ID })
	return s
}

// tellContact adds what this node has seen of a member.
func (n *Node) tellContact(m *Member) {
	m.State = StateVoter
	if !m.Voter {
		m.State = StatePromoting
		if known, _ := n.cfg.Roster.Member(m.ID); known.Held {
			m.State = StateNonvoter
		}
	}
	if m.Self {
		m.Level, m.LastContact, m.Lag = n.cfg.Levels.Reads(), new(time.Duration), new(uint64)
		m.CertificateEndsAt = n.ownReport().CertificateEndsAt
		return
	}
	one, ok := n.contacts.look(m.ID)
	if !ok {
		return
	}
	m.Trouble = one.trouble
	m.Health = HealthFailed
	if !one.answeredAt.IsZero() {
		ago := time.Since(one.answeredAt)
		m.LastContact, m.Level, m.Version = &ago, reads(one.report.Level), one.report.Version
		m.CertificateEndsAt = one.report.CertificateEndsAt
	}
	if one.silentSince.IsZero() {
		m.Health, m.Lag = HealthAlive, &one.lag
	}
}

// NodeID returns the node's name; empty before Start where the configuration
// leaves it to the data directory.
func (n *Node) NodeID() string {
	if me := n.self.Load(); me != nil {
		return me.nodeID
	}
	return n.cfg.NodeID
}

// ClusterID returns the identity of the cluster; empty before Start has learned
// it.
func (n *Node) ClusterID() string {
	if me := n.self.Load(); me != nil {
		return me.clusterID
	}
	return n.cfg.ClusterID
}

// Leader returns the leader this node knows of. It may be out of date.
func (n *Node) Leader() (id, clusterAddr string, ok bool) {
	clusterAddr, id, ok = n.leaderAddr()
	return id, clusterAddr, ok
}

// IsLeader reports whether this node believes to be the leader.
func (n *Node) IsLeader() bool {
	r := n.raft.Load()
	return r != nil && r.State() == raft.Leader
}

// LeaderReady reports whether this node believes to be the leader and has
// applied everything committed before its term.
func (n *Node) LeaderReady() bool {
	r := n.raft.Load()
	term := n.established.Load()
	return r != nil && term != 0 && leads(r, term)
}

// Term returns the current Raft term, 0 before Raft runs.
func (n *Node) Term() uint64 {
	if r := n.raft.Load(); r != nil {
		return r.CurrentTerm()
	}
	return 0
}

// WaitLeader blocks until this node knows a leader, itself included once it is
// ready, or ctx ends.
func (n *Node) WaitLeader(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if id, _, ok := n.Leader(); ok && (id != n.NodeID() || n.LeaderReady()) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNoLeader, context.Cause(ctx))
		}
	}
}
