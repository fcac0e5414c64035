package api

import (
	"net/http"
	"time"

	"broker/access"
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

// metricsRoute is the route of metrics, which is not described: what it answers with is Prometheus'.
var metricsRoute = route{id: "metrics", action: "metrics:read", method: http.MethodGet, path: metricsPath, lasts: true}

// onCluster is an input that is about the cluster and says nothing else.
type onCluster struct{}

func (onCluster) resource() Resource { return Resource{Kind: access.KindCluster} }

// serveMetrics answers with the metrics of this node, as it is: no leader is needed.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	began := s.config.Now()
	if err := s.enter(r.Context(), c, metricsRoute, onCluster{}); err != nil {
		p, _ := problemOf(err, began)
		s.recordOutcome(r.Context(), c, access.StageServed, p.Status, p.Code, began)
		s.fail(w, r, err)
		return
	}
	s.config.Metrics.ServeHTTP(w, r)
	s.recordOutcome(r.Context(), c, access.StageServed, http.StatusOK, "", began)
}

// on registers a route that is not described, and has its pattern known to who observes.
func (s *Server) on(path string, handle http.HandlerFunc) {
	s.router.Path(path).Methods(http.MethodGet).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		callOf(r.Context()).route = path
		handle(w, r)
	})
}
