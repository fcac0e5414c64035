package fsm

import "time"

// InitCluster gives the cluster its identity, its first account and that account's token. Value: Meta.
type InitCluster struct {
	ClusterID string  `cbor:"1,keyasint"`
	Account   Account `cbor:"2,keyasint"`
	Token     Token   `cbor:"3,keyasint"`
	KeyCheck  []byte  `cbor:"4,keyasint,omitempty"`

	// Authority, GossipKey and Node are whom members believe from the start; nil: the nodes do not know each
	// other by keys, as in tests.
	Authority *RotateAuthority `cbor:"10,keyasint,omitempty"`
	GossipKey *RotateGossipKey `cbor:"11,keyasint,omitempty"`
	Node      *Node            `cbor:"12,keyasint,omitempty"` // the first one's name and key
	JoinToken *CreateJoinToken `cbor:"13,keyasint,omitempty"` // for the others
	Level     uint64           `cbor:"30,keyasint,omitempty"` // feature level to begin at; zero means 1

	// Bindings are the first account's roles; their times and versions are set when they are applied.
	Bindings []Binding `cbor:"71,keyasint,omitempty"`

	// Recovery is what recovery shares open; its CreatedAt is set when it is applied. Nil: none.
	Recovery *Recovery `cbor:"50,keyasint,omitempty"`
}

// CreateEnvironment makes an environment. Value: Environment.
type CreateEnvironment struct {
	Name        EnvironmentName `cbor:"1,keyasint"`
	Description string          `cbor:"2,keyasint,omitempty"`
}

// UpdateEnvironment changes an environment; nil fields stay. Value: Environment.
type UpdateEnvironment struct {
	Name        EnvironmentName `cbor:"1,keyasint"`
	Description *string         `cbor:"2,keyasint,omitempty"`
	IfVersion   uint64          `cbor:"3,keyasint,omitempty"`
}

// DeleteEnvironment removes an environment that has no secrets. Value: Environment.
type DeleteEnvironment struct {
	Name      EnvironmentName `cbor:"1,keyasint"`
	IfVersion uint64          `cbor:"2,keyasint,omitempty"`
}

// CreateConnection makes a connection with its first system. Value: Connection.
type CreateConnection struct {
	Name         ConnectionName `cbor:"1,keyasint"`
	Provider     string         `cbor:"2,keyasint"`
	Description  string         `cbor:"3,keyasint,omitempty"`
	Environments []Pattern      `cbor:"4,keyasint,omitempty"`
	Identity     string         `cbor:"5,keyasint,omitempty"`
	Settings     []byte         `cbor:"6,keyasint"`
	Sealed       []byte         `cbor:"7,keyasint"`
	Sweep        SweepMode      `cbor:"8,keyasint,omitempty"`
}

// UpdateConnection changes a connection; nil fields stay. Value: Connection.
type UpdateConnection struct {
	Name         ConnectionName `cbor:"1,keyasint"`
	Description  *string        `cbor:"2,keyasint,omitempty"`
	Environments *[]Pattern     `cbor:"3,keyasint,omitempty"`
	System       *SystemUpdate  `cbor:"4,keyasint,omitempty"`
	IfVersion    uint64         `cbor:"5,keyasint,omitempty"`
	Sweep        *SweepMode     `cbor:"6,keyasint,omitempty"`
}

// SystemUpdate replaces what a connection points at. It is refused when Number is not the current
// system any more: the settings were worked out from that one's.
type SystemUpdate struct {
	New      bool   `cbor:"1,keyasint,omitempty"` // another system: leases stay with the old one
	Identity string `cbor:"2,keyasint,omitempty"`
	Settings []byte `cbor:"3,keyasint"`
	Sealed   []byte `cbor:"4,keyasint"`
	Number   uint64 `cbor:"5,keyasint"`
}

// DeleteConnection removes a connection that no secret uses and no live lease needs. Value: Connection.
type DeleteConnection struct {
	Name      ConnectionName `cbor:"1,keyasint"`
	IfVersion uint64         `cbor:"2,keyasint,omitempty"`
}

// CreateSecret makes a secret. Value: Secret.
type CreateSecret struct {
	Name        SecretName        `cbor:"1,keyasint"`
	Description string            `cbor:"2,keyasint,omitempty"`
	Connection  ConnectionName    `cbor:"3,keyasint"`
	Options     []byte            `cbor:"4,keyasint"`
	DefaultTTL  time.Duration     `cbor:"5,keyasint"`
	MaxTTL      time.Duration     `cbor:"6,keyasint"`
	Outputs     []Output          `cbor:"7,keyasint"`
	Labels      map[string]string `cbor:"8,keyasint,omitempty"`
	MaxLeases   uint64            `cbor:"9,keyasint,omitempty"`
	IssueRate   Rate              `cbor:"10,keyasint,omitzero"`
	Disabled    bool              `cbor:"11,keyasint,omitempty"`
}

