package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"broker/api"
	"broker/api/front"
	"broker/broker"
	"broker/cluster"
	"broker/fsm"
	"broker/providers"
	"broker/telemetry"
)

// observe makes what measures the node, and what sends its traces if somebody wants them. The node's parts are
// made later: they are asked when there is something to show.
func (n *node) observe(ctx context.Context, registry *providers.Registry) (err error) {
	n.metrics, err = telemetry.New(telemetry.Config{
		NodeID: n.config.NodeID, Version: version, Providers: registry.Names(),
		Status:  func() cluster.Status { return n.cluster.Status() },
		View:    func(read func(*fsm.View) error) error { return n.state.View(read) },
		Figures: func() (broker.Figures, bool) { return n.broker.Figures() },

		FeatureLevel:      func() (uint64, bool) { return n.state.FeatureLevel(), true },
		Streams:           func() int { return n.server.Streams() },
		Connections:       func() (int, front.Refused) { return n.front.Open() },
		Limited:           func() api.Limited { return n.server.Limited() },
		CertificatesEndAt: n.certificatesEndAt,
		SnapshotAt:        n.snapshotAt,

		Audit: n.auditFigures,
	})
	if err != nil {
		return err
	}
	n.tracer = n.config.tracer
	if n.tracer != nil {
		return nil
	}
	n.tracing, err = telemetry.NewTracing(ctx, telemetry.TracingConfig{
		Endpoint: n.config.OTLPEndpoint, NodeID: n.config.NodeID, Version: version, Getenv: os.Getenv, Logger: n.log,
	})
	if err != nil {
		return usageError{err}
	}
	if n.tracing != nil {
		n.tracer = n.tracing.Tracer()
	}
	return nil
}

// certificatesEndAt tells until when the certificates are valid that this node shows.
func (n *node) certificatesEndAt() map[string]time.Time {
	ends := map[string]time.Time{}
	if at := n.identity.ExpiresAt(); !at.IsZero() {
		ends["cluster"] = at
	}
	if n.apiCertificate == nil {
		return ends
	}
	certificate, err := n.apiCertificate(nil)
	if err != nil || len(certificate.Certificate) == 0 {
		return ends
	}
	if leaf, err := x509.ParseCertificate(certificate.Certificate[0]); err == nil {
		ends["api"] = leaf.NotAfter
	}
	return ends
}

// serveMetrics serves metrics at an address of their own, without a token. An empty address is no server.
func serveMetrics(address string, metrics http.Handler, log *slog.Logger) (*http.Server, error) {
	if address == "" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	log.Info("serving metrics to whoever reaches this address", "address", listener.Addr().String())
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Warn("serving metrics ended", "error", err)
		}
	}()
	return server, nil
}

// stopObserving ends what observe and serveMetrics began.
func (n *node) stopObserving(ctx context.Context) {
	if n.metricsServer != nil {
		if err := n.metricsServer.Close(); err != nil {
			n.log.Warn("closing the metrics", "error", err)
		}
	}
	if n.tracing != nil {
		if err := n.tracing.Shutdown(ctx); err != nil {
			n.log.Warn("sending the last traces", "error", err)
		}
	}
}
