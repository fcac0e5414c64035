package broker

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"broker/fsm"
	"broker/providers"
)

// The codes of what the broker refuses before a command is proposed, besides those of package fsm.
const (
	CodeUnknownProvider       fsm.Code = "unknown_provider"
	CodeConnectionCheckFailed fsm.Code = "connection_check_failed"
	CodeProviderRejected      fsm.Code = "provider_rejected"
	CodeConnectionBusy        fsm.Code = "connection_busy"
	CodeSystemChangeNeeded    fsm.Code = "system_change_needed"
	CodeRotationUnsupported   fsm.Code = "rotation_unsupported"
	CodeRotationCancelled     fsm.Code = "rotation_cancelled"
	CodeNotRenewable          fsm.Code = "not_renewable"

	CodePolicyLocksOut fsm.Code = "policy_locks_out"
)

// ErrNotLeader is returned when this node does not lead, or leads no more; nothing was done.
var ErrNotLeader = errors.New("this node does not lead the cluster")

// ErrOutcomeUnknown is returned when a command may or may not have been committed. The caller may
// repeat the request with the same idempotency key.
var ErrOutcomeUnknown = errors.New("the outcome is unknown: repeat the request with the same idempotency key")

// UnavailableError is returned when the outside system could not be reached or did not answer.
type UnavailableError struct {
	Connection fsm.ConnectionName
	Lease      fsm.LeaseID   // set when a lease had been prepared; it is rolled back
	RetryAfter time.Duration // a suggestion
	Err        error         // redacted
}

// Error says which connection and why.
func (e *UnavailableError) Error() string {
	return "connection " + string(e.Connection) + " is unavailable: " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// InvalidError is returned when values of a request are wrong. It names every one of them.
type InvalidError struct{ Problems []providers.FieldError }

// Error joins the problems.
func (e *InvalidError) Error() string {
	texts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		texts[i] = p.Error()
	}
	return strings.Join(texts, "; ")
}

// invalid returns an InvalidError of one problem.
func invalid(field, format string, args ...any) *InvalidError {
	return &InvalidError{Problems: []providers.FieldError{{Field: field, Message: fmt.Sprintf(format, args...)}}}
}

// within prefixes the problems' fields, e.g. "settings.", and returns nil when there are none.
func within(prefix string, problems []providers.FieldError) error {
	if len(problems) == 0 {
		return nil
	}
	named := make([]providers.FieldError, len(problems))
	for i, p := range problems {
		named[i] = providers.FieldError{Field: prefix + p.Field, Message: p.Message}
	}
	return &InvalidError{Problems: named}
}

// isRefusal reports whether the state machine refused with that code.
func isRefusal(err error, code fsm.Code) bool {
	var r *fsm.Refusal
	return errors.As(err, &r) && r.Code == code
}
