package telemetry_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"broker/telemetry"
)

// tracing makes a TracingConfig with variables in turn as name and value.
func tracing(endpoint string, variables ...string) telemetry.TracingConfig {
	return telemetry.TracingConfig{
		Endpoint: endpoint, NodeID: "n1", Version: "v1", Logger: slog.New(slog.DiscardHandler),
		Getenv: func(name string) string {
			for i := 0; i < len(variables); i += 2 {
				if variables[i] == name {
					return variables[i+1]
				}
			}
			return ""
		},
	}
}

// Traces are off unless somebody says where they go to; what they cannot go to is told by name.
func TestWhereTracesGo(t *testing.T) {
	for name, c := range map[string]struct {
		config telemetry.TracingConfig
		on     bool
		says   string
	}{
		"nothing said":            {tracing(""), false, ""},
		"an option":               {tracing("http://127.0.0.1:4318"), true, ""},
		"localhost":               {tracing("http://localhost:4318"), true, ""},
		"elsewhere, encrypted":    {tracing("https://collector.example:4318"), true, ""},
		"the variable":            {tracing("", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"), true, ""},
		"the variable for traces": {tracing("", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/v1/traces"), true, ""},
		"switched off":            {tracing("http://127.0.0.1:4318", "OTEL_SDK_DISABLED", "true"), false, ""},
		"no exporter":             {tracing("http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER", "none"), false, ""},
		"another exporter":        {tracing("http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER", "zipkin"), false, "OTEL_TRACES_EXPORTER"},
		"another protocol":        {tracing("http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), false, "http/protobuf"},
		"no URL":                  {tracing("collector:4318"), false, "otlp_endpoint"},
		"no URL in the variable":  {tracing("", "OTEL_EXPORTER_OTLP_ENDPOINT", "collector"), false, "OTEL_EXPORTER_OTLP_ENDPOINT"},
		"elsewhere in clear":      {tracing("http://collector.example:4318"), false, "encrypted only"},
		"elsewhere, insecure":     {tracing("https://collector.example:4318", "OTEL_EXPORTER_OTLP_INSECURE", "true"), false, "encrypted only"},
		"a password in the URL":   {tracing("https://me:canary@collector.example"), false, "OTEL_EXPORTER_OTLP_HEADERS"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := telemetry.NewTracing(t.Context(), c.config)
			if got != nil {
				defer func() { _ = got.Shutdown(context.Background()) }() // there is nothing to send
			}
			if (got != nil) != c.on || (err != nil) != (c.says != "") {
				t.Fatalf("tracing: %t, %v", got != nil, err)
			}
			if err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "canary")) {
				t.Errorf("says %q, want %q", err, c.says)
			}
		})
	}
}

// What was traced reaches a collector over HTTP, with the name of the program and of the node.
func TestTracesReachACollector(t *testing.T) {
	received := make(chan []byte, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil && r.URL.Path == "/v1/traces" {
			received <- body
		}
	}))
	defer collector.Close()
	tracer, err := telemetry.NewTracing(t.Context(), tracing(collector.URL))
	if err != nil {
		t.Fatal(err)
	}
	_, span := tracer.Tracer().Start(t.Context(), "a span of a test")
	span.End()
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case body := <-received:
		for _, want := range []string{"a span of a test", "brokerd", "n1", "v1"} {
			if !bytes.Contains(body, []byte(want)) {
				t.Errorf("what the collector got does not have %q", want)
			}
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing came")
	}
}
