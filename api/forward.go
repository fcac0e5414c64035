package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"broker/access"
	"broker/api/types"
)

// lead brings what only the leader can answer to it: here when this node leads, else over the cluster's own
// connection, one hop. While there is no leader it waits for one. It repeats a try only when that
// certainly changed nothing or the client's idempotency key makes repeating safe.
func (s *Server) lead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r.Context())
		if !c.needsLeader() && !c.identity.Counted || c.open || !c.isVault && !strings.HasPrefix(r.URL.Path, apiPrefix+"/") {
			next.ServeHTTP(w, r)
			return
		}
		if c.forwarded && !s.config.Cluster.LeaderReady() {
			writeProblem(w, r, problem(codeNotLeader, "the node asked for this change does not lead; nothing was done"))
			return
		}
		// Waiting for a leader is bounded from the start of the present wait, not of the request:
		// a change that is under way has the whole request's time.
		var waitingSince, passedOn time.Time
		for {
			var answer *recorded
			ctx, served, leads := s.config.Cluster.ServeAsLeader(r.Context())
			switch {
			case leads:
				answer = s.here(next, r.WithContext(ctx), served)
			case c.forwarded: // it has stopped to lead just now
				writeProblem(w, r, problem(codeNotLeader, "the node asked for this change does not lead any more; nothing was done"))
				return
			default:
				if passedOn.IsZero() {
					if err := s.recordRequest(r.Context(), c, c.requestRecord(access.StageForwarded)); err != nil {
						s.fail(w, r, err)
						return
					}
					passedOn = s.config.Now()
					defer func() { s.recordOutcome(r.Context(), c, access.StageForwarded, c.answered, c.code, passedOn) }()
				}
				answer = s.forward(r)
			}
			if answer.done || c.forwarded {
				if c.forwarded && c.route != "" {
					answer.header.Set(headerForwardedRoute, c.route)
				}
				c.answered = answer.status
				answer.writeTo(w)
				return
			}
			if waitingSince.IsZero() {
				waitingSince = time.Now()
			}
			if time.Since(waitingSince) >= s.config.LeaderTimeout || !pause(r.Context(), s.config.RetryPause) {
				if answer.problem == nil {
					answer.problem = noLeader()
				}
				c.answered = answer.problem.Status
				writeProblem(w, r, answer.problem)
				return
			}
		}
	})
}

// recorded is a finished try: an answer for the client, or the reason to try again.
type recorded struct {
	done    bool // the answer is final
	status  int
	header  http.Header
	body    bytes.Buffer
	problem *types.Problem // what to tell when there is no time left to try again; nil: no leader
}

// Header returns the answer's header.
func (a *recorded) Header() http.Header { return a.header }

// WriteHeader keeps the first status.
func (a *recorded) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write keeps the body.
func (a *recorded) Write(data []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(data)
}

func (a *recorded) writeTo(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes()) // a client that went away is nobody's error
}

// here runs the handler at this node and keeps its answer until it is known to be final.
func (s *Server) here(next http.Handler, r *http.Request, served func()) *recorded {
	defer served()
	c := callOf(r.Context())
	answer := &recorded{header: c.header.Clone()}
	own := *c
	own.header, own.notLeader, own.code = answer.header, false, ""
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, &own))
	r.Body = io.NopCloser(bytes.NewReader(c.body))
	next.ServeHTTP(answer, r)
	answer.WriteHeader(http.StatusOK)
	c.code, c.route, c.recorded = own.code, own.route, c.recorded || own.recorded
	answer.done = !own.notLeader
	return answer
}

// maxAnswer bounds what is read of a leader's answer.
const maxAnswer = 16 << 20

// forward carries the request to the leader once.
func (s *Server) forward(r *http.Request) *recorded {
	began := time.Now()
	header := forwardedHeader(r.Header)
	ctx, done := s.traceForward(r.Context(), header)
	answer, outcome := s.forwardOnce(r.WithContext(ctx), header)
	done(outcome)
	if s.config.Observer != nil {
		s.config.Observer.Forwarded(outcome, time.Since(began))
	}
	return answer
}