// UpdateSecret changes a secret; nil fields stay. Leases keep the version they were issued from.
// Value: Secret.
type UpdateSecret struct {
	Name        SecretName         `cbor:"1,keyasint"`
	Description *string            `cbor:"2,keyasint,omitempty"`
	Options     []byte             `cbor:"3,keyasint,omitempty"`
	DefaultTTL  *time.Duration     `cbor:"4,keyasint,omitempty"`
	MaxTTL      *time.Duration     `cbor:"5,keyasint,omitempty"`
	Outputs     *[]Output          `cbor:"6,keyasint,omitempty"`
	Labels      *map[string]string `cbor:"7,keyasint,omitempty"`
	Disabled    *bool              `cbor:"8,keyasint,omitempty"`
	IfVersion   uint64             `cbor:"9,keyasint,omitempty"`
	MaxLeases   *uint64            `cbor:"10,keyasint,omitempty"`
	IssueRate   *Rate              `cbor:"11,keyasint,omitempty"`
}

// DeleteSecret removes a secret that has no live leases. Value: Secret.
type DeleteSecret struct {
	Name      SecretName `cbor:"1,keyasint"`
	IfVersion uint64     `cbor:"2,keyasint,omitempty"`
}

// PrepareLease records the intent to make a login: after it is applied, and not before, the outside
// system may be called. Value: Lease, pending (or, replayed, in whatever state it is now).
type PrepareLease struct {
	ID            LeaseID           `cbor:"1,keyasint"`
	Name          string            `cbor:"2,keyasint"`
	Secret        SecretName        `cbor:"3,keyasint"`
	SecretVersion uint64            `cbor:"4,keyasint"` // that the leader validated against
	System        uint64            `cbor:"5,keyasint"` // likewise
	Account       AccountName       `cbor:"6,keyasint"`
	Token         TokenAccessor     `cbor:"7,keyasint,omitempty"`
	Username      string            `cbor:"8,keyasint"`
	TTL           time.Duration     `cbor:"9,keyasint"`
	CreateTTL     time.Duration     `cbor:"10,keyasint"` // how long making the login may take
	Labels        map[string]string `cbor:"11,keyasint,omitempty"`

	// MaxTTL is the longest life that whoever asks may give the lease, renewals included. Zero: the secret's alone counts.
	MaxTTL time.Duration `cbor:"12,keyasint,omitempty"`

	Fixed      bool   `cbor:"13,keyasint,omitempty"` // see [Lease].Fixed
	Parameters []byte `cbor:"14,keyasint,omitempty"` // see [Lease].Parameters

	Replaces LeaseID `cbor:"15,keyasint,omitempty"` // a lease of the same secret and account that this one comes after
}

// ActivateLease records that the login exists. Values are revealed only after it is applied and the
// lease it answers is active: a lease that may not live any more goes to revoking in the same step.
// Value: Lease.
type ActivateLease struct {
	ID LeaseID `cbor:"1,keyasint"`

	// Reply is the sealed answer kept for a repeated request; empty when there is no key.
	Reply    []byte        `cbor:"2,keyasint,omitempty"`
	ReplyTTL time.Duration `cbor:"3,keyasint,omitempty"`
}

// RenewLease moves the end of an active lease, after the outside system has moved it. Value: Lease.
type RenewLease struct {
	ID        LeaseID `cbor:"1,keyasint"`
	IfVersion uint64  `cbor:"2,keyasint"`
	ExpiresAt Instant `cbor:"3,keyasint"`
}

// BeginRevoke begins the end of a pending or active lease; one whose end has begun is answered as it
// is. NotSent says that making the login certainly never left the process: a pending lease is then
// failed at once. Value: Lease.
type BeginRevoke struct {
	ID      LeaseID `cbor:"1,keyasint"`
	Cause   Cause   `cbor:"2,keyasint"`
	Reason  string  `cbor:"3,keyasint,omitempty"`
	NotSent bool    `cbor:"4,keyasint,omitempty"`
}

// ExpireLeases begins the end of those named leases that are active and whose time has come by the
// state machine's clock. Value: []Lease, those it moved; only these may be removed outside.
type ExpireLeases struct {
	IDs []LeaseID `cbor:"1,keyasint"`
}

