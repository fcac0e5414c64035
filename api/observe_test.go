package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"broker/access"
	"broker/api"
	"broker/api/apitest"
)

// requestNotes is an Observer that keeps what it hears.
type requestNotes struct {
	mu    sync.Mutex
	heard []string
}

func (n *requestNotes) note(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heard = append(n.heard, fmt.Sprintf(format, args...))
}

func (n *requestNotes) Answered(route, method string, status int, _ time.Duration) {
	n.note("%s %s %d", method, route, status)
}

func (n *requestNotes) Forwarded(outcome api.ForwardOutcome, _ time.Duration) {
	n.note("forward %s", outcome)
}

func (n *requestNotes) want(t *testing.T, what string, want ...string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Equal(n.heard, want) {
		t.Errorf("%s: heard %q, want %q", what, n.heard, want)
	}
	n.heard = nil
}

// Requests are told by the node that took them, with the pattern of their route, whoever answered.
func TestObserver(t *testing.T) {
	leader, follower := &requestNotes{}, &requestNotes{}
	kit := apitest.Start(t, func(c *api.Config) { c.Observer = leader })
	furnish(t, kit)
	url, cluster := kit.Follower(t, "n2", func(c *api.Config) { c.Observer = follower; quick(c) })
	leader.heard = nil
	const route = "/api/v1/environments/{app}/{env}/secrets/{name}/leases"

	expect(t, 201, kit.URL, "POST", issuePath, `{}`)
	leader.want(t, "at the leader", "POST "+route+" 201")
	expect(t, 201, url, "POST", issuePath, `{}`)
	follower.want(t, "through a follower", "forward answered", "POST "+route+" 201")
	leader.want(t, "a forwarded request at the leader")
	ask(t, url, "POST", issuePath, `{"ttl":"2h"}`)
	follower.want(t, "a refusal through a follower", "forward answered", "POST "+route+" 422")
	ask(t, kit.URL, "POST", issuePath, `{"tttl":"2h"}`)
	leader.want(t, "a body that is not valid", "POST "+route+" 422")
	ask(t, url, "GET", "/api/v1/leases/none", "")
	follower.want(t, "a read at a follower", "GET /api/v1/leases/{id} 404")
	ask(t, url, "GET", "/api/v1/nothing", "")
	follower.want(t, "no route", "GET  404")
	ask(t, url, "GET", "/api/v1/leases", "", "Authorization", "")
	follower.want(t, "no token", "GET  401")
	ask(t, url, "GET", "/healthz", "")
	follower.want(t, "health", "GET /healthz 200")
	cluster.Transport = nil
	ask(t, url, "POST", issuePath, `{}`)
	if n := len(follower.heard); n < 2 || follower.heard[0] != "forward not_sent" || follower.heard[n-1] != "POST  503" {
		t.Errorf("without a leader: heard %q", follower.heard)
	}
}

// withoutMetrics is an Authorizer that allows everything else.
type withoutMetrics struct{ api.AllowAll }

func (withoutMetrics) Decide(r access.Request) (access.Decision, error) {
	return access.Decision{Allowed: r.Action != "metrics:read" || r.On.Kind != access.KindCluster}, nil
}

// Metrics are for who may read them, need no leader, and are no route where there are none.
func TestMetricsNeedPermission(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "broker_x 1\n") })
	kit := apitest.Start(t, func(c *api.Config) { c.Metrics = handler })
	url, cluster := kit.Follower(t, "n2", nil)
	cluster.SetLeader("")
	if got := ask(t, url, "GET", "/metrics", ""); got.status != 200 || got.text != "broker_x 1\n" {
		t.Errorf("at a follower without a leader: %d %s", got.status, got.text)
	}
	if got := ask(t, kit.URL, "GET", "/metrics", "", "Authorization", ""); got.status != 401 {
		t.Errorf("without a token: %d", got.status)
	}
	if got := ask(t, kit.URL, "POST", "/metrics", ""); got.status != 405 {
		t.Errorf("POST: %d", got.status)
	}
	denied, _ := kit.Follower(t, "n3", func(c *api.Config) { c.Authorizer = withoutMetrics{} })
	if got := ask(t, denied, "GET", "/metrics", ""); got.status != 403 {
		t.Errorf("without permission: %d %s", got.status, got.text)
	}
	none, _ := kit.Follower(t, "n4", func(c *api.Config) { c.Metrics = nil })
	if got := ask(t, none, "GET", "/metrics", ""); got.status != 404 {
		t.Errorf("without metrics: %d", got.status)
	}
}

