package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"broker/access"
	"broker/api/types"
	"broker/broker"
	"broker/fsm"
	"broker/providers"
)

// The codes of problems that arise in this package; those of refusals come from fsm and broker.
const (
	codeMalformed        = "malformed_request"
	codeInvalid          = string(fsm.CodeInvalid)
	codeUnknownField     = "unknown_field"
	codeMissingField     = "missing_field"
	codeUnknownParameter = "unknown_parameter"
	codeUnauthenticated  = "unauthenticated"
	codeForbidden        = "forbidden"
	codeTokenInURL       = "token_in_url"
	codeNoRoute          = "no_such_route"
	codeMethod           = "method_not_allowed"
	codeMediaType        = "unsupported_media_type"
	codeTooLarge         = "body_too_large"
	codeNoLeader         = "no_leader"
	codeNotLeader        = "not_leader"
	codeOutcomeUnknown   = "outcome_unknown"
	codeUnavailable      = "connection_unavailable"
	codePaused           = string(fsm.CodeConnectionPaused)
	codeTimeout          = "timeout"
	codeTooStale         = "too_stale"
	codeInternal         = "internal_error"
	codeDiverged         = "state_diverged"
	codePruned           = "history_pruned"
	codeTooManyStreams   = "too_many_streams"
	codeTooSlow          = "stream_too_slow" // in logs only: the client takes nothing
	codeShuttingDown     = "shutting_down"
	codeAuditUnavailable = "audit_unavailable"
	codeNoAuditLog       = "no_audit_log"

	codeTooManyRequests = "too_many_requests"
	codeURLTooLong      = "url_too_long"
	codeHeadersTooLarge = "headers_too_large"
	codeBodyTooSlow     = "body_too_slow"
	codeWrongHost       = "wrong_host"
	codeForeignOrigin   = "foreign_origin"

	codeSignInLocked = "sign_in_locked"
	codeSignInBusy   = "sign_in_busy"
)

