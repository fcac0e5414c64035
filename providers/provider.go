package providers

import (
	"context"
	"iter"
	"time"
)

// A Provider knows one kind of outside system. It is stateless and safe for concurrent use.
type Provider interface {
	// Describe returns the provider's name, fields and outputs. It always returns the same value.
	Describe() Description

	// Open returns a Backend for one outside system. It validates settings but does no I/O, so it
	// succeeds while the system is down. The settings have passed [Description.ValidateConnection].
	Open(settings Settings, env Env) (Backend, error)

	// ValidateOptions checks what no single field can tell about a secret's options (statements
	// with unknown placeholders, options that exclude each other). Each problem names its field.
	ValidateOptions(options Options) []FieldError
}

// Env is what a Backend may know about the broker it works for.
type Env struct {
	ClusterID string // the full cluster id, recorded at the outside system where it has a place for it
	Term      uint64 // the leadership period this Backend serves; a new one is opened for each
	Dialer    Dialer // the only way to reach the network
	Prefix    string // what every login name of this cluster begins with

	// Identity is the system that the settings are meant to lead to, as Check named it. A Backend
	// whose system can prove who it is does nothing but Check at any other. Empty = not known yet.
	Identity SystemID

	// ReadOnly is true when nothing at all may change at the outside system: what changes something is not
	// called, and a Backend does nothing of its own either, such as ending sessions of older terms.
	ReadOnly bool
}

// A Backend manages logins at one outside system. Implementations are safe for concurrent use and
// return classified errors (see [Error]) that hold no secret value. Every method returns soon after
// its context is done; what the outside system does with a call that was under way is then unknown.
type Backend interface {
	// Check proves that the system is reachable, the root credential is good and its privileges
	// suffice, and says which system this is. It changes nothing there.
	Check(ctx context.Context) (SystemID, error)

	// Create makes the login named in the grant, no later than grant.Deadline by the outside
	// system's own clock where it has one, and returns the values of its outputs. A name that
	// exists is an error: Create is never an upsert where the system can tell.
	Create(ctx context.Context, grant Grant) (Values, error)

	// Renew moves the native expiry of each login to its new end. It updates only, never creates,
	// never shortens and touches nothing that Revoke locks. A login missing from the answer is
	// unknown. Systems without native expiry answer nil for each.
	Renew(ctx context.Context, logins []Login) map[LoginName]error

	// Revoke stops log-ins, ends sessions and removes each login. An absent login is success. A
	// login missing from the answer is unknown.
	Revoke(ctx context.Context, logins []Login) map[LoginName]error

	// ConfirmAbsent proves that no login of that name exists or can still come into being from a
	// create sent before notBefore: it waits for nothing, but fails with KindTooEarly while the outside
	// system's clock is not past notBefore, and with KindExists when the login is there. A login
	// missing from the answer is unknown.
	ConfirmAbsent(ctx context.Context, logins []Login, notBefore time.Time) map[LoginName]error

	// List yields every login whose name begins with prefix. An error ends the sequence.
	List(ctx context.Context, prefix string) iter.Seq2[Found, error]

	// Close releases connections. Calls under way fail.
	Close() error
}

// SystemID identifies an outside system wherever its address moves, e.g. PostgreSQL's system
// identifier. Two connections with equal SystemIDs point at the same system.
type SystemID string

// LoginName is the name of a login at an outside system. See [NewLoginName].
type LoginName string

// Settings are the values of a connection's fields, those marked Secret included.
type Settings map[string]any

// Options are the values of a secret's provider options.
type Options map[string]any

// Parameters are the values of what a request for a lease says besides; see [Description].Parameters.
type Parameters map[string]any

// Login names a login and what is needed to renew or remove it.
type Login struct {
	Name      LoginName
	ExpiresAt time.Time // the end of its lease; native expiry is a grace later
	Options   Options   // of the version of the secret that the lease pinned
}

// Found is a login that List came across.
type Found struct {
	Name LoginName

	// Ours is true when the login carries the full id of the cluster ([Env].ClusterID), which the few
	// characters of it in the name cannot prove. Only what is ours may be removed without a lease.
	Ours bool
}

// Grant orders a new login.
type Grant struct {
	Login
	LeaseID string    // recorded at the outside system where it has a place for it
	For     NameParts // what and whom the login is for, as templates name them

	// Parameters are what the request for the lease said besides.
	Parameters Parameters

	Deadline time.Time // create nothing after this instant
}

// Values are the fields of a new credential by output name ("username", "password", "url"…).
// They are secret until proven otherwise and are never logged.
type Values map[string]Secret
