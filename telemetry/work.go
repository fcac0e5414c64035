package telemetry

import (
	"time"

	"broker/broker"
	"broker/fsm"
)

var _ broker.Observer = (*Metrics)(nil)

type askedKey struct {
	verb     broker.Verb
	provider string
	outcome  broker.Outcome
}

type removedKey struct {
	provider string
	cause    fsm.Cause
}

type lateKey struct{ stage string }

type calledKey struct {
	call     broker.Call
	provider string
	outcome  broker.Outcome
}

// work describes what the broker's work is measured by.
func (m *Metrics) work() {
	m.asked = newSeries("broker_lease_request_duration_seconds", "Requests to issue, renew or revoke a lease, at the leader.",
		callBuckets(), []string{"verb", "provider", "outcome"},
		func(k askedKey) []string { return []string{string(k.verb), k.provider, string(k.outcome)} })
	m.removed = newSeries("broker_lease_removal_duration_seconds", "From the begin of a lease's end until its login is gone for certain.",
		lateBuckets(), []string{"provider", "cause"},
		func(k removedKey) []string { return []string{k.provider, string(k.cause)} })
	m.late = newSeries("broker_expiry_lateness_seconds", "How long after a lease's end its removal began, and had ended.",
		lateBuckets(), []string{"stage"},
		func(k lateKey) []string { return []string{k.stage} })
	m.called = newSeries("broker_provider_call_duration_seconds", "Calls of outside systems; the outcome of a call about several logins is the worst one's.",
		callBuckets(), []string{"call", "provider", "outcome"},
		func(k calledKey) []string { return []string{string(k.call), k.provider, string(k.outcome)} })
}

// provider returns the label of a provider.
func (m *Metrics) provider(name string) string {
	switch {
	case m.providers[name]:
		return name
	case name == "":
		return "none"
	}
	return "other"
}

// LeaseAsked implements [broker.Observer].
func (m *Metrics) LeaseAsked(verb broker.Verb, provider string, outcome broker.Outcome, took time.Duration) {
	m.asked.observe(askedKey{verb, m.provider(provider), outcome}, took)
}

// LeaseRemoved implements [broker.Observer].
func (m *Metrics) LeaseRemoved(provider string, cause fsm.Cause, took time.Duration) {
	m.removed.observe(removedKey{m.provider(provider), cause}, took)
}

// ExpiryBegan implements [broker.Observer].
func (m *Metrics) ExpiryBegan(late time.Duration) { m.late.observe(lateKey{"began"}, late) }

// ExpiryEnded implements [broker.Observer].
func (m *Metrics) ExpiryEnded(late time.Duration) { m.late.observe(lateKey{"ended"}, late) }

// ProviderCalled implements [broker.Observer].
func (m *Metrics) ProviderCalled(call broker.Call, provider string, outcome broker.Outcome, took time.Duration) {
	m.called.observe(calledKey{call, m.provider(provider), outcome}, took)
}
