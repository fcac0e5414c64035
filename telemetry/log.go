package telemetry

import (
	"time"

	"broker/cluster"
)

var _ cluster.Observer = (*Metrics)(nil)

type proposedKey struct{ outcome cluster.ProposeOutcome }

type flushedKey struct{}

// log describes what the replicated log is measured by.
func (m *Metrics) log() {
	m.proposed = newSeries("broker_raft_propose_duration_seconds", "Commands that this node wanted in the log, until they were applied here or given up.",
		callBuckets(), []string{"outcome"},
		func(k proposedKey) []string { return []string{string(k.outcome)} })
	m.flushed = newSeries("broker_raft_flush_duration_seconds", "How long this node's disk took to make a batch of the log durable.",
		diskBuckets(), nil,
		func(flushedKey) []string { return nil })
}

// Proposed implements [cluster.Observer].
func (m *Metrics) Proposed(outcome cluster.ProposeOutcome, took time.Duration) {
	m.proposed.observe(proposedKey{outcome}, took)
}

// Flushed implements [cluster.Observer].
func (m *Metrics) Flushed(took time.Duration) { m.flushed.observe(flushedKey{}, took) }
