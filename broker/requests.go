package broker

import (
	"time"

	"broker/fsm"
	"broker/providers"
)

// Request is what every change carries besides its own values: who asks, and how.
type Request struct {
	Actor fsm.Actor

	// Key makes a retry safe: the same key with the same body gets the same answer. Nil: no key.
	Key *Key

	// DryRun validates and returns what the change would make, and changes nothing.
	DryRun bool
}

// Key is a client's idempotency key and what it is bound to.
type Key struct {
	Value string // as the client sent it
	Route string // method and path
	Body  []byte // a hash of the request's body
}

// EnvironmentSpec says what environment to make.
type EnvironmentSpec struct {
	Name        fsm.EnvironmentName
	Description string
}

// EnvironmentChange says what to change; nil fields stay.
type EnvironmentChange struct {
	Name        fsm.EnvironmentName
	Description *string
	IfVersion   uint64 // zero: whatever the version
}

// ConnectionSpec says what connection to make.
type ConnectionSpec struct {
	Name         fsm.ConnectionName
	Provider     string
	Description  string
	Environments []fsm.Pattern
	Settings     map[string]any // all fields, secret ones included
	SkipCheck    bool           // save without asking the outside system
	Sweep        fsm.SweepMode  // empty: fsm.SweepRemove
}

// PauseSpec stops the calls of a connection's outside system for maintenance.
type PauseSpec struct {
	Name   fsm.ConnectionName
	Until  time.Time // zero: the pause ends now
	Reason string
}

// SystemChange says what changed settings mean for leases that exist.
type SystemChange string

// The meanings of changed settings.
const (
	Moved    SystemChange = "moved"    // the same system elsewhere: old leases follow
	Replaced SystemChange = "replaced" // another system: old leases stay with the old one
)

// ConnectionChange says what to change; nil fields stay. Settings are merged over the present ones;
// a nil value removes a setting.
type ConnectionChange struct {
	Name         fsm.ConnectionName
	Description  *string
	Environments *[]fsm.Pattern
	Settings     map[string]any
	System       SystemChange // required when a field that locates the system changes
	SkipCheck    bool
	Sweep        *fsm.SweepMode
	IfVersion    uint64
}

// SecretSpec says what secret to make.
type SecretSpec struct {
	Name        fsm.SecretName
	Description string
	Connection  fsm.ConnectionName
	Options     map[string]any
	DefaultTTL  time.Duration // zero: one hour, or MaxTTL when that is less
	MaxTTL      time.Duration // zero: 24 hours, or DefaultTTL when that is more
	Outputs     []fsm.Output  // none: every output of the provider under its upper-case name
	Labels      map[string]string
	MaxLeases   uint64   // live at one time; zero: no limit
	IssueRate   fsm.Rate // the zero rate: no limit
	Disabled    bool     // it issues and renews nothing until it is enabled
}

// SecretChange says what to change; nil fields stay. Options are merged like a connection's settings.
type SecretChange struct {
	Name        fsm.SecretName
	Description *string
	Options     map[string]any
	DefaultTTL  *time.Duration
	MaxTTL      *time.Duration
	Outputs     *[]fsm.Output
	Labels      *map[string]string
	Disabled    *bool
	MaxLeases   *uint64
	IssueRate   *fsm.Rate
	IfVersion   uint64
}

// IssueSpec asks for a lease.
type IssueSpec struct {
	Secret fsm.SecretName
	Name   string        // empty: the secret's short name
	TTL    time.Duration // zero: the secret's default
	Labels map[string]string
	MaxTTL time.Duration // the longest life that the caller may give the lease; zero: the secret's alone counts

	Parameters map[string]any // what the provider takes besides, such as a public key

	Replaces fsm.LeaseID // the lease of the same secret that the caller had before; empty: none
}

// Issued is a new lease with its values, which are shown this once.
type Issued struct {
	Lease    fsm.Lease
	Values   []Value // in the order of the secret's outputs; none in a dry run
	Replayed bool    // the answer to an earlier request with the same idempotency key
}

// Value is one key of the leased values.
type Value struct {
	Key   string
	Value providers.Secret
	Plain bool // not masked where people look
}

// RenewSpec asks for more time: exactly one of TTL, Until and UntilMax is set.
type RenewSpec struct {
	Lease    fsm.LeaseID
	TTL      time.Duration // added to the lease's end
	Until    time.Time     // the new end; an earlier one than the present changes nothing
	UntilMax bool          // as long as the secret allows
}

// RevokeSpec asks for the end of a lease.
type RevokeSpec struct {
	Lease  fsm.LeaseID
	Reason string
}
