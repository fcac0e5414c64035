package api

import (
	"context"
	"math"
	"net/http"
	"net/netip"
	"time"

	"broker/access"
	"broker/broker"
	"broker/fsm"
)

// Broker makes changes. It is called at the leader only; [*broker.Broker] implements it. Its errors
// are *fsm.Refusal, broker.ErrNotLeader, broker.ErrOutcomeUnknown and *broker.UnavailableError.
type Broker interface {
	CreateEnvironment(context.Context, broker.Request, broker.EnvironmentSpec) (fsm.Environment, error)
	UpdateEnvironment(context.Context, broker.Request, broker.EnvironmentChange) (fsm.Environment, error)
	DeleteEnvironment(ctx context.Context, request broker.Request, name fsm.EnvironmentName, ifVersion uint64) error

	// The strings are warnings for people.
	CreateConnection(context.Context, broker.Request, broker.ConnectionSpec) (fsm.Connection, []string, error)
	UpdateConnection(context.Context, broker.Request, broker.ConnectionChange) (fsm.Connection, []string, error)
	// ChangedSecrets names the secret fields among the settings whose value is not the present one.
	ChangedSecrets(ctx context.Context, name fsm.ConnectionName, given map[string]any) ([]string, error)
	DeleteConnection(ctx context.Context, request broker.Request, name fsm.ConnectionName, ifVersion uint64) error
	CheckConnection(context.Context, broker.Request, fsm.ConnectionName) (broker.CheckResult, error)
	PauseConnection(context.Context, broker.Request, broker.PauseSpec) (fsm.Connection, error)
	RotateConnection(context.Context, broker.Request, fsm.ConnectionName) (fsm.Rotation, error)
	CancelRotation(ctx context.Context, request broker.Request, name fsm.ConnectionName, reason string) (fsm.Rotation, []string, error)

	// Health tells what only the leader knows; of all connections when the name is empty.
	Health(context.Context, fsm.ConnectionName) ([]broker.ConnectionHealth, error)

	// SweepNow sweeps a connection, or all when the name is empty. Listings that fail are told in the
	// reports.
	SweepNow(context.Context, broker.Request, fsm.ConnectionName) ([]broker.SweepReport, error)

	CreateSecret(context.Context, broker.Request, broker.SecretSpec) (fsm.Secret, []string, error)
	UpdateSecret(context.Context, broker.Request, broker.SecretChange) (fsm.Secret, []string, error)
	DeleteSecret(ctx context.Context, request broker.Request, name fsm.SecretName, ifVersion uint64) error

	// TestSecret tries a secret out. What failed is in the answer; an error means that there was nothing to try.
	TestSecret(context.Context, broker.Request, broker.TestSpec) (broker.SecretTest, error)

	// Preview tells what a lease of the secret for the account would do. It is called at any node.
	Preview(secret fsm.Secret, account fsm.AccountName) (broker.Preview, error)

	Issue(context.Context, broker.Request, broker.IssueSpec) (broker.Issued, error)
	Renew(context.Context, broker.Request, broker.RenewSpec) (fsm.Lease, error)

	// Revoke answers with the lease still in state revoking when its end takes longer than a few
	// seconds, and with the lease as it is when it had ended before.
	Revoke(context.Context, broker.Request, broker.RevokeSpec) (fsm.Lease, error)

	// RetryLease answers like Revoke.
	RetryLease(context.Context, broker.Request, fsm.LeaseID) (fsm.Lease, error)
	ForgetLease(ctx context.Context, request broker.Request, id fsm.LeaseID, reason string) (fsm.Lease, error)

	// In a dry run, operations are counted and not made: they have no id.
	StartOperation(context.Context, broker.Request, broker.OperationSpec) (fsm.Operation, error)
	CancelOperation(context.Context, broker.Request, fsm.OperationID) (fsm.Operation, error)
	DeleteWithLeases(ctx context.Context, request broker.Request, target fsm.Target, ifVersion uint64, reason string) (fsm.Operation, error)

	// A change that stands may come with an error: what was to revoke leases besides could not be begun.
	CreateLock(context.Context, broker.Request, broker.LockSpec) (fsm.Lock, *fsm.Operation, error)
	UpdateLock(context.Context, broker.Request, broker.LockChange) (fsm.Lock, error)
	DeleteLock(ctx context.Context, request broker.Request, id fsm.LockID, ifVersion uint64) error

	// RepairClock sets the ledger's clock back when it is ahead of the time.
	RepairClock(ctx context.Context, request broker.Request, reason string) (fsm.ClockRepair, error)

	// Of a restored cluster.
	SnapshotDiff(context.Context, broker.Request) ([]broker.Difference, error)
	ReleaseSnapshot(context.Context, broker.Request, broker.ReleaseSpec) (broker.Release, error)
	// Who belongs to the cluster.
	CreateJoinToken(context.Context, broker.Request, broker.JoinTokenSpec) (fsm.JoinToken, error)
	DeleteJoinToken(context.Context, broker.Request, fsm.JoinTokenID) error
	RotateAuthority(context.Context, broker.Request, fsm.RotateAuthority) (fsm.Authority, error)
	RetireAuthority(ctx context.Context, request broker.Request, number uint64) error
	RotateGossipKey(ctx context.Context, request broker.Request, sealed []byte) (fsm.GossipKey, error)

	UpdateAccount(context.Context, broker.Request, broker.AccountChange) (fsm.Account, *fsm.Operation, error)
	DeleteAccount(ctx context.Context, request broker.Request, name fsm.AccountName, ifVersion uint64) error

	// UseToken counts a request of a token that is good for a limited number of them.
	UseToken(context.Context, broker.Request, fsm.TokenAccessor) error
	RotateSealingKey(context.Context, broker.Request) (fsm.SealingKey, error)

	CreateAccount(context.Context, broker.Request, broker.AccountSpec) (fsm.Account, error)
	CreateGroup(context.Context, broker.Request, broker.GroupSpec) (fsm.Group, error)
	UpdateGroup(context.Context, broker.Request, broker.GroupChange) (fsm.Group, error)
	DeleteGroup(ctx context.Context, request broker.Request, name fsm.GroupName, ifVersion uint64) error
	MakeToken(context.Context, broker.Request, broker.TokenSpec) (fsm.Token, error)
	DeleteToken(context.Context, broker.Request, fsm.TokenAccessor) ([]fsm.Token, error)
	RenewToken(context.Context, broker.Request, fsm.TokenAccessor) (fsm.Token, error)
	NewClientSecretID() (fsm.ClientSecretID, error)
	CreateClientSecret(context.Context, broker.Request, broker.ClientSecretSpec) (fsm.ClientSecret, error)
	DeleteClientSecret(context.Context, broker.Request, fsm.AccountName, fsm.ClientSecretID) error
	SetPassword(ctx context.Context, request broker.Request, account fsm.AccountName, sealed []byte) error
	SignIn(context.Context, broker.Request, broker.SignInSpec) (fsm.Token, error)
	TakeWrapped(ctx context.Context, request broker.Request, hash []byte) (fsm.Wrapped, error)

	CreateBinding(context.Context, broker.Request, broker.BindingSpec) (fsm.Binding, error)
	DeleteBinding(ctx context.Context, request broker.Request, id fsm.BindingID, ifVersion uint64) error
	CreatePolicy(context.Context, broker.Request, broker.PolicySpec) (fsm.Policy, error)
	UpdatePolicy(context.Context, broker.Request, broker.PolicyChange) (fsm.Policy, error)
	DeletePolicy(ctx context.Context, request broker.Request, name fsm.PolicyName, ifVersion uint64) error
}