func (s *Server) forwardOnce(r *http.Request, header http.Header) (*recorded, ForwardOutcome) {
	c := callOf(r.Context())
	ctx, repeatable := r.Context(), c.repeatable()
	if deadline, ok := ctx.Deadline(); ok && repeatable {
		// A leader that hangs must leave time to ask the next one.
		half, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
		ctx = half
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, "http://leader"+r.URL.RequestURI(), bytes.NewReader(c.body))
	if err != nil {
		return finalProblem(c, problem(codeMalformed, "the request's URL cannot be forwarded")), ForwardNotSent
	}
	request.Header = header
	request.Header.Set(headerForwardedFor, c.address)
	request.Header.Set(headerForwardedNode, c.node)
	request.Header.Set(types.HeaderRequestID, c.id)
	request.Header.Set("User-Agent", c.userAgent)
	response, err := s.config.Cluster.ForwardTransport().RoundTrip(request)
	if err != nil {
		return unanswered(c, err, repeatable)
	}
	defer response.Body.Close()
	c.route = response.Header.Get(headerForwardedRoute)
	answer := &recorded{status: response.StatusCode, header: http.Header{}}
	switch n, err := io.Copy(&answer.body, io.LimitReader(response.Body, maxAnswer+1)); {
	case err != nil:
		return unanswered(c, err, repeatable)
	case n > maxAnswer:
		return finalProblem(c, problem(codeInternal, "the leader's answer is too long to be passed on: ask for less")), ForwardAnswered
	}
	for name, values := range response.Header {
		if !hopByHop(name) && !unstamped(name) {
			answer.header[name] = values
		}
	}
	answer.done = true
	if response.StatusCode == http.StatusServiceUnavailable {
		var p types.Problem
		if json.Unmarshal(answer.body.Bytes(), &p) == nil {
			c.code = p.Code
			switch {
			case p.Code == codeNotLeader:
				answer.done = false
			case p.Code == codeOutcomeUnknown && repeatable:
				answer.done, answer.problem = false, &p
			}
		}
	}
	return answer, ForwardAnswered
}

// unanswered judges a try that brought no answer.
func unanswered(c *call, err error, repeatable bool) (*recorded, ForwardOutcome) {
	var sent interface{ NotSent() bool }
	if errors.As(err, &sent) && sent.NotSent() {
		return &recorded{}, ForwardNotSent
	}
	p := problem(codeOutcomeUnknown, "the leader did not answer: the change may or may not have been made")
	if repeatable {
		return &recorded{problem: p}, ForwardUnknown
	}
	p.Hint = "look whether it was made before trying again"
	return finalProblem(c, p), ForwardUnknown
}

func finalProblem(c *call, p *types.Problem) *recorded {
	p.Instance, c.code = c.instance(), p.Code
	answer := &recorded{done: true, status: p.Status, header: http.Header{}}
	prepareHeaders(answer.header, p)
	answer.header.Set("Content-Type", types.ProblemContentType)
	encoded, err := json.Marshal(p)
	if err != nil {
		panic(err) // extra members are strings and numbers: a programming error
	}
	answer.body.Write(encoded)
	return answer
}

// needsLeader reports whether only the leader can answer, whoever asks: every write, and reads of what it alone knows.
func (c *call) needsLeader() bool {
	if c.changes() || c.path == apiPrefix+"/health/connections" {
		return true
	}
	_, rest, ok := strings.Cut(strings.TrimPrefix(c.path, apiPrefix+"/connections/"), "/")
	return ok && rest == "health" && strings.HasPrefix(c.path, apiPrefix+"/connections/")
}

// forwardedHeader copies a request's header without what belongs to the connection or could pass
// for a node's word.
func forwardedHeader(in http.Header) http.Header {
	out := http.Header{}
	for name, values := range in {
		if !hopByHop(name) && !strings.HasPrefix(name, "Broker-Forwarded-") {
			out[name] = values
		}
	}
	return out
}

func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Content-Length", "Date", "Expect":
		return true
	}
	return false
}