// statuses is the one table from codes to HTTP status. A code that is missing here is an error of
// the broker's own and answered with 500; a test compares it with the codes that exist.
func statuses() map[string]int {
	return map[string]int{
		string(fsm.CodeNotFound):          http.StatusNotFound,
		string(fsm.CodeExists):            http.StatusConflict,
		string(fsm.CodeVersionMismatch):   http.StatusPreconditionFailed,
		string(fsm.CodeInvalid):           http.StatusUnprocessableEntity,
		string(fsm.CodeInUse):             http.StatusConflict,
		string(fsm.CodeActiveLeases):      http.StatusConflict,
		string(fsm.CodeConnectionLeases):  http.StatusConflict,
		string(fsm.CodeEnvironmentDenied): http.StatusUnprocessableEntity,
		string(fsm.CodeOutputKeyTaken):    http.StatusConflict,
		string(fsm.CodeLeaseNotActive):    http.StatusConflict,
		string(fsm.CodeLeaseNotPending):   http.StatusConflict,
		string(fsm.CodeLeaseChanged):      http.StatusConflict,
		string(fsm.CodeLeaseEnded):        http.StatusConflict,
		string(fsm.CodeTTLExceedsMax):     http.StatusUnprocessableEntity,
		string(fsm.CodeAccountDisabled):   http.StatusForbidden,
		string(fsm.CodeSecretDisabled):    http.StatusConflict,
		string(fsm.CodeSecretChanged):     http.StatusConflict,
		string(fsm.CodeKeyReused):         http.StatusUnprocessableEntity,
		string(fsm.CodeKeyAnswerGone):     http.StatusConflict,
		string(fsm.CodeStaleTerm):         http.StatusServiceUnavailable,
		string(fsm.CodeInitialized):       http.StatusConflict,
		string(fsm.CodeLocked):            http.StatusLocked,
		string(fsm.CodeQuotaExceeded):     http.StatusTooManyRequests,
		string(fsm.CodeBeingDeleted):      http.StatusConflict,
		string(fsm.CodeConnectionPaused):  http.StatusServiceUnavailable,
		string(fsm.CodeAccountLeases):     http.StatusConflict,
		string(fsm.CodeLeaseNotRevoking):  http.StatusConflict,
		string(fsm.CodeOperationRunning):  http.StatusConflict,
		string(fsm.CodeOperationEnded):    http.StatusConflict,
		string(fsm.CodeClockStepRefused):  http.StatusServiceUnavailable,
		string(fsm.CodeClusterRestored):   http.StatusConflict,
		string(fsm.CodeNotRestored):       http.StatusConflict,
		string(fsm.CodeNotListed):         http.StatusConflict,
		string(fsm.CodeJoinTokenRefused):  http.StatusForbidden,
		string(fsm.CodeNodeExists):        http.StatusConflict,
		string(fsm.CodeNodeRemoved):       http.StatusConflict,
		string(fsm.CodeLevelTooLow):       http.StatusConflict,

		string(fsm.CodeAuditRewritten):  http.StatusConflict,
		string(fsm.CodeRotationRunning): http.StatusConflict,
		string(fsm.CodeSealingKeyState): http.StatusConflict,

		string(fsm.CodeRotationNotRunning):     http.StatusConflict,
		string(broker.CodeRotationUnsupported): http.StatusUnprocessableEntity,
		string(broker.CodeRotationCancelled):   http.StatusConflict,

		string(fsm.CodeSealingKeyRetired): http.StatusConflict,

		string(broker.CodeUnknownProvider):       http.StatusUnprocessableEntity,
		string(broker.CodeConnectionCheckFailed): http.StatusUnprocessableEntity,
		string(broker.CodeProviderRejected):      http.StatusConflict,
		string(broker.CodeSystemChangeNeeded):    http.StatusUnprocessableEntity,
		string(broker.CodeNotRenewable):          http.StatusConflict,
		string(broker.CodeTooMany):               http.StatusConflict,
		string(broker.CodeRateLimited):           http.StatusTooManyRequests,
		string(broker.CodeConnectionBusy):        http.StatusServiceUnavailable,
		string(broker.CodeQuorumAtRisk):          http.StatusConflict,
		string(broker.CodeMemberUnready):         http.StatusConflict,
		string(broker.CodeMemberTooOld):          http.StatusConflict,

		string(fsm.CodeSelfGrant):         http.StatusForbidden,
		string(fsm.CodeLastAdmin):         http.StatusConflict,
		string(broker.CodePolicyLocksOut): http.StatusConflict,

		codeMalformed:        http.StatusBadRequest,
		codeUnknownField:     http.StatusUnprocessableEntity,
		codeMissingField:     http.StatusUnprocessableEntity,
		codeUnknownParameter: http.StatusUnprocessableEntity,
		codeUnauthenticated:  http.StatusUnauthorized,
		codeForbidden:        http.StatusForbidden,
		codeTokenInURL:       http.StatusBadRequest,
		codeNoRoute:          http.StatusNotFound,
		codeMethod:           http.StatusMethodNotAllowed,
		codeMediaType:        http.StatusUnsupportedMediaType,
		codeTooLarge:         http.StatusRequestEntityTooLarge,
		codeNoLeader:         http.StatusServiceUnavailable,
		codeNotLeader:        http.StatusServiceUnavailable,
		codeOutcomeUnknown:   http.StatusServiceUnavailable,
		codeUnavailable:      http.StatusServiceUnavailable,
		codeTimeout:          http.StatusServiceUnavailable,
		codeTooStale:         http.StatusServiceUnavailable,
		codeInternal:         http.StatusInternalServerError,
		codeDiverged:         http.StatusServiceUnavailable,
		codePruned:           http.StatusGone,
		codeTooManyStreams:   http.StatusTooManyRequests,
		codeShuttingDown:     http.StatusServiceUnavailable,
		codeAuditUnavailable: http.StatusServiceUnavailable,
		codeNoAuditLog:       http.StatusNotFound,

		codeTooManyRequests: http.StatusTooManyRequests,
		codeURLTooLong:      http.StatusRequestURITooLong,
		codeHeadersTooLarge: http.StatusRequestHeaderFieldsTooLarge,
		codeBodyTooSlow:     http.StatusRequestTimeout,
		codeWrongHost:       http.StatusMisdirectedRequest,
		codeForeignOrigin:   http.StatusForbidden,

		codeSignInLocked:              http.StatusTooManyRequests,
		codeSignInBusy:                http.StatusServiceUnavailable,
		string(fsm.CodeTokenRefused):  http.StatusUnauthorized,
		string(fsm.CodeTokenCounted):  http.StatusForbidden,
		string(fsm.CodeSignInRefused): http.StatusUnauthorized,
		string(fsm.CodeWrappedGone):   http.StatusGone,
	}
}

// StatusOf returns the HTTP status of a code, and zero when it has none of its own.
func StatusOf(code string) int { return statuses()[code] }

// problem makes a problem of a code. The fields, if any, are to blame.
func problem(code, detail string, fields ...types.FieldProblem) *types.Problem {
	status := StatusOf(code)
	if status == 0 {
		status = http.StatusInternalServerError
	}
	out := &types.Problem{
		Type:   "urn:broker:problem:" + code,
		Title:  http.StatusText(status),
		Status: status,
		Detail: detail,
		Code:   code,
		Errors: fields,
	}
	switch status {
	case http.StatusServiceUnavailable:
		retryAfter(out, time.Second)
	case http.StatusTooManyRequests:
		retryAfter(out, 10*time.Second)
	}
	return out
}

// invalid makes the problem of one wrong field.
func invalid(field, message string) *types.Problem {
	return fieldsProblem(codeInvalid, []types.FieldProblem{{Field: field, Message: message}})
}

// fieldsProblem makes the problem of wrong fields: one is told in the detail, several are counted.
func fieldsProblem(code string, fields []types.FieldProblem) *types.Problem {
	if len(fields) != 1 {
		return problem(code, strconv.Itoa(len(fields))+" values are wrong", fields...)
	}
	detail := fields[0].Message
	if fields[0].Field != "" {
		detail = fields[0].Field + ": " + detail
	}
	return problem(code, detail, fields...)
}