// Credentials makes what people and programs show who they are by, and judges it. It is called at the leader only;
// [*access.Credentials] implements it.
type Credentials interface {
	NewToken() (text string, hash []byte, err error)
	NewClientSecret() (text string, hash []byte, err error)
	SealPassword(ctx context.Context, account fsm.AccountName, password string) ([]byte, error)
	SignIn(ctx context.Context, method string, proof access.Proof) (access.Proven, error)
	Wrap(value []byte) (token string, hash, sealed []byte, err error)
	HashWrapping(token string) ([]byte, error)
	Unwrap(token string, sealed []byte) ([]byte, error)
}

// State is the replicated state as this node has it. [StateOf] makes one.
type State interface {
	View(func(View) error) error

	// Peek is View for a record or two: what is applied waits meanwhile.
	Peek(func(View)) error

	// Index is the log index of the last entry applied.
	Index() uint64
}

// View is one consistent reading of the state; see [fsm.View], which implements it.
type View interface {
	Meta() fsm.Meta
	Environment(fsm.EnvironmentName) (fsm.Environment, bool)
	Environments(after fsm.EnvironmentName, limit int) []fsm.Environment
	Connection(fsm.ConnectionName) (fsm.Connection, bool)
	Connections(after fsm.ConnectionName, limit int) []fsm.Connection
	System(connection fsm.ConnectionName, number uint64) (fsm.System, bool)
	Rotation(fsm.ConnectionName) (fsm.Rotation, bool)
	Secret(fsm.SecretName) (fsm.Secret, bool)
	Secrets(env fsm.EnvironmentName, after fsm.SecretName, limit int) []fsm.Secret
	Lease(fsm.LeaseID) (fsm.Lease, bool)
	Leases(fsm.LeaseSelector, fsm.LeasePage) []fsm.Lease
	LeaseByKey(*fsm.IdempotencyKey) (fsm.Lease, bool)
	LeaseEvents(fsm.LeaseID) []fsm.Event
	EventsFrom(fsm.EventPage, fsm.EventFilter) (list []fsm.Event, next fsm.EventPosition, end bool)
	ChosenEvents(fsm.EventFilter) func(*fsm.Event) bool
	EventsSince(fsm.Instant) fsm.EventPosition
	LastEvents(count, scan int, filter fsm.EventFilter, seen func(*fsm.Event) bool) fsm.EventPosition
	Census(now fsm.Instant) fsm.Census
	Ends(from fsm.Instant, span time.Duration, n int) []uint64
	Lock(fsm.LockID) (fsm.Lock, bool)
	Locks(after fsm.LockID, limit int) []fsm.Lock
	Operation(fsm.OperationID) (fsm.Operation, bool)
	NewestOperations(state fsm.OperationState, after fsm.OperationID, limit int) []fsm.Operation
	Account(fsm.AccountName) (fsm.Account, bool)
	Accounts(after fsm.AccountName, limit int) []fsm.Account
	LiveLeasesOf(fsm.AccountName) uint64
	LiveLeases(fsm.SecretName) uint64
	AllOrphans(after fsm.Orphan, limit int) []fsm.Orphan
	JoinTokens(after fsm.JoinTokenID, limit int) []fsm.JoinToken
	Authorities() []fsm.Authority

	AuditAnchors(node string, after fsm.AuditAnchor, limit int) []fsm.AuditAnchor
	SealingKeys() []fsm.SealingKey
	SealedBy() map[uint32]uint64

	Group(fsm.GroupName) (fsm.Group, bool)
	Groups(after fsm.GroupName, limit int) []fsm.Group
	GroupsOf(fsm.AccountName) []fsm.GroupName
	Token(fsm.TokenAccessor) (fsm.Token, bool)
	Tokens(after fsm.TokenAccessor, limit int) []fsm.Token
	TokensOf(account fsm.AccountName, after fsm.TokenAccessor, limit int) []fsm.Token
	TokensMadeBy(fsm.AccountName) []fsm.Token
	HostTokens(now fsm.Instant) []fsm.Token
	ClientSecretsOf(account fsm.AccountName, after fsm.ClientSecretID, limit int) []fsm.ClientSecret
	Password(fsm.AccountName) (fsm.Password, bool)
	Binding(fsm.BindingID) (fsm.Binding, bool)
	Bindings(after fsm.BindingID, limit int) []fsm.Binding
	Policy(fsm.PolicyName) (fsm.Policy, bool)
	Policies(after fsm.PolicyName, limit int) []fsm.Policy
}

