package main

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"broker/api/client"
	"broker/api/types"
	"broker/cluster/trust"
	"broker/providers/postgres/postgrestest"
)

// notHere are metrics of what this cluster was not told to do.
var notHere = map[string]bool{
	"broker_snapshot_timestamp_seconds": true, "broker_audit_syslog_backlog_records": true, "broker_audit_syslog_lost_records_total": true,
}

// watchedCluster is three nodes in this process with everything that shows how they do.
type watchedCluster struct {
	t        *testing.T
	nodes    []*node
	leader   *node
	follower *node
	client   *client.Client // of the follower
	traces   *tracetest.InMemoryExporter
}

func mustWatchedCluster(t *testing.T) *watchedCluster {
	t.Helper()
	w := &watchedCluster{t: t, traces: tracetest.NewInMemoryExporter()}
	provider := sdk.NewTracerProvider(sdk.WithSyncer(w.traces))
	o := devOptions{nodes: 3, dataDir: t.TempDir(), logLevel: "error", tracer: provider.Tracer("broker")}
	var err error
	w.nodes, err = startDevNodes(t.Context(), o, slog.New(slog.DiscardHandler), io.Discard)
	t.Cleanup(func() {
		for _, n := range w.nodes {
			n.stop()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range w.nodes {
		if n.broker.Leading() {
			w.leader = n
		} else {
			w.follower = n
		}
	}
	w.client, err = client.New(client.Config{Addresses: []string{w.follower.url}, Token: w.nodes[0].adminToken})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	return w
}

// furnish makes a secret at a real database.
func (w *watchedCluster) furnish() {
	w.t.Helper()
	pg := postgrestest.Start(w.t)
	password := pg.MustPrepare(w.t)
	hour := types.Duration(time.Hour)
	_, err := w.client.CreateEnvironment(w.t.Context(), types.EnvironmentSpec{Name: "payments/production"})
	if err == nil {
		_, err = w.client.CreateConnection(w.t.Context(), types.ConnectionSpec{
			Name: "orders-db", Provider: "postgres", Environments: []string{"payments/*"},
			Settings: map[string]any{
				"host": "127.0.0.1", "port": pg.Port, "database": postgrestest.Database, "username": postgrestest.RootName, "password": password,
			},
		})
	}
	if err == nil {
		_, err = w.client.CreateSecret(w.t.Context(), "payments/production", types.SecretSpec{
			Name: "orders-ro", Connection: "orders-db", MaxTTL: &hour, Options: map[string]any{"member_of": []string{postgrestest.ReadRole}},
		})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *watchedCluster) mustIssue(ttl time.Duration) types.Issued {
	w.t.Helper()
	length := types.Duration(ttl)
	issued, err := w.client.IssueLease(w.t.Context(), "payments/production/orders-ro", types.IssueSpec{TTL: &length, Name: "canary-name"})
	if err != nil {
		w.t.Fatal(err)
	}
	return issued
}

// TestWatchedCluster lives a lease's life in a cluster and looks at what it shows.
func TestWatchedCluster(t *testing.T) {
	w := mustWatchedCluster(t)
	w.furnish()
	w.traces.Reset()
	kept := w.mustIssue(time.Hour)
	w.wantOneTrace(kept)
	short := w.mustIssue(time.Second)
	hour := types.Duration(time.Minute)
	revoked := w.mustIssue(time.Minute)
	if _, err := w.client.RenewLease(t.Context(), revoked.Lease.ID, types.RenewSpec{TTL: &hour}); err != nil {
		t.Error(err)
	}
	if _, err := w.client.RevokeLease(t.Context(), revoked.Lease.ID, types.RevokeSpec{}); err != nil {
		t.Error(err)
	}
	if _, err := w.client.Sweep(t.Context(), "orders-db"); err != nil {
		t.Error(err)
	}
	eventually(t, "the short lease to expire", func() bool {
		l, err := w.client.GetLease(t.Context(), short.Lease.ID)
		return err == nil && l.State == "expired"
	})
	served := w.served()
	t.Run("every metric is documented", func(t *testing.T) { wantDocumented(t, served) })
	t.Run("no label tells whose lease it is", func(t *testing.T) {
		w.wantNoLabel(t, "canary-name", "orders-ro", "admin", "payments", kept.Lease.ID, kept.Lease.Username, revoked.Lease.ID, w.nodes[0].adminToken)
	})
	t.Run("rules and dashboard name metrics that are served", func(t *testing.T) { wantServed(t, served) })
}

// served returns the types of all metrics that the nodes serve, by name.
func (w *watchedCluster) served() map[string]string {
	w.t.Helper()
	served := map[string]string{}
	for _, n := range w.nodes {
		families, err := n.metrics.Gatherer().Gather()
		if err != nil {
			w.t.Fatal(err)
		}
		for _, f := range families {
			served[f.GetName()] = strings.ToLower(f.GetType().String())
		}
	}
	return served
}

// wantNoLabel looks through the labels of all nodes.
func (w *watchedCluster) wantNoLabel(t *testing.T, canaries ...string) {
	for _, n := range w.nodes {
		families, err := n.metrics.Gatherer().Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, one := range f.GetMetric() {
				for _, label := range one.GetLabel() {
					for _, canary := range canaries {
						if strings.Contains(label.GetValue(), canary) {
							t.Errorf("%s has the label %s=%q", f.GetName(), label.GetName(), label.GetValue())
						}
					}
				}
			}
		}
	}
}

// wantDocumented compares with the table of metrics, in both directions.
func wantDocumented(t *testing.T, served map[string]string) {
	text := mustRead(t, "../../telemetry/METRICS.md")
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(broker_\\w+)` \\| (\\w+) \\|").FindAllStringSubmatch(text, -1) {
		documented[row[1]] = row[2]
	}
	for name, kind := range served {
		if strings.HasPrefix(name, "broker_") && documented[name] != kind {
			t.Errorf("%s is served as %s and documented as %q", name, kind, documented[name])
		}
	}
	for name := range documented {
		if served[name] == "" && !notHere[name] {
			t.Errorf("%s is documented and not served", name)
		}
	}
	for name := range notHere {
		if served[name] != "" {
			t.Errorf("%s is served here: take it from notHere", name)
		}
	}
}

// wantServed looks for the names that alert rules and dashboard use.
func wantServed(t *testing.T, served map[string]string) {
	for _, path := range []string{"../../deploy/prometheus/alerts.yml", "../../deploy/grafana/broker.json"} {
		names := regexp.MustCompile(`\b(broker|go|process)_[a-z0-9_]+`).FindAllString(mustRead(t, path), -1)
		slices.Sort(names)
		names = slices.Compact(names)
		if len(names) < 20 {
			t.Errorf("%s names %d metrics only", path, len(names))
		}
		for _, name := range names {
			of := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			if served[name] == "" && served[of] != "histogram" && !notHere[name] {
				t.Errorf("%s uses %s, which no node serves", path, name)
			}
		}
	}
}

// wantOneTrace waits for the trace of an issue through the follower: the client's request, forwarded to the
// leader, into the log, to the database, into the log. Nothing in it tells whose lease it is.
func (w *watchedCluster) wantOneTrace(issued types.Issued) {
	w.t.Helper()
	const route = "POST /api/v1/environments/{app}/{env}/secrets/{name}/leases"
	want := []string{"forward", "provider create", "raft propose ActivateLease", "raft propose PrepareLease", route + " at " + w.follower.config.NodeID, route + " at " + w.leader.config.NodeID}
	slices.Sort(want)
	var got []string
	var spans tracetest.SpanStubs
	eventually(w.t, "the trace", func() bool {
		spans, got = w.traces.GetSpans(), nil
		for _, s := range spans {
			got = append(got, title(s))
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	}, func() { w.t.Errorf("the trace has the spans %q, want %q", got, want) })
	parents := map[string]string{ // by title
		"forward":                               route + " at " + w.follower.config.NodeID,
		route + " at " + w.leader.config.NodeID: "forward",
		"raft propose PrepareLease":             route + " at " + w.leader.config.NodeID,
		"provider create":                       route + " at " + w.leader.config.NodeID,
		"raft propose ActivateLease":            route + " at " + w.leader.config.NodeID,
	}
	byID := map[string]string{}
	for _, s := range spans {
		byID[s.SpanContext.SpanID().String()] = title(s)
	}
	secrets := []string{issued.Lease.ID, issued.Lease.Username, "canary-name", w.nodes[0].adminToken}
	for _, s := range spans {
		if s.SpanContext.TraceID() != spans[0].SpanContext.TraceID() {
			w.t.Errorf("%s is in a trace of its own", title(s))
		}
		if parent := byID[s.Parent.SpanID().String()]; parent != parents[title(s)] {
			w.t.Errorf("%s is part of %q, want %q", title(s), parent, parents[title(s)])
		}
		for _, attribute := range s.Attributes {
			for _, secret := range secrets {
				if strings.Contains(attribute.Value.String(), secret) {
					w.t.Errorf("%s tells %s", title(s), attribute.Key)
				}
			}
		}
	}
}

// title names a span with what tells it from others of its kind.
func title(s tracetest.SpanStub) string {
	for _, attribute := range s.Attributes {
		switch attribute.Key {
		case "broker.command":
			return s.Name + " " + attribute.Value.String()
		case "broker.node":
			return s.Name + " at " + attribute.Value.String()
		}
	}
	return s.Name
}

// Metrics have an address of their own when one is given: nothing else is there, and no token is asked for.
func TestMetricsListen(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "broker_x 1\n") })
	log := slog.New(slog.DiscardHandler)
	if server, err := serveMetrics("", handler, log); server != nil || err != nil {
		t.Errorf("without an address: %v, %v", server, err)
	}
	server, err := serveMetrics(address, handler, log)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for path, want := range map[string]int{"/metrics": 200, "/": 404, "/api/v1/leases": 404, "/debug/pprof/": 404} {
		answer, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, answer.Status, want)
		}
	}
	if _, err := serveMetrics(address, handler, log); err == nil {
		t.Error("two servers at one address")
	}
}

// The API's certificate may be another than the one for the nodes, and end at another time.
func TestCertificatesEndAt(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	n := &node{identity: &trust.Identity{}}
	if ends := n.certificatesEndAt(); len(ends) > 0 {
		t.Errorf("a node without certificates: %v", ends)
	}
	n.apiCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &server.TLS.Certificates[0], nil }
	if ends := n.certificatesEndAt(); len(ends) != 1 || !ends["api"].Equal(server.Certificate().NotAfter) {
		t.Errorf("with a certificate of the API: %v", ends)
	}
	n.apiCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none yet") }
	if ends := n.certificatesEndAt(); len(ends) > 0 {
		t.Errorf("before the node has one: %v", ends)
	}
}

// Only who says so shows metrics to other machines.
func TestMetricsExposed(t *testing.T) {
	for _, c := range []struct {
		listen  string
		exposed bool
		allowed bool
	}{
		{"", false, true}, {"127.0.0.1:9464", false, true}, {"[::1]:9464", false, true}, {"localhost:9464", false, true},
		{"0.0.0.0:9464", false, false}, {":9464", false, false}, {"10.0.0.1:9464", false, false}, {"10.0.0.1:9464", true, true}, {"10.0.0.1", true, false},
	} {
		if err := (config{MetricsListen: c.listen, MetricsExposed: c.exposed}).checkMetrics(); (err == nil) != c.allowed {
			t.Errorf("%q, exposed %t: %v", c.listen, c.exposed, err)
		}
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// eventually polls until the condition holds; otherwise it says so, with what else there is to say.
func eventually(t *testing.T, what string, holds func() bool, otherwise ...func()) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(errors.New("the test is over"))
		}
		if time.Now().After(deadline) {
			for _, say := range otherwise {
				say()
			}
			t.Fatalf("never came: %s", what)
		}
	}
}
