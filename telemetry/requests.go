package telemetry

import (
	"net/http"
	"time"

	"broker/api"
)

var _ api.Observer = (*Metrics)(nil)

type answeredKey struct {
	route, method, status string
}

type forwardKey struct{ outcome api.ForwardOutcome }

// requests describes what the API is measured by.
func (m *Metrics) requests() {
	m.answered = newSeries("broker_http_request_duration_seconds", "Requests of clients that this node took, whichever node did the work.",
		callBuckets(), []string{"route", "method", "status"},
		func(k answeredKey) []string { return []string{k.route, k.method, k.status} })
	m.forwards = newSeries("broker_http_forward_duration_seconds", "Tries of this node to have the leader answer a request.",
		callBuckets(), []string{"outcome"},
		func(k forwardKey) []string { return []string{string(k.outcome)} })
}

// Answered implements [api.Observer].
func (m *Metrics) Answered(route, method string, status int, took time.Duration) {
	if route == "" {
		route = "none"
	}
	m.answered.observe(answeredKey{route, methodLabel(method), statusLabel(status)}, took)
}

// Forwarded implements [api.Observer].
func (m *Metrics) Forwarded(outcome api.ForwardOutcome, took time.Duration) {
	m.forwards.observe(forwardKey{outcome}, took)
}

// methodLabel keeps clients from making labels up.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

func statusLabel(status int) string {
	switch {
	case status < 200:
		return "1xx"
	case status < 300:
		return "2xx"
	case status < 400:
		return "3xx"
	case status < 500:
		return "4xx"
	}
	return "5xx"
}