// StateOf makes the state machine readable for a [Server].
func StateOf(state *fsm.State) State { return fsmState{state} }

type fsmState struct{ state *fsm.State }

func (s fsmState) View(read func(View) error) error {
	return s.state.View(func(view *fsm.View) error { return read(view) })
}

func (s fsmState) Peek(read func(View)) error {
	return s.state.Peek(func(view *fsm.View) { read(view) })
}

func (s fsmState) Index() uint64 { return s.state.Index() }

// Cluster says who leads, how fresh the local state is, and carries requests to the leader.
// [*cluster.Node] implements it.
type Cluster interface {
	// NodeID names this node.
	NodeID() string

	// LeaderReady reports whether this node leads and has applied what came before.
	LeaderReady() bool

	// ServeAsLeader is LeaderReady for a request that the leader is about to serve, with the returned context.
	// Leadership is not handed over before done is called.
	ServeAsLeader(context.Context) (ctx context.Context, done func(), ok bool)

	// Ready returns why requests had better go to another node, nil when they are welcome.
	Ready() error

	// Leader names the leading node, and reports whether one is known.
	Leader() (id, clusterAddr string, ok bool)

	// ReadIndex returns an index that, once applied here, lets a read see every change answered
	// before the call. It fails when no leader answers.
	ReadIndex(context.Context) (uint64, error)

	// WaitApplied returns once the local state holds the index.
	WaitApplied(ctx context.Context, index uint64) error

	// Staleness is for how long this node has not heard from a leader: zero at the leader,
	// [NeverHeard] where it never has.
	Staleness() time.Duration

	// Diverged says why this node's state must not be read: it is not what most nodes made of the
	// log. Nil when it may.
	Diverged() error

	// ForwardTransport carries requests to the leader, whatever the host of their URL. An error
	// with a method NotSent() bool that answers true certainly did not reach the leader.
	ForwardTransport() http.RoundTripper

	// MemberTransport carries requests to one other member, likewise.
	MemberTransport(id string) http.RoundTripper
}