func retryAfter(p *types.Problem, wait time.Duration) {
	with(p, "retry_after", max(1, int64((wait+time.Second-1)/time.Second)))
}

func with(p *types.Problem, name string, value any) {
	if p.Extra == nil {
		p.Extra = map[string]any{}
	}
	p.Extra[name] = value
}

// problemOf turns an error of a handler into a problem, and reports whether the error is one that
// only the log may see in full.
func problemOf(err error, now time.Time) (out *types.Problem, internal bool) {
	var (
		ready       *types.Problem
		refusal     *fsm.Refusal
		unavailable *broker.UnavailableError
		values      *broker.InvalidError
		locked      *access.LockedError
		question    *access.InvalidError
	)
	switch {
	case errors.As(err, &ready):
		out = ready
	case errors.As(err, &refusal) && refusal.Code == fsm.CodeTokenRefused, errors.Is(err, ErrUnauthenticated):
		out = problem(codeUnauthenticated, "the token is not valid: it is unknown, has expired or is used up, is not good from this address, or its account is disabled")
	case errors.Is(err, access.ErrSignInRefused):
		out = problem(string(fsm.CodeSignInRefused), fsm.SignInRefused)
	case errors.As(err, &locked):
		out = problem(codeSignInLocked, "too many failures to sign in with this name, or from this address")
		retryAfter(out, locked.Wait)
	case errors.Is(err, access.ErrBusy):
		out = problem(codeSignInBusy, access.ErrBusy.Error())
	case errors.As(err, &refusal):
		out = refusalProblem(refusal, now)
	case errors.As(err, &unavailable):
		out = problem(codeUnavailable, unavailable.Error())
		with(out, "connection", string(unavailable.Connection))
		if unavailable.Lease != "" {
			with(out, "lease_id", string(unavailable.Lease))
		}
		if unavailable.RetryAfter > 0 {
			retryAfter(out, unavailable.RetryAfter)
		}
	case errors.As(err, &values):
		var fields []types.FieldProblem
		for _, one := range values.Problems {
			fields = append(fields, types.FieldProblem{Field: one.Field, Message: one.Message})
		}
		out = fieldsProblem(codeInvalid, fields)
	case errors.As(err, &question):
		out = invalid(question.Field, question.Message)
	case errors.Is(err, broker.ErrNotLeader):
		out = problem(codeNotLeader, "the node that took the request no longer leads; nothing was done")
	case errors.Is(err, broker.ErrOutcomeUnknown):
		out = problem(codeOutcomeUnknown, broker.ErrOutcomeUnknown.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		out = problem(codeTimeout, "the request's time was over before there was an answer")
	default:
		return problem(codeInternal, "an internal error happened; the node's log tells more under this request's id"), true
	}
	var provider *providers.Error
	if out.Hint == "" && errors.As(err, &provider) {
		out.Hint = provider.Hint
	}
	return out, out.Status == http.StatusInternalServerError
}

// longestPause is the longest wait that a paused connection suggests: a pause can be ended early.
const longestPause = time.Hour

// refusalProblem copies a refusal with its details, numbers as numbers.
func refusalProblem(refusal *fsm.Refusal, now time.Time) *types.Problem {
	out := problem(string(refusal.Code), refusal.Message)
	if until, err := time.Parse(time.RFC3339Nano, refusal.Details["paused_until"]); err == nil && out.Code == codePaused {
		retryAfter(out, min(until.Sub(now), longestPause))
	}
	if refusal.Field != "" {
		out.Errors = []types.FieldProblem{{Field: refusal.Field, Message: refusal.Message}}
	}
	for name, value := range refusal.Details {
		if name == "hint" {
			out.Hint = value
			continue
		}
		number, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil || !counted(name):
			with(out, name, value)
		case name == "retry_after":
			retryAfter(out, time.Duration(number)*time.Second)
		default:
			with(out, name, number)
		}
	}
	return out
}

// counted reports whether a detail of that name is a number.
func counted(name string) bool {
	return strings.HasSuffix(name, "_ttl") || slices.Contains([]string{"leases", "max_leases", "version", "retry_after"}, name)
}

// prepareHeaders sets what a problem says in headers besides its body.
func prepareHeaders(header http.Header, p *types.Problem) {
	if wait, ok := p.Extra["retry_after"].(int64); ok {
		header.Set("Retry-After", strconv.FormatInt(wait, 10))
	}
	if p.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Bearer realm="broker"`)
	}
}

// writeProblem answers a request that did not get as far as a handler.
func writeProblem(w http.ResponseWriter, r *http.Request, p *types.Problem) {
	if call := callOf(r.Context()); call != nil {
		p.Instance = call.instance()
		call.code = p.Code
	}
	prepareHeaders(w.Header(), p)
	body, err := json.Marshal(p)
	if err != nil {
		// Extra members are strings and numbers, so this is a programming error.
		panic(err)
	}
	w.Header().Set("Content-Type", types.ProblemContentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // a client that went away is nobody's error
}