// A node is ready when it has what the leader had committed.
func TestReadyMeansCaughtUp(t *testing.T) {
	kit := apitest.Start(t, nil)
	behind := make(chan error, 1)
	url, _ := kit.Follower(t, "n2", func(c *api.Config) { c.Cluster = lagging{c.Cluster, behind} })
	behind <- errors.New("still catching up")
	if got := ask(t, url, "GET", "/readyz", "", "Authorization", ""); got.status != 503 || !strings.Contains(got.text, "catching up") {
		t.Errorf("behind the leader: %d %s", got.status, got.text)
	}
	behind <- nil
	if got := ask(t, url, "GET", "/readyz", "", "Authorization", ""); got.status != 200 {
		t.Errorf("caught up: %d %s", got.status, got.text)
	}
}

// lagging is a cluster whose node is ready when a test says so.
type lagging struct {
	api.Cluster
	result chan error
}

func (l lagging) Ready() error { return <-l.result }

// One request has one id, in the logs of both nodes and in the answer, and one trace.
func TestOneRequestHasOneIDAndOneTrace(t *testing.T) {
	var logs [2]bytes.Buffer
	var exporters [2]*tracetest.InMemoryExporter
	observed := func(i int) func(*api.Config) {
		exporters[i] = tracetest.NewInMemoryExporter()
		provider := trace.NewTracerProvider(trace.WithSyncer(exporters[i]))
		return func(c *api.Config) {
			c.Logger, c.Tracer = slog.New(slog.NewJSONHandler(&logs[i], nil)), provider.Tracer("api")
		}
	}
	kit := apitest.Start(t, observed(0))
	furnish(t, kit)
	url, _ := kit.Follower(t, "n2", observed(1))
	logs[0].Reset()
	exporters[0].Reset()
	got := ask(t, url, "POST", issuePath, `{"ttl":"2h"}`, "Broker-Request-Id", "mine",
		"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate", "vendor=canary")
	id := got.header.Get("Broker-Request-Id")
	if id == "" || id == "mine" || got.json["instance"] != "urn:broker:request:"+id {
		t.Errorf("the id %q in the header, %q in the problem", id, got.json["instance"])
	}
	for i, node := range []string{"leader", "follower"} {
		var line struct {
			RequestID string `json:"request_id"`
			TraceID   string `json:"trace_id"`
		}
		if err := json.Unmarshal(bytes.TrimSpace(logs[i].Bytes()), &line); err != nil || line.RequestID != id || line.TraceID != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("the %s logged %s: %v", node, logs[i].String(), err)
		}
	}
	parent := "b7ad6b7169203331"
	for i, want := range []struct {
		exporter int
		name     string
	}{{1, "POST /api/v1/environments/{app}/{env}/secrets/{name}/leases"}, {1, "forward"}, {0, "POST /api/v1/environments/{app}/{env}/secrets/{name}/leases"}} {
		for _, span := range exporters[want.exporter].GetSpans() {
			if span.Name != want.name {
				continue
			}
			if span.Parent.SpanID().String() != parent || span.SpanContext.TraceState().Len() > 0 {
				t.Errorf("span %d, %s, has the parent %s, not %s", i, span.Name, span.Parent.SpanID(), parent)
			}
			parent = span.SpanContext.SpanID().String()
			break
		}
	}
	if n, m := len(exporters[0].GetSpans()), len(exporters[1].GetSpans()); n != 1 || m != 2 {
		t.Errorf("%d spans of the leader, %d of the follower; want 1 and 2", n, m)
	}
}
