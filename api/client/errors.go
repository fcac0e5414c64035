package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"

	"broker/api/types"
)

// ErrOutcomeUnknown is returned when a call that is not safe to repeat got no answer: it may or may
// not have taken effect.
var ErrOutcomeUnknown = errors.New("no answer came: it may or may not have taken effect")

// ErrTimeout is returned inside an [UnreachableError] for a node that did not answer in time.
var ErrTimeout = errors.New("no answer came in time")

// UnreachableError is returned when no node gave an answer before the call's deadline.
type UnreachableError struct {
	Failures []Failure // the last one of each address, in the order of the addresses
}

// Failure says why one address gave no answer.
type Failure struct {
	Address string
	Err     error
}

// Error names every address and what went wrong there.
func (e *UnreachableError) Error() string {
	parts := make([]string, 0, len(e.Failures))
	for _, f := range e.Failures {
		parts = append(parts, f.Address+": "+plain(f.Err))
	}
	return "no node of the broker answered: " + strings.Join(parts, "; ")
}

// Unwrap returns the failures' causes.
func (e *UnreachableError) Unwrap() []error {
	var causes []error
	for _, f := range e.Failures {
		causes = append(causes, f.Err)
	}
	return causes
}

// plain says in a word what the net package says in several.
func plain(err error) string {
	var (
		op     *net.OpError
		lookup *net.DNSError
	)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return "no such host"
	case errors.As(err, &op) && op.Op == "dial" && op.Timeout():
		return "connecting took too long"
	}
	return err.Error()
}

// Refused reports whether err says of every address that nobody listens there: the broker is down, or is
// another address's.
func Refused(err error) bool {
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || len(unreachable.Failures) == 0 {
		return false
	}
	for _, one := range unreachable.Failures {
		if !errors.Is(one.Err, syscall.ECONNREFUSED) {
			return false
		}
	}
	return true
}

// Code returns the stable code of the problem that err holds, and "" when it holds none.
func Code(err error) string {
	var problem *types.Problem
	if errors.As(err, &problem) {
		return problem.Code
	}
	return ""
}

// PresentVersion returns the version that something has, as the refusal of a change of another one tells it; zero otherwise.
func PresentVersion(err error) uint64 {
	var problem *types.Problem
	if !errors.As(err, &problem) || problem.Code != "version_mismatch" {
		return 0
	}
	version, _ := problem.Extra["version"].(float64)
	return uint64(version)
}

// Unavailable reports whether err says that the broker, or a system behind it, is away or busy: the same call may well
// succeed later. Of a call that is not safe to repeat the outcome may be unknown.
func Unavailable(err error) bool {
	var (
		unreachable *UnreachableError
		problem     *types.Problem
	)
	switch {
	case errors.As(err, &problem):
		switch problem.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	case errors.As(err, &unreachable):
		return true
	}
	return errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, ErrTimeout) || errors.Is(err, context.DeadlineExceeded)
}

// neverSent reports whether a failed round trip certainly did not reach a server.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
