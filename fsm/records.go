package fsm

import "time"

// Every record's Version is the index of the log entry that last changed it: it never repeats, even
// when a name is deleted and made anew, so a compare-and-set on it is safe.

// Environment is where secrets live.
type Environment struct {
	Name        EnvironmentName `cbor:"1,keyasint"`
	Description string          `cbor:"2,keyasint,omitempty"`
	CreatedAt   Instant         `cbor:"3,keyasint"`
	UpdatedAt   Instant         `cbor:"4,keyasint"`
	Version     uint64          `cbor:"5,keyasint"`
	Going       OperationID     `cbor:"6,keyasint,omitempty"` // the operation that deletes it
}

// Connection names an outside system and says who may use it. What it points at, with the sealed
// root credential, is its current System.
type Connection struct {
	Name         ConnectionName `cbor:"1,keyasint"`
	Provider     string         `cbor:"2,keyasint"`
	Description  string         `cbor:"3,keyasint,omitempty"`
	Environments []Pattern      `cbor:"4,keyasint,omitempty"` // that may use it; none by default
	System       uint64         `cbor:"5,keyasint"`           // number of the current System
	CreatedAt    Instant        `cbor:"6,keyasint"`
	UpdatedAt    Instant        `cbor:"7,keyasint"`
	Version      uint64         `cbor:"8,keyasint"`

	PausedUntilAt Instant     `cbor:"9,keyasint,omitempty"` // the outside system is not called before
	PauseReason   string      `cbor:"10,keyasint,omitempty"`
	Sweep         SweepMode   `cbor:"11,keyasint,omitempty"` // empty: SweepRemove
	Going         OperationID `cbor:"12,keyasint,omitempty"` // the operation that deletes it
}

// Allows reports whether secrets of the environment may use the connection.
func (c Connection) Allows(env EnvironmentName) bool {
	for _, p := range c.Environments {
		if p.Matches(env) {
			return true
		}
	}
	return false
}

// System is an outside system that a connection points at or pointed at. Leases pin its number and
// are always driven with its newest settings; a system that is no longer current is kept until its
// last lease has ended.
type System struct {
	Connection ConnectionName `cbor:"1,keyasint"`
	Number     uint64         `cbor:"2,keyasint"` // index of the entry that made it
	Provider   string         `cbor:"3,keyasint"`
	Identity   string         `cbor:"4,keyasint,omitempty"` // what a check said it is
	Settings   []byte         `cbor:"5,keyasint"`           // JSON of the fields that are not secret
	Sealed     []byte         `cbor:"6,keyasint"`           // sealed JSON of the secret fields
	UpdatedAt  Instant        `cbor:"7,keyasint"`
	Version    uint64         `cbor:"8,keyasint"`

	// DoubtAt is since when there may be a login that no lease knows: a lease was forgotten, or a sweep
	// found orphans. Two later sweeps, a quarantine apart, that find none end it: a login may be on its way
	// while the first one lists, and a listing may leave something out.
	DoubtAt Instant `cbor:"9,keyasint,omitempty"`

	// CleanAt is when the first of the two began; zero: there was none since DoubtAt.
	CleanAt Instant `cbor:"10,keyasint,omitempty"`
}

// Secret is a dynamic secret: what kind of login is made, for how long, and how its values are named.
type Secret struct {
	Name        SecretName        `cbor:"1,keyasint"`
	Description string            `cbor:"2,keyasint,omitempty"`
	Connection  ConnectionName    `cbor:"3,keyasint"`
	Options     []byte            `cbor:"4,keyasint"` // JSON of the provider's options
	DefaultTTL  time.Duration     `cbor:"5,keyasint"`
	MaxTTL      time.Duration     `cbor:"6,keyasint"`
	Outputs     []Output          `cbor:"7,keyasint"`
	Labels      map[string]string `cbor:"8,keyasint,omitempty"`
	Disabled    bool              `cbor:"9,keyasint,omitempty"`
	CreatedAt   Instant           `cbor:"10,keyasint"`
	UpdatedAt   Instant           `cbor:"11,keyasint"`
	Version     uint64            `cbor:"12,keyasint"`
	MaxLeases   uint64            `cbor:"13,keyasint,omitempty"` // live at one time; zero: no limit
	IssueRate   Rate              `cbor:"14,keyasint,omitzero"`
	Going       OperationID       `cbor:"15,keyasint,omitempty"` // the operation that deletes it
}

// Output is one key of the leased values.
type Output struct {
	Key string `cbor:"1,keyasint"` // e.g. "DB_USER"

	// Source is a field of the provider's values ("username") or a template with fields in double
	// braces, optionally piped through urlencode.
	Source string `cbor:"2,keyasint"`

	Plain bool `cbor:"3,keyasint,omitempty"` // true: not masked where people look
}

