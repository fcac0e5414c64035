package telemetry_test

import (
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"broker/api"
	"broker/api/front"
	"broker/broker"
	"broker/cluster"
	"broker/fsm"
	"broker/telemetry"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// mustMetrics returns the metrics of a node with an empty ledger.
func mustMetrics(t testing.TB, change func(*telemetry.Config)) *telemetry.Metrics {
	t.Helper()
	state, err := fsm.Open(fsm.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := state.Close(); err != nil {
			t.Error(err)
		}
	})
	c := telemetry.Config{
		NodeID: "n1", Version: "v1", Providers: []string{"postgres"}, View: state.View,
		Status: func() cluster.Status {
			return cluster.Status{
				NodeID: "n1", Term: 7, LeaderID: "n2", CommitIndex: 12, AppliedIndex: 11, LastLogIndex: 13, Staleness: 1500 * time.Millisecond,
				Members: []cluster.Member{
					{ID: "n1", Self: true, Health: cluster.HealthAlive},
					{ID: "n2", Health: cluster.HealthAlive, Clock: &cluster.ClockOffset{Offset: -250 * time.Millisecond}},
					{ID: "n3", Health: cluster.HealthFailed},
					{ID: "n4", Health: cluster.HealthUnknown},
				},
			}
		},
		Figures: func() (broker.Figures, bool) { return broker.Figures{}, false },
		Now:     func() time.Time { return now },
	}
	if change != nil {
		change(&c)
	}
	m, err := telemetry.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// scrape returns the samples by name with labels.
func scrape(t testing.TB, m *telemetry.Metrics) map[string]string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	samples := map[string]string{}
	for line := range strings.Lines(answer.Body.String()) {
		if at := strings.LastIndexByte(line, ' '); at > 0 && !strings.HasPrefix(line, "#") {
			samples[line[:at]] = strings.TrimSpace(line[at+1:])
		}
	}
	return samples
}

