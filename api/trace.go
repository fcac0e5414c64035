package api

import (
	"context"
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traceContext carries a trace from a client, and from node to node, in the header traceparent.
var traceContext propagation.TraceContext

// trace makes the request a part of the trace that its sender began, or of a new one. What the span says
// are names and numbers: never a value, a path with ids or the text of an error.
func (s *Server) trace(next http.Handler) http.Handler {
	if s.config.Tracer == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r.Context())
		ctx, span := s.config.Tracer.Start(incoming(r), "request", trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
		if !span.IsRecording() {
			return
		}
		if c.route != "" {
			span.SetName(c.method + " " + c.route)
		}
		span.SetAttributes(
			attribute.String("http.request.method", c.method), attribute.String("http.route", c.route),
			attribute.Int("http.response.status_code", c.status),
			attribute.String("broker.request_id", c.id), attribute.String("broker.node", s.config.Cluster.NodeID()),
		)
		if c.code != "" {
			span.SetAttributes(attribute.String("broker.code", c.code))
		}
		if c.status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, c.code)
		}
	})
}

// incoming returns the request's context with the trace that its sender names. Of what the sender says only
// the ids are taken: a tracestate could hold anything, and would be passed on.
func incoming(r *http.Request) context.Context {
	ctx := traceContext.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	if from := trace.SpanContextFromContext(ctx); from.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, from.WithTraceState(trace.TraceState{}))
	}
	return ctx
}

// traceForward makes a try to forward a part of the request's trace. The header tells the leader.
func (s *Server) traceForward(ctx context.Context, header http.Header) (_ context.Context, done func(ForwardOutcome)) {
	if s.config.Tracer == nil {
		return ctx, func(ForwardOutcome) {}
	}
	ctx, span := s.config.Tracer.Start(ctx, "forward", trace.WithSpanKind(trace.SpanKindClient))
	header.Del("Tracestate")
	traceContext.Inject(ctx, propagation.HeaderCarrier(header))
	return ctx, func(outcome ForwardOutcome) {
		if outcome != ForwardAnswered {
			span.SetStatus(codes.Error, string(outcome))
		}
		span.End()
	}
}

// RequestID returns the id of the request that a context belongs to; empty when it belongs to none.
func RequestID(ctx context.Context) string {
	if c := callOf(ctx); c != nil {
		return c.id
	}
	return ""
}

// RequestIDs returns a handler that adds the request's id, and the trace's if there is one, to whatever is
// logged with a request's context.
func RequestIDs(inner slog.Handler) slog.Handler { return requestIDs{inner} }

type requestIDs struct{ slog.Handler }

// Handle adds the ids.
func (h requestIDs) Handle(ctx context.Context, record slog.Record) error {
	if c := callOf(ctx); c != nil {
		record = record.Clone()
		record.AddAttrs(slog.String("request_id", c.id))
		if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
			record.AddAttrs(slog.String("trace_id", span.TraceID().String()))
		}
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs returns a handler whose records have the attributes too.
func (h requestIDs) WithAttrs(attributes []slog.Attr) slog.Handler {
	return requestIDs{h.Handler.WithAttrs(attributes)}
}

// WithGroup returns a handler whose attributes are in a group.
func (h requestIDs) WithGroup(name string) slog.Handler { return requestIDs{h.Handler.WithGroup(name)} }
