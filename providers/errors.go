package providers

import "fmt"

// Kind says what a provider's error means for the caller.
type Kind uint8

// The kinds of provider errors. The zero Kind is KindUnknown: the call may or may not have taken effect.
const (
	KindUnknown     Kind = iota // the outcome is unknown: time-out, connection lost, COMMIT unanswered
	KindUnavailable             // the outside system could not be reached or is not serving: retry
	KindRejected                // the outside system refused: the same call will be refused again
	KindUnsupported             // the provider cannot do this
	KindExists                  // a login of that name exists
	KindTooEarly                // ConfirmAbsent came before its instant: repeat later
)

// String returns the kind's name as used in logs, metrics and the API.
func (k Kind) String() string {
	switch k {
	case KindUnavailable:
		return "unavailable"
	case KindRejected:
		return "rejected"
	case KindUnsupported:
		return "unsupported"
	case KindExists:
		return "exists"
	case KindTooEarly:
		return "too_early"
	}
	return "unknown"
}

// Error is what every Backend method returns when it fails. Its text is fit for people and holds no
// secret value.
type Error struct {
	Kind Kind

	// NotSent is true when the call certainly never reached the outside system, so that it
	// certainly changed nothing there: a refused connection, a failed log-in of the root credential.
	NotSent bool

	// Busy is true when the call was given up while it waited for its turn at the Backend, which says
	// nothing about the outside system.
	Busy bool

	// Blocked is true when the outside system answered that something there is in the way of this one
	// login, such as a lock: it may go later, and says nothing about other logins.
	Blocked bool

	// Hint says what a person can do about it; empty when nothing is known.
	Hint string

	Err error
}

// Error returns the cause's text.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Kind.String()
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of the kind, formatted like fmt.Errorf.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// FieldError says what is wrong with the value of one field and what would be right.
type FieldError struct {
	Field   string
	Message string
}

// Error returns field and message.
func (e FieldError) Error() string { return e.Field + ": " + e.Message }