func want(t *testing.T, samples, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got, there := samples[name]; got != value || there != (value != "") {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

func TestNodeFigures(t *testing.T) {
	want(t, scrape(t, mustMetrics(t, nil)), map[string]string{
		"broker_raft_term":                         "7",
		"broker_raft_is_leader":                    "0",
		"broker_raft_leader_known":                 "1",
		"broker_raft_leader_contact_age_seconds":   "1.5",
		"broker_raft_commit_index":                 "12",
		"broker_raft_applied_index":                "11",
		"broker_raft_last_log_index":               "13",
		`broker_member_alive{peer="n2"}`:           "1",
		`broker_member_alive{peer="n3"}`:           "0",
		`broker_member_alive{peer="n4"}`:           "",
		`broker_member_alive{peer="n1"}`:           "",
		`broker_clock_offset_seconds{peer="n2"}`:   "-0.25",
		"broker_clock_wrong":                       "0",
		"broker_state_divergent_nodes":             "0",
		"broker_state_wrong":                       "0",
		"broker_event_streams":                     "",
		"broker_ledger_overdue_seconds":            "0",
		"broker_ledger_clock_lead_seconds":         "", // an empty ledger has no clock
		"broker_certificate_end_timestamp_seconds": "",
		"broker_snapshot_timestamp_seconds":        "",
		"broker_feature_level":                     "",
		`broker_leases{state="active"}`:            "", // the leader's to tell
		"broker_wheel_leases":                      "",
	})
	never := mustMetrics(t, func(c *telemetry.Config) {
		c.Status = func() cluster.Status {
			return cluster.Status{
				Staleness: math.MaxInt64, ClockError: errors.New("off"), StateError: errors.New("wrong"), Divergences: make([]cluster.Divergence, 2),
			}
		}
		c.Streams = func() int { return 3 }
		c.Connections = func() (int, front.Refused) { return 4, front.Refused{Full: 5, Host: 6, Header: 7} }
		c.Limited = func() api.Limited { return api.Limited{Address: 8, Failures: 9, Account: 10} }
	})
	want(t, scrape(t, never), map[string]string{
		"broker_raft_leader_contact_age_seconds": "+Inf", "broker_raft_leader_known": "0", "broker_clock_wrong": "1",
		"broker_state_divergent_nodes": "2", "broker_state_wrong": "1", "broker_event_streams": "3",
		"broker_http_connections": "4", `broker_http_connections_refused_total{reason="full"}`: "5",
		`broker_http_connections_refused_total{reason="address"}`: "6", `broker_http_connections_refused_total{reason="header"}`: "7",
		`broker_http_requests_limited_total{by="address"}`: "8", `broker_http_requests_limited_total{by="failures"}`: "9",
		`broker_http_requests_limited_total{by="account"}`: "10",
	})
}

func TestLedgerFiguresAreTheLeaders(t *testing.T) {
	m := mustMetrics(t, func(c *telemetry.Config) {
		c.Figures = func() (broker.Figures, bool) {
			return broker.Figures{Wheel: 3, HorizonAt: now.Add(time.Minute)}, true
		}
	})
	want(t, scrape(t, m), map[string]string{
		`broker_leases{state="active"}`: "0", "broker_leases_overdue": "0", "broker_leases_stuck": "0",
		"broker_wheel_leases": "3", "broker_wheel_horizon_timestamp_seconds": "1.767323105e+09",
		"broker_lease_next_due_timestamp_seconds": "",
	})
}

// What other parts of the program know is shown once they tell it.
func TestAges(t *testing.T) {
	m := mustMetrics(t, func(c *telemetry.Config) {
		c.CertificatesEndAt = func() map[string]time.Time { return map[string]time.Time{"cluster": now} }
		c.SnapshotAt = func() (time.Time, bool) { return time.Time{}, false }
		c.FeatureLevel = func() (uint64, bool) { return 2, true }
	})
	want(t, scrape(t, m), map[string]string{
		`broker_certificate_end_timestamp_seconds{purpose="cluster"}`: "1.767323045e+09", "broker_snapshot_timestamp_seconds": "", "broker_feature_level": "2",
	})
}

// Labels are bounded whatever is observed, and what was observed is counted.
func TestObservations(t *testing.T) {
	m := mustMetrics(t, nil)
	m.LeaseAsked(broker.VerbIssue, "postgres", broker.OutcomeOK, 3*time.Millisecond)
	m.LeaseAsked(broker.VerbIssue, "", broker.OutcomeRefused, 0)
	m.LeaseAsked(broker.VerbIssue, "made up", broker.OutcomeOK, 0)
	m.LeaseAsked(broker.VerbIssue, "made up too", broker.OutcomeOK, 0)
	m.LeaseRemoved("postgres", fsm.CauseExpire, time.Second)
	m.ExpiryBegan(90 * time.Millisecond)
	m.ExpiryEnded(time.Second)
	m.ProviderCalled(broker.CallCreate, "postgres", broker.OutcomeUnavailable, time.Second)
	m.Proposed(cluster.ProposeUnknown, time.Second)
	m.Flushed(time.Millisecond)
	m.Answered("/api/v1/leases", "GET", 200, time.Millisecond)
	m.Answered("", "BREW", 418, time.Millisecond)
	m.Forwarded(api.ForwardNotSent, time.Millisecond)
	want(t, scrape(t, m), map[string]string{
		`broker_lease_request_duration_seconds_count{outcome="ok",provider="postgres",verb="issue"}`:              "1",
		`broker_lease_request_duration_seconds_bucket{outcome="ok",provider="postgres",verb="issue",le="0.0025"}`: "0",
		`broker_lease_request_duration_seconds_bucket{outcome="ok",provider="postgres",verb="issue",le="0.005"}`:  "1",
		`broker_lease_request_duration_seconds_count{outcome="refused",provider="none",verb="issue"}`:             "1",
		`broker_lease_request_duration_seconds_count{outcome="ok",provider="other",verb="issue"}`:                 "2",
		`broker_lease_removal_duration_seconds_count{cause="expire",provider="postgres"}`:                         "1",
		`broker_expiry_lateness_seconds_bucket{stage="began",le="0.1"}`:                                           "1",
		`broker_expiry_lateness_seconds_count{stage="ended"}`:                                                     "1",
		`broker_provider_call_duration_seconds_count{call="create",outcome="unavailable",provider="postgres"}`:    "1",
		`broker_raft_propose_duration_seconds_count{outcome="unknown"}`:                                           "1",
		`broker_raft_flush_duration_seconds_count`:                                                                "1",
		`broker_http_request_duration_seconds_count{method="GET",route="/api/v1/leases",status="2xx"}`:            "1",
		`broker_http_request_duration_seconds_count{method="other",route="none",status="4xx"}`:                    "1",
		`broker_http_forward_duration_seconds_count{outcome="not_sent"}`:                                          "1",
	})
}

// An observation is on the way of a request: it must not make garbage.
func TestObservingAllocatesNothing(t *testing.T) {
	m := mustMetrics(t, nil)
	for name, observe := range map[string]func(){
		"a request":       func() { m.Answered("/api/v1/leases", "GET", 200, time.Millisecond) },
		"a lease":         func() { m.LeaseAsked(broker.VerbIssue, "postgres", broker.OutcomeOK, time.Millisecond) },
		"a provider call": func() { m.ProviderCalled(broker.CallCreate, "postgres", broker.OutcomeOK, time.Millisecond) },
		"a proposal":      func() { m.Proposed(cluster.ProposeCommitted, time.Millisecond) },
		"a flush":         func() { m.Flushed(time.Millisecond) },
	} {
		if n := testing.AllocsPerRun(100, observe); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := telemetry.New(telemetry.Config{}); err == nil {
		t.Error("metrics of nothing")
	}
}

func BenchmarkObserve(b *testing.B) {
	m := mustMetrics(b, nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Answered("/api/v1/leases", "GET", 200, time.Millisecond)
		}
	})
}

// BenchmarkScrape is a whole answer of a node that has seen a hundred kinds of requests.
func BenchmarkScrape(b *testing.B) {
	m := mustMetrics(b, nil)
	for i := range 100 {
		m.Answered("/api/v1/"+strings.Repeat("x", i), "GET", 200, time.Millisecond)
	}
	handler := m.Handler()
	b.ReportAllocs()
	for b.Loop() {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))
	}
}
