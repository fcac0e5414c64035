package broker_test

import (
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"broker/broker"
	"broker/providers/providertest"
)

// A request's trace has its commands and its calls, and says of failures what kind they are and no more; what
// the leader does by itself is in none.
func TestTraces(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.depose()
		exporter := tracetest.NewInMemoryExporter()
		tracer := trace.NewTracerProvider(trace.WithSyncer(exporter)).Tracer("test")
		h.b.Tracer = tracer
		h.lead(2)
		h.mustIssue(time.Minute) // nobody traces this one
		pass(2 * time.Minute)    // nor its end
		if spans := exporter.GetSpans(); len(spans) > 0 {
			t.Errorf("%d spans without a request, the first is %q", len(spans), spans[0].Name)
		}
		h.fake.FailTimes(providertest.OpCreate, providertest.FaultUnreachable, 1)
		ctx, request := tracer.Start(t.Context(), "request")
		if _, err := h.b.Issue(ctx, alice(), broker.IssueSpec{Secret: ordersRO}); err == nil {
			t.Error("issued at a system that is down")
		}
		request.End()
		var got []string
		for _, span := range exporter.GetSpans() {
			line := span.Name
			if span.Status.Code == codes.Error {
				line += ": " + span.Status.Description
			}
			if len(span.Events) > 0 {
				t.Errorf("%s has events: %+v", span.Name, span.Events)
			}
			got = append(got, line)
		}
		if want := []string{"raft propose", "provider create: unavailable", "raft propose", "request"}; !slices.Equal(got, want) {
			t.Errorf("spans %q, want %q", got, want)
		}
	})
}
