package api

import (
	"net/http"
	"time"
)

// Observer hears of requests, for metrics. Its methods are called on the way of requests, by many
// goroutines: they are quick and call nothing of the server.
type Observer interface {
	// Answered tells of a client's request that was answered at this node, whichever node did the work. The
	// route is a pattern like /api/v1/leases/{id}, and empty when the request was refused before one was
	// known.
	Answered(route, method string, status int, took time.Duration)

	// Forwarded tells of a try to have the leader answer.
	Forwarded(outcome ForwardOutcome, took time.Duration)
}

// ForwardOutcome says how a try to have the leader answer went.
type ForwardOutcome string

// The outcomes of forwarding.
const (
	ForwardAnswered ForwardOutcome = "answered"
	ForwardNotSent  ForwardOutcome = "not_sent" // it certainly did not reach a leader
	ForwardUnknown  ForwardOutcome = "unknown"  // it may have
)

// metricsPath is where metrics are served to who may read them.
const metricsPath = "/metrics"

// serveMetrics answers with the metrics of this node, as it is: no leader is needed.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	if err := s.config.Authorizer.Authorize(r.Context(), c.identity, "metrics:read", Resource{Kind: "cluster"}); err != nil {
		s.fail(w, r, err)
		return
	}
	s.config.Metrics.ServeHTTP(w, r)
}

// on registers a route that is not described, and has its pattern known to who observes.
func (s *Server) on(path string, handle http.HandlerFunc) {
	s.router.Path(path).Methods(http.MethodGet).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		callOf(r.Context()).route = path
		handle(w, r)
	})
}
