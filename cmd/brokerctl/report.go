package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// The exit codes.
const (
	exitDone        = 0
	exitError       = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitDenied      = 4
	exitUnavailable = 5
	exitConflict    = 6
	exitDiffers     = 7
)

// usageError is returned when the command line is wrong; nothing was asked of the broker.
type usageError struct {
	err     error
	hint    string
	command string // whose help tells more
}

// Error says what is wrong.
func (e *usageError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *usageError) Unwrap() error { return e.err }

func usage(format string, args ...any) *usageError {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// hintedError adds to an error what can be done about it.
type hintedError struct {
	err  error
	hint string
}

// Error returns the error's text.
func (e *hintedError) Error() string { return e.err.Error() }

// Unwrap returns the error.
func (e *hintedError) Unwrap() error { return e.err }

// report prints an error as "error:", "hint:" and "request:" lines and returns the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return exitDone
	}
	if errors.Is(err, errNotAllowed) {
		return exitDenied // the answer says it all
	}
	if errors.Is(err, errDiffers) {
		return exitDiffers // so does this one
	}
	var child *childExit
	if errors.As(err, &child) {
		return child.code // what it said, it said itself
	}
	var problem *types.Problem
	if errors.As(err, &problem) && len(problem.Errors) > 1 {
		// One line for each, instead of one long line for all.
		fmt.Fprintf(a.err, "error: %s\n", clean(strings.Replace(err.Error(), problem.Error(), problem.Detail, 1)))
		for _, one := range problem.Errors {
			fmt.Fprintf(a.err, "  %s: %s\n", clean(one.Field), clean(one.Message))
		}
	} else {
		fmt.Fprintf(a.err, "error: %s\n", clean(err.Error()))
	}
	if hint := a.hintFor(err); hint != "" {
		fmt.Fprintf(a.err, "hint: %s\n", clean(hint))
	}
	if id := problem.RequestID(); id != "" && tellsMore(problem.Status) {
		fmt.Fprintf(a.err, "request: %s\n", clean(id))
	}
	return exitCode(err)
}

// tellsMore reports whether somebody may want to look a refused request up in the nodes' logs: not when the
// request itself was wrong, as the error says it all.
func tellsMore(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity:
		return false
	}
	return true
}

func exitCode(err error) int {
	var (
		own         *runError
		usage       *usageError
		problem     *types.Problem
		unreachable *client.UnreachableError
	)
	switch {
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &unreachable), errors.Is(err, context.DeadlineExceeded):
		return exitUnavailable
	case !errors.As(err, &problem):
		return exitError
	}
	switch problem.Status {
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitDenied
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout:
		return exitUnavailable
	case http.StatusConflict, http.StatusPreconditionFailed, http.StatusLocked:
		return exitConflict
	}
	return exitError
}

// hintFor returns what can be done: what the error itself knows, else what its kind suggests.
func (a *app) hintFor(err error) string {
	var (
		usage       *usageError
		hinted      *hintedError
		problem     *types.Problem
		unreachable *client.UnreachableError
	)
	switch {
	case errors.As(err, &usage) && usage.hint != "":
		return usage.hint
	case errors.As(err, &usage) && usage.command != "":
		return fmt.Sprintf("%q tells more", usage.command+" --help")
	case errors.As(err, &hinted):
		return hinted.hint
	case errors.As(err, &unreachable) && strings.Contains(err.Error(), "x509:"):
		return "this machine does not know the broker's certificate authority, or it is another's: log in again (brokerctl login URL --ca-fingerprint …), or give its certificate (--ca-cert, BROKER_CACERT); \"brokerd admin-token\" on a node tells the fingerprint"
	case errors.As(err, &unreachable):
		return "is the broker running, and is BROKER_ADDR or the context right? (brokerctl context list)"
	case !errors.As(err, &problem):
		return ""
	case problem.Code == "unauthenticated": // the broker's own hint is for who writes requests
		return a.tokenHint()
	case problem.Hint != "":
		return problem.Hint
	}
	switch problem.Code {
	case "lease_ttl_exceeds_max":
		if left, ok := problem.Extra["renewable_ttl"].(float64); ok && left > 0 {
			return "" // the message says how much is left
		}
		return "it has all the time that its secret allows: issue a new lease"
	case "version_mismatch":
		return "somebody changed it meanwhile: read it again"
	case "secret_has_active_leases", "connection_has_active_leases", "account_has_active_leases":
		return "--revoke-leases revokes them first; brokerctl lease list shows them"
	case "being_deleted":
		if id, ok := problem.Extra["operation_id"].(string); ok {
			return "brokerctl operation get " + id + " shows how far it is; operation cancel lets it stay"
		}
	case "locked":
		return "brokerctl lock list shows the locks"
	case "too_many_leases":
		return "choose fewer, or allow more with --max"
	case "connection_paused":
		return "brokerctl connection resume NAME ends the pause"
	case "lease_not_revoking":
		return "only a lease whose end has begun: brokerctl lease revoke ID begins it"
	case "quota_exceeded", "rate_limited":
		if seconds, ok := problem.Extra["retry_after"].(float64); ok {
			return "try again in " + types.Duration(time.Duration(seconds)*time.Second).String()
		}
	case "environment_not_allowed":
		return "let the connection be used there: brokerctl connection update NAME --environments PATTERN"
	case "system_change_needed":
		return "say --system moved or --system replaced"
	case "output_key_taken":
		return "keys are one's own in an environment: give others with --output KEY=FIELD, e.g. --output REPORTS_USER=username --output REPORTS_PASSWORD=password"
	case "not_a_broker":
		return "is the address right?"
	}
	return ""
}

// tokenHint says where a token comes from, and why one that was thought of is not taken.
func (a *app) tokenHint() string {
	if token, err := a.token(); token != "" || err != nil {
		return "sign in again (brokerctl login URL), or give another token in BROKER_TOKEN or BROKER_TOKEN_FILE"
	}
	if first(a.address, a.getenv("BROKER_ADDR")) != "" {
		if context, ok, err := a.chosenContext(); err == nil && ok && a.context == "" && context.Token != "" {
			return "an address in --addr or BROKER_ADDR is never paired with the token of a context: leave it out, to use the context " + context.name
		}
	}
	if first(a.getenv("BROKER_CLIENT_ID"), a.getenv("BROKER_CLIENT_SECRET"), a.getenv("BROKER_CLIENT_SECRET_FILE")) != "" {
		return "a client secret is for signing in: brokerctl run and agent do so by themselves with BROKER_CLIENT_ID too, for other commands brokerctl login URL --client-id ID"
	}
	return "give a token in BROKER_TOKEN or BROKER_TOKEN_FILE, or sign in: brokerctl login URL"
}

// warn prints warnings on standard error.
func (a *app) warn(warnings ...string) {
	for _, one := range warnings {
		fmt.Fprintf(a.err, "warning: %s\n", clean(one))
	}
}

// note tells people what happened, on standard error and only where they look.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.err, format+"\n", args...)
	}
}

// clean makes text from elsewhere safe for a terminal: control characters could change what is shown.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' {
			return ' '
		}
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '�'
		}
		return r
	}, text)
}
