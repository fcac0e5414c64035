package access

import (
	"net/netip"
	"time"

	"broker/fsm"
)

// Identity is who makes a request: an account, by one of its tokens.
type Identity struct {
	Account fsm.AccountName
	Token   fsm.TokenAccessor

	// Counted says that the token is good for a limited number of requests: each is counted before it is served.
	Counted bool
}

// Action names what a request wants to do, e.g. "lease:issue". The table of all of them is Actions.
type Action string

// Kind says what kind of thing a resource is.
type Kind string

// The kinds of resources.
const (
	KindAccount     Kind = "account"
	KindAudit       Kind = "audit"
	KindCluster     Kind = "cluster"
	KindConnection  Kind = "connection"
	KindEnvironment Kind = "environment"
	KindEvent       Kind = "event"
	KindGroup       Kind = "group"
	KindLease       Kind = "lease"
	KindLock        Kind = "lock"
	KindOperation   Kind = "operation"
	KindOrphan      Kind = "orphan"
	KindPolicy      Kind = "policy"
	KindProvider    Kind = "provider"
	KindRole        Kind = "role"
	KindSecret      Kind = "secret"
	KindToken       Kind = "token"
)

// Resource is what a request wants to act on. Empty fields are not part of it: a resource without any but its
// kind is all of that kind.
type Resource struct {
	Kind Kind

	// Environment is where it is, for what lives in environments, and for a connection the environment it is to be
	// used in. It may be app/* or *: whoever acts on it acts on all environments that match.
	Environment fsm.Pattern

	// Secret is the short name of a secret: the resource itself, or what a lease was issued for.
	Secret string

	// Name is the name or id of anything but environments and secrets.
	Name string

	// Owner is the account that a lease or token belongs to, or the account itself.
	Owner fsm.AccountName

	// Connection is that of a secret or lease, where it is known.
	Connection fsm.ConnectionName
}

// As returns the same place as a resource of another kind.
func (r Resource) As(kind Kind) Resource {
	r.Kind = kind
	return r
}

// Request asks whether somebody may do something.
type Request struct {
	Who    Identity
	Action Action
	On     Resource

	TTL     time.Duration // of a lease that is asked for; zero: not asked, or not about a lease
	Address netip.Addr    // the client's; invalid: not known
}

// Reach says how much of what there is somebody may do something to.
type Reach int

// The reaches.
const (
	Nowhere    Reach = iota // to nothing but what is the account's own
	Somewhere               // to some of it: each thing is to be asked for
	Everywhere              // to all of it: nothing need be asked for
)

// Decision answers a Request.
type Decision struct {
	Allowed bool

	// Because names what allowed or forbade it, most telling first: a binding, a policy, ownership. Empty: nothing allows it.
	Because []Reason

	// MaxTTL is the longest life of a lease that the decision allows. Zero: no limit beyond the secret's.
	MaxTTL time.Duration
}

// Reason is one ground of a decision.
type Reason struct {
	// What is "role", "policy", "own" or "everyone".
	What string

	// Name is the role, or the policy's name.
	Name string

	// Binding is the id of the binding that gives the role, and Scope its scope. For roles only.
	Binding fsm.BindingID
	Scope   string

	// Group is the group by which the account has it; empty: directly.
	Group fsm.GroupName

	// Rule is the rule of the policy: its @id, or its number from 1 on.
	Rule string

	Forbids bool // a policy that forbids
}
