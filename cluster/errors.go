package cluster

import (
	"errors"
	"fmt"
)

var (
	// ErrNoLeader is returned when no leader is known, or when the known one
	// cannot be reached or has not yet established itself.
	ErrNoLeader = errors.New("the cluster has no leader at the moment")

	// ErrNotLeader is returned when something only a leader can do was asked
	// of a node that does not lead.
	ErrNotLeader = errors.New("this node is not the leader")

	// ErrStopped is returned when the node is stopping, has stopped, or was
	// never started.
	ErrStopped = errors.New("this node is not running")

	// ErrOutcomeUnknown is returned when a proposal may or may not be
	// committed, now or later.
	ErrOutcomeUnknown = errors.New("outcome unknown")

	// ErrCommandTooLarge is returned when a proposed command exceeds
	// MaxCommandBytes.
	ErrCommandTooLarge = errors.New("command too large for the log")

	// ErrIdentity is returned when a data directory belongs to another node or
	// to another cluster than the configuration says, or is damaged.
	ErrIdentity = errors.New("data directory does not fit")

	// ErrDamaged is returned by Start when what the data directory holds is not whole, or was written by a
	// newer version, so that going on could lose what was acknowledged.
	ErrDamaged = errors.New("the data directory is not whole")

	// ErrNotMember is returned by Start when the data directory is empty and
	// the configuration says neither to begin a cluster nor whom to join.
	ErrNotMember = errors.New("the data directory is empty: either begin a new cluster or name a member to join")

	// ErrJoinRefused is returned when the cluster refused the node for a
	// reason that asking again does not change.
	ErrJoinRefused = errors.New("joining was refused")

	// ErrForeignCluster is returned when the other side of a connection
	// belongs to another cluster.
	ErrForeignCluster = errors.New("the other side belongs to another cluster")

	// ErrRemoved is returned when the other side of a connection says that this
	// node was removed from the cluster.
	ErrRemoved = errors.New("this node was removed from the cluster")
)

// JoinRefusal is an error wrapping ErrJoinRefused with the reason alone as its text, for Config.Questions: whoever
// is refused adds the rest.
func JoinRefusal(reason error) error { return joinRefusal{reason} }

type joinRefusal struct{ error }

func (r joinRefusal) Unwrap() []error { return []error{ErrJoinRefused, r.error} }

// NotCommittedError says that a proposal is not in the log and never will be:
// it may be proposed again, here or at another node.
type NotCommittedError struct {
	// Err is why.
	Err error
}

func (e *NotCommittedError) Error() string { return "not committed: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *NotCommittedError) Unwrap() error { return e.Err }

// NotCommitted returns true. Callers that must not import this package look for
// this method with errors.As.
func (e *NotCommittedError) NotCommitted() bool { return true }

// ForwardError is returned by the forwarding transport.
type ForwardError struct {
	// Unsent is true when the leader's handler certainly never saw the request.
	Unsent bool
	// Err is why.
	Err error
}

func (e *ForwardError) Error() string {
	return fmt.Sprintf("forwarding to the leader: %v", e.Err)
}

// Unwrap returns the reason.
func (e *ForwardError) Unwrap() error { return e.Err }

// NotSent reports whether the request certainly never reached the leader's
// handler, so that sending it again cannot do it twice.
func (e *ForwardError) NotSent() bool { return e.Unsent }
