package cluster

import "context"

// Roster is what the cluster remembers of its members beside Raft's configuration, replicated like
// everything else. Its methods are safe for concurrent use.
type Roster interface {
	// Member returns what is remembered of a node, as far as this node has applied the log.
	Member(nodeID string) (Remembered, bool)

	// Note writes down what becomes of a member. It is called at the leader only and returns once that is
	// committed.
	Note(ctx context.Context, note Note) error
}

// Remembered is what a Roster has of a node.
type Remembered struct {
	// Instance names the data directory that was let in under the node's name. Empty: not known.
	Instance string
	// Held is true for a node that gets a vote by an operator's hand only.
	Held bool
}

// Note is a change of a member.
type Note struct {
	NodeID   string
	Change   MemberChange
	Instance string // when noted or admitted
	Address  string // when admitted or moved
	Reason   string // for the history; may be empty
}

// MemberChange says what becomes of a member.
type MemberChange string

// What becomes of members.
const (
	ChangeNoted    MemberChange = "noted"    // the instance of a member that was there before any was remembered
	ChangeAdmitted MemberChange = "admitted" // let in, without a vote yet
	ChangeMoved    MemberChange = "moved"    // found at another address
	ChangePromoted MemberChange = "promoted" // it votes
	ChangeDemoted  MemberChange = "demoted"  // it votes no more, until an operator promotes it
	ChangeRemoved  MemberChange = "removed"
)

// Levels are feature levels: what members must be able to read before it is written. Its methods are safe
// for concurrent use.
type Levels interface {
	// Reads is the highest level that this program reads.
	Reads() uint64
	// InForce is the level that the cluster writes at, as far as this node has applied the log.
	InForce() uint64
	// Raise puts a higher level in force, for ever. It is called at the leader, after every member said that
	// it reads it.
	Raise(ctx context.Context, to uint64) error
}

// noRoster remembers nothing.
type noRoster struct{}

func (noRoster) Member(string) (Remembered, bool) { return Remembered{}, false }
func (noRoster) Note(context.Context, Note) error { return nil }

// oneLevel is the only one.
type oneLevel struct{}

func (oneLevel) Reads() uint64                       { return 1 }
func (oneLevel) InForce() uint64                     { return 1 }
func (oneLevel) Raise(context.Context, uint64) error { return nil }
