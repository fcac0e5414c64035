package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what an agent tells of itself. Their labels are names.
type metrics struct {
	registry     *prometheus.Registry
	expires      *prometheus.GaugeVec
	lost         *prometheus.GaugeVec
	renewals     *prometheus.CounterVec
	replacements *prometheus.CounterVec
	failures     *prometheus.CounterVec
	writes       *prometheus.CounterVec
	writeFailed  *prometheus.CounterVec
	writtenAt    *prometheus.GaugeVec
	reloads      *prometheus.CounterVec
	readyGauge   prometheus.Gauge
	activeGauge  prometheus.Gauge

	ready  atomic.Bool
	active atomic.Bool
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	of := []string{"secret", "as"}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "broker_agent_" + name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "broker_agent_" + name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	m.expires = gauge("lease_expires_timestamp_seconds", "When the lease that is held ends unless it is renewed.", of...)
	m.lost = gauge("lease_lost", "1 while the lease is over and there is no other one.", of...)
	m.renewals = counter("renewals_total", "Leases renewed.", of...)
	m.replacements = counter("replacements_total", "Leases replaced by others.", of...)
	m.failures = counter("failures_total", "What failed: issue, renew, or lost for a lease that ended.", append(of, "what")...)
	m.writes = counter("writes_total", "Times that a file or Secret was written.", "target")
	m.writeFailed = counter("write_failures_total", "Times that a file or Secret could not be made or written.", "target")
	m.writtenAt = gauge("written_timestamp_seconds", "When a file or Secret was written last, by this process.", "target")
	m.reloads = counter("reloads_total", "Commands and signals after writing, by result: done or failed.", "result")
	m.readyGauge = gauge("ready", "1 when all that is required is written and its leases live.").WithLabelValues()
	m.activeGauge = gauge("active", "1 while this agent works, 0 while another one does.").WithLabelValues()
	return m
}

func (m *metrics) setReady(ready bool) {
	m.ready.Store(ready)
	m.readyGauge.Set(number(ready))
}

func (m *metrics) setActive(active bool) {
	m.active.Store(active)
	m.activeGauge.Set(number(active))
}

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// serve answers at an address until ctx ends.
func (m *metrics) serve(ctx context.Context, address string, log *slog.Logger) (done func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for metrics: %w", err)
	}
	log.Info("serving metrics", "url", "http://"+listener.Addr().String())
	routes := http.NewServeMux()
	routes.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	routes.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	routes.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !m.ready.Load() {
			http.Error(w, "not everything is written", http.StatusServiceUnavailable)
			return
		}
		if !m.active.Load() {
			fmt.Fprintln(w, "ready; another agent works")
			return
		}
		fmt.Fprintln(w, "ready")
	})
	server := &http.Server{Handler: routes, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return // the listener is gone; whoever asks finds out
		}
	}()
	return func() {
		_ = server.Close() // nothing that is answered there is worth waiting for
		<-ended
	}, nil
}
