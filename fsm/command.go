package fsm

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// CommandType numbers the kinds of commands. Numbers are part of the log's format: they are never
// reused or changed, new ones are appended.
type CommandType uint16

// The commands, each with an apply function of the same name.
const (
	TypeInitCluster CommandType = iota + 1
	TypeCreateEnvironment
	TypeUpdateEnvironment
	TypeDeleteEnvironment
	TypeCreateConnection
	TypeUpdateConnection
	TypeDeleteConnection
	TypeCreateSecret
	TypeUpdateSecret
	TypeDeleteSecret
	TypePrepareLease
	TypeActivateLease
	TypeRenewLease
	TypeBeginRevoke
	TypeExpireLeases
	TypeRollbackLeases
	TypeFinishRevoke
	TypeRecordTrouble
	TypePrune
	TypeCreateLock
	TypeUpdateLock
	TypeDeleteLock
	TypeCreateOperation
	TypeAdvanceOperation
	TypeFinishOperation
	TypeCancelOperation
	TypeRetryLease
	TypeForgetLease
	TypePauseConnection
	TypeRecordSweep
	TypeAdoptOrphans
	TypeUpdateAccount
	TypeDeleteAccount
	TypeAdvanceClock
	TypeRepairClock
)

// Those of restored clusters.
const (
	TypeReleaseRestored CommandType = 50
	TypeAdoptUnknown    CommandType = 51
)

// Who belongs to the cluster.
const (
	TypeCreateJoinToken CommandType = iota + 36
	TypeDeleteJoinToken
	TypeEnrollNode
	TypeRemoveNode
	TypeRotateAuthority
	TypeRetireAuthority
	TypeRotateGossipKey
	TypeCreateToken
)

// The commands about the cluster's own nodes.
const (
	TypeRecordMember      CommandType = 55
	TypeRaiseFeatureLevel CommandType = 56
)

// TypeAnchorAudit is the command about audit logs.
const TypeAnchorAudit CommandType = 78

// The exchange of the sealing key.
const (
	TypeCreateSealingKey CommandType = iota + 80
	TypeRecordSealingKey
	TypePromoteSealingKey
	TypeResealValues
	TypeRetireSealingKey
)

// The exchange of root credentials.
const (
	TypeBeginRotation         CommandType = 85
	TypeCommitRotation        CommandType = 86
	TypeFinishRotation        CommandType = 87
	TypeCancelRotation        CommandType = 88
	TypeRecordRotationTrouble CommandType = 89
)

// Roles and policies.
const (
	TypeCreateBinding CommandType = iota + 71
	TypeDeleteBinding
	TypeCreatePolicy
	TypeUpdatePolicy
	TypeDeletePolicy
)

// Who there is, and how they show who they are.
const (
	TypeCreateAccount      CommandType = 60
	TypeCreateGroup        CommandType = 61
	TypeUpdateGroup        CommandType = 62
	TypeDeleteGroup        CommandType = 63
	TypeDeleteToken        CommandType = 64
	TypeUseToken           CommandType = 65
	TypeCreateClientSecret CommandType = 66
	TypeDeleteClientSecret CommandType = 67
	TypeSignIn             CommandType = 68
	TypeSetPassword        CommandType = 69
	TypeStoreWrapped       CommandType = 76
	TypeTakeWrapped        CommandType = 77
	TypeRenewToken         CommandType = 90
)

// Command is one entry of the log. Time, ids and names come with it, so that applying it is pure.
type Command struct {
	Type    CommandType     `cbor:"1,keyasint"`
	Version uint8           `cbor:"2,keyasint"` // of the body's format
	At      Instant         `cbor:"3,keyasint"` // stamped by the leader
	Actor   Actor           `cbor:"4,keyasint,omitempty"`
	Term    uint64          `cbor:"5,keyasint,omitempty"` // leadership period that proposed it
	Key     *IdempotencyKey `cbor:"6,keyasint,omitempty"`
	Body    cbor.RawMessage `cbor:"7,keyasint"`

	// Guarded is true for commands that must not move the clock further than MaxClockStep. Those of
	// logs from before that rule are not, and apply as they did.
	Guarded bool `cbor:"8,keyasint,omitempty"`
}

// IdempotencyKey binds a command to the client's key, so that a repeated request is applied once.
type IdempotencyKey struct {
	ID   []byte `cbor:"1,keyasint"` // hash of account, route and the client's key
	Body []byte `cbor:"2,keyasint"` // hash of the request's body
}

// Body is the part of a command that differs by type.
type Body interface{ commandType() CommandType }

// NewCommand returns a command of the body's type, ready to be encoded.
func NewCommand(body Body, at time.Time, actor Actor, term uint64) (Command, error) {
	raw, err := encode(body)
	if err != nil {
		return Command{}, fmt.Errorf("encoding a command of type %d: %w", body.commandType(), err)
	}
	return Command{Type: body.commandType(), Version: 1, At: At(at), Actor: actor, Term: term, Body: raw}, nil
}

// Encode returns the command as a log entry.
func (c Command) Encode() ([]byte, error) { return encode(c) }

// DecodeCommand reads a log entry. It checks the envelope only; the body is decoded when applied.
func DecodeCommand(data []byte) (Command, error) {
	var c Command
	if err := decode(data, &c); err != nil {
		return Command{}, fmt.Errorf("decoding a command: %w", err)
	}
	if c.Type == 0 || c.Version == 0 || len(c.Body) == 0 {
		return Command{}, fmt.Errorf("decoding a command: type, version or body is missing")
	}
	return c, nil
}

// Result is what applying one command answered on this node.
type Result struct {
	Index    uint64
	At       Instant  // the state machine's clock at that entry
	Refusal  *Refusal // set: nothing was changed
	Replayed bool     // the idempotency key was bound before: Value is the present state of what was made then
	Value    any      // per command; see the body types
}

// NewKey returns the idempotency key of a request. Its id is a hash, so that the log never holds the
// client's key, which seals the stored answer.
func NewKey(account AccountName, route, key string, body []byte) *IdempotencyKey {
	h := sha256.New()
	for _, s := range []string{string(account), route, key} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	b := sha256.Sum256(body)
	return &IdempotencyKey{ID: h.Sum(nil)[:20], Body: b[:16]}
}
