package fsm

// Code is the stable, machine-readable name of a refusal. Clients see it in problem documents.
type Code string

// The codes of what the state machine refuses.
const (
	CodeNotFound          Code = "not_found"
	CodeExists            Code = "already_exists"
	CodeVersionMismatch   Code = "version_mismatch"
	CodeInvalid           Code = "invalid_value"
	CodeInUse             Code = "in_use"
	CodeActiveLeases      Code = "secret_has_active_leases"
	CodeConnectionLeases  Code = "connection_has_active_leases"
	CodeEnvironmentDenied Code = "environment_not_allowed"
	CodeOutputKeyTaken    Code = "output_key_taken"
	CodeLeaseNotActive    Code = "lease_not_active"
	CodeLeaseNotPending   Code = "lease_not_pending"
	CodeLeaseChanged      Code = "lease_changed"
	CodeLeaseEnded        Code = "lease_ended"
	CodeTTLExceedsMax     Code = "lease_ttl_exceeds_max"
	CodeAccountDisabled   Code = "account_disabled"
	CodeSecretDisabled    Code = "secret_disabled"
	CodeSecretChanged     Code = "secret_changed"
	CodeKeyReused         Code = "idempotency_key_reused"
	CodeKeyAnswerGone     Code = "idempotency_answer_gone"
	CodeStaleTerm         Code = "stale_term"
	CodeInitialized       Code = "cluster_already_initialized"
	CodeLocked            Code = "locked"
	CodeQuotaExceeded     Code = "quota_exceeded"
	CodeBeingDeleted      Code = "being_deleted"
	CodeConnectionPaused  Code = "connection_paused"
	CodeAccountLeases     Code = "account_has_active_leases"
	CodeLeaseNotRevoking  Code = "lease_not_revoking"
	CodeOperationRunning  Code = "operation_running"
	CodeOperationEnded    Code = "operation_ended"
	CodeClockStepRefused  Code = "clock_step_refused"
	CodeClusterRestored   Code = "cluster_restored"
	CodeNotRestored       Code = "cluster_not_restored"
	CodeNotListed         Code = "connections_not_listed"
	CodeJoinTokenRefused  Code = "join_token_refused"
	CodeNodeExists        Code = "node_exists"
	CodeNodeRemoved       Code = "node_removed"
	CodeLevelTooLow       Code = "feature_level_too_low"

	CodeRotationRunning    Code = "rotation_running"
	CodeRotationNotRunning Code = "rotation_not_running"
	CodeSealingKeyState    Code = "sealing_key_state"
	CodeSealingKeyRetired  Code = "sealing_key_retired"
	CodeSelfGrant          Code = "self_grant"
	CodeLastAdmin          Code = "last_admin"

	CodeTokenRefused  Code = "token_refused" // unknown, over or used up
	CodeTokenCounted  Code = "token_counted" // good for a number of requests: it makes no tokens
	CodeSignInRefused Code = "sign_in_refused"
	CodeWrappedGone   Code = "wrapped_value_gone"
)

// Refusal is a committed "no": the command was applied, changed nothing and says why. It is an error
// that travels from the state machine to the client unchanged.
type Refusal struct {
	Code    Code              `cbor:"1,keyasint"`
	Field   string            `cbor:"2,keyasint,omitempty"` // of the request, when one value is to blame
	Message string            `cbor:"3,keyasint"`           // one sentence for people
	Details map[string]string `cbor:"4,keyasint,omitempty"` // machine-readable extras, e.g. renewable_ttl
}

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }

// With adds a detail and returns the refusal.
func (r *Refusal) With(key, value string) *Refusal {
	if r.Details == nil {
		r.Details = map[string]string{}
	}
	r.Details[key] = value
	return r
}