// NeverHeard is the staleness of a node that has not heard from a leader since it started.
const NeverHeard = time.Duration(math.MaxInt64)

// What package access calls who asks, what for and about what.
type (
	Identity = access.Identity
	Action   = access.Action
	Resource = access.Resource
)

// ErrUnauthenticated is what an [Authenticator] returns; it is the one of package access.
var ErrUnauthenticated = access.ErrUnauthenticated

// Authenticator finds out whose token it is, or returns [ErrUnauthenticated]. The address is the client's.
// [*access.Tokens] implements it.
type Authenticator interface {
	Identify(token string, address netip.Addr) (Identity, error)
}

// Authorizer decides whether an account may do something, by what this node's state knows. Every route asks before it
// reads or changes anything. [*access.Decider] implements it.
type Authorizer interface {
	Decide(access.Request) (access.Decision, error)

	// Reach tells whether asking for each of many things can be saved. Somewhere is always right.
	Reach(Identity, Action) (access.Reach, error)
}

// AllowAll is the Authorizer that lets every identified account do everything.
type AllowAll struct{}

// Decide allows.
func (AllowAll) Decide(access.Request) (access.Decision, error) {
	return access.Decision{Allowed: true}, nil
}

// Reach is everywhere.
func (AllowAll) Reach(Identity, Action) (access.Reach, error) { return access.Everywhere, nil }