// AccountKind tells people from machines.
type AccountKind string

// The kinds of accounts.
const (
	KindUser    AccountKind = "user"
	KindService AccountKind = "service"
)

// Account holds leases.
type Account struct {
	Name      AccountName `cbor:"1,keyasint"`
	Kind      AccountKind `cbor:"2,keyasint"`
	Disabled  bool        `cbor:"3,keyasint,omitempty"`
	CreatedAt Instant     `cbor:"4,keyasint"`
	Version   uint64      `cbor:"5,keyasint"`
	MaxLeases uint64      `cbor:"6,keyasint,omitempty"` // live at one time; zero: no limit
	IssueRate Rate        `cbor:"7,keyasint,omitzero"`
	Going     OperationID `cbor:"8,keyasint,omitempty"` // the operation that deletes it

	Description string `cbor:"9,keyasint,omitempty"`
}

// Meta is what the state machine knows of itself.
type Meta struct {
	ClusterID string  `cbor:"1,keyasint,omitempty"`
	CreatedAt Instant `cbor:"2,keyasint,omitempty"`
	Clock     Instant `cbor:"3,keyasint"` // newest time seen; goes back by RepairClock only
	Index     uint64  `cbor:"4,keyasint"` // last log entry applied
	Term      uint64  `cbor:"5,keyasint"` // its term
	Hash      []byte  `cbor:"6,keyasint"` // running hash over every change

	// KeyCheck is a sealed value that opens with the cluster's keyring only, so that a node with
	// another key file finds out before it leads.
	KeyCheck []byte `cbor:"7,keyasint,omitempty"`

	// Trust is the index of the entry that last changed whom members believe.
	Trust uint64 `cbor:"20,keyasint,omitempty"`

	// Recovery is what recovery shares open. Nil: the cluster has none.
	Recovery *Recovery `cbor:"50,keyasint,omitempty"`

	// Restored is set while the cluster is a restored one that nobody has released.
	Restored *Restored `cbor:"51,keyasint,omitempty"`

	// PrunedIndex is the greatest index of an event that was pruned: history is complete behind it.
	PrunedIndex uint64 `cbor:"60,keyasint,omitempty"`

	// Level is the feature level in force; zero means 1. See FeatureLevel.
	Level uint64 `cbor:"30,keyasint,omitempty"`
}

// Actor says who caused a command.
type Actor struct {
	Account   AccountName   `cbor:"1,keyasint,omitempty"` // empty: the broker itself
	Token     TokenAccessor `cbor:"2,keyasint,omitempty"`
	Node      string        `cbor:"3,keyasint,omitempty"` // the node that took the request
	Address   string        `cbor:"4,keyasint,omitempty"` // the client's
	UserAgent string        `cbor:"5,keyasint,omitempty"`
}

// EventType says what happened.
type EventType string