// RollbackLeases begins the end of those named leases that are still pending though their leader is
// gone or their create deadline has passed. Value: []Lease, those it moved.
type RollbackLeases struct {
	IDs []LeaseID `cbor:"1,keyasint"`
}

// FinishRevoke records that logins are certainly gone. Value: []Lease, those whose end it recorded.
type FinishRevoke struct {
	Removed []Removed `cbor:"1,keyasint"`
}

// Removed names one lease whose login is gone.
type Removed struct {
	ID LeaseID `cbor:"1,keyasint"`

	// Confirmed: absence was proved by claiming the name after the create deadline. Without it a
	// lease that never became active is not finished.
	Confirmed bool `cbor:"2,keyasint,omitempty"`
}

// RecordTrouble records revocations that failed and will be tried again. Value: []Lease.
type RecordTrouble struct {
	Failures []RevokeFailure `cbor:"1,keyasint"`
}

// RevokeFailure is one failed attempt to remove a login.
type RevokeFailure struct {
	ID        LeaseID `cbor:"1,keyasint"`
	Error     string  `cbor:"2,keyasint"` // redacted
	NextTryAt Instant `cbor:"3,keyasint"`
	Stuck     bool    `cbor:"4,keyasint,omitempty"`
}

// RetryLease asks for the login of a revoking lease to be removed now. Value: Lease.
type RetryLease struct {
	ID LeaseID `cbor:"1,keyasint"`
}

// ForgetLease ends a revoking lease though nobody knows that its login is gone. Value: Lease.
type ForgetLease struct {
	ID     LeaseID `cbor:"1,keyasint"`
	Reason string  `cbor:"2,keyasint"`
}

// Prune forgets what is old enough: idempotency keys and sealed answers past their time, ended
// leases with their history, other events, operations that ended, anchors of audit logs; locks, tokens, client secrets and
// wrapped values whose time is over. It works off at most Limit rows of each. Value:
// Pruned.
type Prune struct {
	KeyTTL     time.Duration `cbor:"1,keyasint"`
	HistoryTTL time.Duration `cbor:"2,keyasint"`
	Limit      int           `cbor:"3,keyasint"`
}

// Pruned counts what a Prune removed.
type Pruned struct {
	Replies, Keys, Leases, Events, Operations, Locks, Systems, Anchors int

	Tokens, ClientSecrets, Wrapped int
}

// More reports whether a limit was reached, so that another Prune is worth while.
func (p Pruned) More(limit int) bool {
	return max(p.Replies, p.Keys, p.Leases, p.Events, p.Operations, p.Locks, p.Anchors, p.Tokens, p.ClientSecrets, p.Wrapped) >= limit
}

func (*InitCluster) commandType() CommandType       { return TypeInitCluster }
func (*CreateEnvironment) commandType() CommandType { return TypeCreateEnvironment }
func (*UpdateEnvironment) commandType() CommandType { return TypeUpdateEnvironment }
func (*DeleteEnvironment) commandType() CommandType { return TypeDeleteEnvironment }
func (*CreateConnection) commandType() CommandType  { return TypeCreateConnection }
func (*UpdateConnection) commandType() CommandType  { return TypeUpdateConnection }
func (*DeleteConnection) commandType() CommandType  { return TypeDeleteConnection }
func (*CreateSecret) commandType() CommandType      { return TypeCreateSecret }
func (*UpdateSecret) commandType() CommandType      { return TypeUpdateSecret }
func (*DeleteSecret) commandType() CommandType      { return TypeDeleteSecret }
func (*PrepareLease) commandType() CommandType      { return TypePrepareLease }
func (*ActivateLease) commandType() CommandType     { return TypeActivateLease }
func (*RenewLease) commandType() CommandType        { return TypeRenewLease }
func (*BeginRevoke) commandType() CommandType       { return TypeBeginRevoke }
func (*ExpireLeases) commandType() CommandType      { return TypeExpireLeases }
func (*RollbackLeases) commandType() CommandType    { return TypeRollbackLeases }
func (*FinishRevoke) commandType() CommandType      { return TypeFinishRevoke }
func (*RecordTrouble) commandType() CommandType     { return TypeRecordTrouble }
func (*RetryLease) commandType() CommandType        { return TypeRetryLease }
func (*ForgetLease) commandType() CommandType       { return TypeForgetLease }
func (*Prune) commandType() CommandType             { return TypePrune }
