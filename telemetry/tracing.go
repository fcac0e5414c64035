package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// TracingConfig says where traces go to. The OTEL_ variables that all programs have in common count too.
type TracingConfig struct {
	// Endpoint is the URL of a collector that takes OTLP over HTTP. Empty: what
	// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT says, and without them there are no
	// traces.
	Endpoint string

	NodeID  string
	Version string // of the program

	// Getenv reads a variable. Required.
	Getenv func(string) string

	// Logger hears, once a minute at the most, that traces could not be sent. Required.
	Logger *slog.Logger
}

// Tracing sends traces to a collector, in the background: what it cannot send in time is lost, and nobody
// waits for it.
type Tracing struct{ provider *sdk.TracerProvider }

// tracesPath is where collectors take traces, when a URL names a host only.
const tracesPath = "/v1/traces"

// NewTracing returns what sends traces, or nil when none are wanted. It sends nothing yet.
func NewTracing(ctx context.Context, c TracingConfig) (*Tracing, error) {
	endpoint, err := c.endpoint()
	if err != nil || endpoint == nil {
		return nil, err
	}
	var options []otlptracehttp.Option
	if c.Endpoint != "" {
		if strings.Trim(endpoint.Path, "/") == "" {
			endpoint.Path = tracesPath
		}
		options = append(options, otlptracehttp.WithEndpointURL(endpoint.String()))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("preparing to send traces: %w", err)
	}
	about, err := resource.Merge(resource.NewSchemaless(
		attribute.String("service.name", "brokerd"), attribute.String("service.version", c.Version), attribute.String("service.instance.id", c.NodeID),
	), resource.Environment())
	if err != nil {
		return nil, fmt.Errorf("preparing to send traces: %w", err)
	}
	otel.SetErrorHandler(seldom(c.Logger)) // there is one for the process
	return &Tracing{sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))}, nil
}

// Tracer returns what begins traces.
func (t *Tracing) Tracer() trace.Tracer { return t.provider.Tracer("broker") }

// Shutdown sends what is not sent yet.
func (t *Tracing) Shutdown(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// endpoint returns where traces go to; nil: nowhere.
func (c TracingConfig) endpoint() (*url.URL, error) {
	name, text := "otlp_endpoint", c.Endpoint
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		if text == "" {
			name, text = variable, c.Getenv(variable)
		}
	}
	if text == "" || strings.EqualFold(c.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	switch exporter := c.Getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "", "otlp":
	case "none":
		return nil, nil
	default:
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is neither otlp nor none", exporter)
	}
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := c.Getenv(variable); protocol != "" && protocol != "http/protobuf" {
			return nil, fmt.Errorf("%s: %q is not possible: traces are sent by http/protobuf, usually to port 4318", variable, protocol)
		}
	}
	target, err := url.Parse(text)
	switch {
	case err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https":
		return nil, fmt.Errorf("%s: give a URL such as https://collector.example:4318", name) // the text may hold a password
	case target.User != nil:
		return nil, fmt.Errorf("%s: a URL is no place for a password: give it as a header in OTEL_EXPORTER_OTLP_HEADERS", name)
	case !loopback(target.Hostname()) && (target.Scheme == "http" || c.insecure()):
		return nil, fmt.Errorf("%s: traces leave this machine encrypted only: give an https URL, or a collector on loopback", name)
	}
	return target, nil
}

func (c TracingConfig) insecure() bool {
	return strings.EqualFold(c.Getenv("OTEL_EXPORTER_OTLP_TRACES_INSECURE"), "true") || strings.EqualFold(c.Getenv("OTEL_EXPORTER_OTLP_INSECURE"), "true")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// seldom logs an error a minute at the most: a collector that is away is tried every few seconds.
func seldom(log *slog.Logger) otel.ErrorHandlerFunc {
	var last atomic.Int64
	return func(err error) {
		now, before := time.Now().Unix(), last.Load()
		if now-before >= 60 && last.CompareAndSwap(before, now) {
			log.Warn("traces could not be sent", "error", err)
		}
	}
}