// The types of events.
const (
	EventLeasePrepared  EventType = "lease.prepared" // intended; the outside system has not been called yet
	EventLeaseIssued    EventType = "lease.issued"
	EventLeaseRenewed   EventType = "lease.renewed"
	EventLeaseRevoking  EventType = "lease.revoking" // its end has begun; details tell the cause
	EventLeaseRevoked   EventType = "lease.revoked"
	EventLeaseExpired   EventType = "lease.expired"
	EventLeaseFailed    EventType = "lease.failed" // never became active and certainly left nothing behind
	EventLeaseTrouble   EventType = "lease.trouble"
	EventLeaseStuck     EventType = "lease.stuck"
	EventLeaseRetried   EventType = "lease.retried"
	EventLeaseForgotten EventType = "lease.forgotten" // given up by an operator; its login may still exist
	EventLeaseMissing   EventType = "lease.missing"   // active, and its login is gone
	EventLeasePresent   EventType = "lease.present"   // the login is there again
	EventLeaseMoved     EventType = "lease.moved"     // its ends were set back with the clock
	EventLeaseAdopted   EventType = "lease.adopted"   // a record for an orphan, to remove it
	EventOrphanFound    EventType = "orphan.found"    // a login that no live lease knows
	EventOrphanGone     EventType = "orphan.gone"

	EventEnvironmentCreated EventType = "environment.created"
	EventEnvironmentUpdated EventType = "environment.updated"
	EventEnvironmentDeleted EventType = "environment.deleted"
	EventConnectionCreated  EventType = "connection.created"
	EventConnectionUpdated  EventType = "connection.updated"
	EventConnectionDeleted  EventType = "connection.deleted"
	EventSystemGivenUp      EventType = "connection.system_given_up" // a replaced system that nobody has reached for long
	EventRotationBegun      EventType = "connection.rotation_begun"  // the exchange of its root credential; nothing was changed yet
	EventRotationCommitted  EventType = "connection.rotation_committed"
	EventRotationFinished   EventType = "connection.rotation_finished" // the credential before is refused
	EventRotationCancelled  EventType = "connection.rotation_cancelled"
	EventRotationTrouble    EventType = "connection.rotation_trouble"
	EventSecretCreated      EventType = "secret.created"
	EventSecretUpdated      EventType = "secret.updated"
	EventSecretDeleted      EventType = "secret.deleted"
	EventConnectionPaused   EventType = "connection.paused"
	EventConnectionResumed  EventType = "connection.resumed"
	EventAccountUpdated     EventType = "account.updated"
	EventAccountDeleted     EventType = "account.deleted"
	EventLockCreated        EventType = "lock.created"
	EventLockUpdated        EventType = "lock.updated"
	EventLockDeleted        EventType = "lock.deleted"
	EventLockEnded          EventType = "lock.ended" // its time is over
	EventOperationCreated   EventType = "operation.created"
	EventOperationDone      EventType = "operation.done"
	EventOperationCancelled EventType = "operation.cancelled"
	EventClusterCreated     EventType = "cluster.created"
	EventClusterRestored    EventType = "cluster.restored"  // from a snapshot; nothing is changed outside
	EventClusterReleased    EventType = "cluster.released"  // a restored cluster works again
	EventClusterRecovered   EventType = "cluster.recovered" // one node went on without the others
	EventLeaseKept          EventType = "lease.kept"        // its end was put off when a restored cluster was released
	EventJoinTokenCreated   EventType = "join_token.created"
	EventJoinTokenDeleted   EventType = "join_token.deleted"
	EventNodeEnrolled       EventType = "node.enrolled" // it was let in; Raft counts it later
	EventNodeRemoved        EventType = "node.removed"
	EventAuthorityRotated   EventType = "authority.rotated"
	EventAuthorityRetired   EventType = "authority.retired"
	EventGossipKeyRotated   EventType = "gossip_key.rotated"
	EventTokenCreated       EventType = "token.created"
	EventClockStepped       EventType = "clock.stepped"   // the clock moved far at once, or a leader saw its machine's being set
	EventClockRepaired      EventType = "clock.repaired"  // an operator had it set back
	EventMemberAdmitted     EventType = "member.admitted" // let in, without a vote yet
	EventMemberMoved        EventType = "member.moved"
	EventMemberPromoted     EventType = "member.promoted" // it votes
	EventMemberDemoted      EventType = "member.demoted"
	EventMemberRemoved      EventType = "member.removed"
	EventLevelRaised        EventType = "level.raised" // a higher feature level is in force

	EventSealingKeyCreated  EventType = "sealing_key.created"  // another sealing key is on its way to every node
	EventSealingKeyPromoted EventType = "sealing_key.promoted" // what is sealed now is sealed with it
	EventSealingKeyRetired  EventType = "sealing_key.retired"  // nothing is sealed with it any more, or it was given up
	EventRoleBound          EventType = "role.bound"
	EventRoleUnbound        EventType = "role.unbound"
	EventPolicyCreated      EventType = "policy.created"
	EventPolicyUpdated      EventType = "policy.updated"
	EventPolicyDeleted      EventType = "policy.deleted"

	EventAccountCreated      EventType = "account.created"
	EventPasswordChanged     EventType = "account.password_changed"
	EventGroupCreated        EventType = "group.created"
	EventGroupUpdated        EventType = "group.updated"
	EventGroupDeleted        EventType = "group.deleted"
	EventTokenDeleted        EventType = "token.deleted"
	EventTokenUsedUp         EventType = "token.used_up"
	EventClientSecretCreated EventType = "client_secret.created"
	EventClientSecretDeleted EventType = "client_secret.deleted"
	EventClientSecretUsedUp  EventType = "client_secret.used_up"
	EventWrappedStored       EventType = "wrapped.stored"
	EventWrappedTaken        EventType = "wrapped.taken" // by whoever had the token for it
	EventWrappedDeleted      EventType = "wrapped.deleted"
)

// Event is one entry of history. It is written in the transaction of the change it records.
type Event struct {
	Index   uint64            `cbor:"1,keyasint"` // of the log entry
	Ordinal uint32            `cbor:"2,keyasint"` // among the events of that entry
	At      Instant           `cbor:"3,keyasint"`
	Type    EventType         `cbor:"4,keyasint"`
	Lease   LeaseID           `cbor:"5,keyasint,omitempty"`
	Subject string            `cbor:"6,keyasint,omitempty"` // the name of what changed: a secret, a connection…
	Actor   Actor             `cbor:"7,keyasint,omitempty"`
	Details map[string]string `cbor:"8,keyasint,omitempty"`
}
