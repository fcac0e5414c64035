package fsm

import "time"

// LeaseState is a lease's place in its life. States move forward only:
// pending → active → revoking → revoked or expired, and pending → revoking → failed.
type LeaseState string

// The states of a lease.
const (
	Pending  LeaseState = "pending"  // recorded; the login may or may not exist yet
	Active   LeaseState = "active"   // the login exists and its holder may use it
	Revoking LeaseState = "revoking" // the login is being removed
	Revoked  LeaseState = "revoked"  // removed because somebody asked
	Expired  LeaseState = "expired"  // removed because its time was over
	Failed   LeaseState = "failed"   // never became active; certainly absent
)

// Live reports whether a login of the lease may exist: pending, active or revoking.
func (s LeaseState) Live() bool { return s == Pending || s == Active || s == Revoking }

// Cause says why a lease's end began.
type Cause string

// The causes of an end.
const (
	CauseRevoke   Cause = "revoke"   // somebody asked
	CauseExpire   Cause = "expire"   // its time was over
	CauseRollback Cause = "rollback" // it was pending when its leader went or its create deadline passed
	CauseAbort    Cause = "abort"    // making the login failed
	CauseRefused  Cause = "refused"  // made, but it may not become active any more
	CauseOrphan   Cause = "orphan"   // it never had a lease, or an ended one
)

// Lease is one credential given to one account for a time.
type Lease struct {
	ID            LeaseID           `cbor:"1,keyasint"`
	Name          string            `cbor:"2,keyasint"`
	Secret        SecretName        `cbor:"3,keyasint"`
	SecretVersion uint64            `cbor:"4,keyasint"` // pinned: options for renew and revoke
	Connection    ConnectionName    `cbor:"5,keyasint"`
	System        uint64            `cbor:"6,keyasint"` // pinned: which outside system
	Account       AccountName       `cbor:"7,keyasint"`
	Token         TokenAccessor     `cbor:"8,keyasint,omitempty"` // it was issued with
	Username      string            `cbor:"9,keyasint"`           // the login's name, fixed before it is made
	State         LeaseState        `cbor:"10,keyasint"`
	Labels        map[string]string `cbor:"11,keyasint,omitempty"`

	CreatedAt        Instant `cbor:"12,keyasint"`
	CreateDeadlineAt Instant `cbor:"13,keyasint"` // the login is not made after this
	ActivatedAt      Instant `cbor:"14,keyasint,omitempty"`
	RenewedAt        Instant `cbor:"15,keyasint,omitempty"`
	ExpiresAt        Instant `cbor:"16,keyasint"`
	MaxExpiresAt     Instant `cbor:"17,keyasint"`
	RevokingAt       Instant `cbor:"18,keyasint,omitempty"`
	EndedAt          Instant `cbor:"19,keyasint,omitempty"`

	Renewals int    `cbor:"20,keyasint,omitempty"`
	Cause    Cause  `cbor:"21,keyasint,omitempty"` // why the end began
	Reason   string `cbor:"22,keyasint,omitempty"` // in words
	Term     uint64 `cbor:"23,keyasint"`           // leadership period that prepared it

	Attempts  int     `cbor:"24,keyasint,omitempty"` // of revoking that failed
	LastError string  `cbor:"25,keyasint,omitempty"`
	NextTryAt Instant `cbor:"26,keyasint,omitempty"`
	Stuck     bool    `cbor:"27,keyasint,omitempty"` // revoking keeps failing; it goes on all the same

	Version uint64 `cbor:"28,keyasint"`

	Missing   bool        `cbor:"29,keyasint,omitempty"` // active, and the login was not there in the newest sweep
	Forgotten bool        `cbor:"30,keyasint,omitempty"` // ended by an operator; its login may still exist
	Operation OperationID `cbor:"31,keyasint,omitempty"` // the one that revokes it

	// Fixed is true when the credential ends by itself at ExpiresAt and not before, whatever becomes of the lease: it
	// is a certificate or the like. It cannot be renewed.
	Fixed bool `cbor:"32,keyasint,omitempty"`

	Parameters []byte `cbor:"33,keyasint,omitempty"` // what the request said besides, as JSON

	Replaces   LeaseID `cbor:"34,keyasint,omitempty"` // the one that whoever asked for it had before
	ReplacedBy LeaseID `cbor:"35,keyasint,omitempty"` // the newest active one that came in its place
}

// WasActive reports whether the lease ever became active. For one that did not, the login's absence
// must be confirmed before its end is recorded.
func (l Lease) WasActive() bool { return l.ActivatedAt != 0 }

// Environment returns the environment of the lease's secret.
func (l Lease) Environment() EnvironmentName {
	env, _ := l.Secret.Split()
	return env
}

// Withdrawn reports whether the lease's end has begun while its credential may still be good by its own dates: whoever
// checks credentials by a list has to find it there, until ExpiresAt.
func (l Lease) Withdrawn() bool { return l.Fixed && l.State != Pending && l.State != Active }

// RememberedFrom is the instant from which on an ended lease grows old: when it ended, and no earlier than its
// credential.
func (l Lease) RememberedFrom() Instant {
	if l.Fixed {
		return max(l.EndedAt, l.ExpiresAt)
	}
	return l.EndedAt
}

// DueAt returns the instant at which the leader must act on the lease by itself, and false when
// there is none: the create deadline while pending, the end while active.
func (l Lease) DueAt() (Instant, bool) {
	switch l.State {
	case Pending:
		return l.CreateDeadlineAt, true
	case Active:
		return l.ExpiresAt, true
	}
	return 0, false
}

// RenewableTTL returns by how much the lease can still be extended; zero when it is not active.
func (l Lease) RenewableTTL() time.Duration {
	if l.State != Active {
		return 0
	}
	return max(0, l.MaxExpiresAt.Sub(l.ExpiresAt))
}

// Shown returns the state in the words that people see: the state itself or "overdue", "stuck",
// "missing", "forgotten".
func (l Lease) Shown(now Instant) string {
	switch {
	case l.State == Revoking && l.Stuck:
		return "stuck"
	case l.State == Active && now >= l.ExpiresAt:
		return "overdue"
	case l.State == Active && l.Missing:
		return "missing"
	case l.Forgotten:
		return "forgotten"
	}
	return string(l.State)
}
