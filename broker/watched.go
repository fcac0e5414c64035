package broker

import (
	"context"
	"iter"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"broker/fsm"
	"broker/providers"
)

// Call is a call of an outside system.
type Call string

// The calls.
const (
	CallCheck         Call = "check"
	CallCheckOptions  Call = "check_options"
	CallCreate        Call = "create"
	CallRenew         Call = "renew"
	CallRevoke        Call = "revoke"
	CallConfirmAbsent Call = "confirm_absent"
	CallList          Call = "list"
	CallPlanRotation  Call = "plan_rotation"
	CallRotate        Call = "rotate"
	CallRetire        Call = "retire"
)

// watched is a backend whose calls are observed and traced.
type watched struct {
	backend    providers.Backend
	b          *Broker
	provider   string
	connection fsm.ConnectionName
	term       uint64
}

var (
	_ providers.Backend        = (*watched)(nil)
	_ providers.OptionsChecker = (*watched)(nil)
	_ providers.RootRotator    = (*watched)(nil)
)

// watchCalls has a backend's calls observed, if anybody wants to know.
func (p *period) watchCalls(backend providers.Backend, provider string, connection fsm.ConnectionName) providers.Backend {
	if p.Observer == nil && p.Tracer == nil && p.Audit == nil {
		return backend
	}
	return &watched{backend: backend, b: p.Broker, provider: provider, connection: connection, term: p.term}
}

// begin is the begin of a call about so many logins, whose names it is told too; done is its end.
func (w *watched) begin(ctx context.Context, call Call, logins int, names func() []providers.LoginName) (_ context.Context, done func(Outcome)) {
	client := ctx
	ctx, span := w.b.span(ctx, "provider "+string(call))
	if span.IsRecording() {
		span.SetAttributes(attribute.String("broker.provider", w.provider), attribute.String("broker.connection", string(w.connection)), attribute.Int("broker.logins", logins))
	}
	began := time.Now()
	return ctx, func(outcome Outcome) {
		if w.b.Observer != nil {
			w.b.Observer.ProviderCalled(call, w.provider, outcome, time.Since(began))
		}
		if w.b.Audit != nil {
			w.b.Audit.Called(client, CallRecord{
				Connection: w.connection, Provider: w.provider, Call: call, Usernames: names(), Logins: logins,
				Term: w.term, Outcome: outcome, Took: time.Since(began),
			})
		}
		finish(span, outcome)
	}
}

// nobody is whom a call is about that is about no login.
func nobody() []providers.LoginName { return nil }

func (w *watched) Check(ctx context.Context) (providers.SystemID, error) {
	ctx, done := w.begin(ctx, CallCheck, 0, nobody)
	id, err := w.backend.Check(ctx)
	done(answered(err))
	return id, err
}

func (w *watched) CheckOptions(ctx context.Context, options providers.Options) ([]providers.FieldError, error) {
	ctx, done := w.begin(ctx, CallCheckOptions, 0, nobody)
	wrong, err := providers.CheckOptions(ctx, w.backend, options)
	done(answered(err))
	return wrong, err
}

func (w *watched) PlanRotation(ctx context.Context, abandoned providers.Settings) (providers.Settings, error) {
	ctx, done := w.begin(ctx, CallPlanRotation, 0, nobody)
	plan, err := providers.PlanRotation(ctx, w.backend, abandoned)
	done(answered(err))
	return plan, err
}

func (w *watched) Rotate(ctx context.Context, plan providers.Settings) (providers.Settings, error) {
	ctx, done := w.begin(ctx, CallRotate, 0, nobody)
	changed, err := providers.Rotate(ctx, w.backend, plan)
	done(answered(err))
	return changed, err
}

func (w *watched) Retire(ctx context.Context, previous providers.Settings) error {
	ctx, done := w.begin(ctx, CallRetire, 0, nobody)
	err := providers.Retire(ctx, w.backend, previous)
	done(answered(err))
	return err
}

func (w *watched) Create(ctx context.Context, grant providers.Grant) (providers.Values, error) {
	ctx, done := w.begin(ctx, CallCreate, 1, func() []providers.LoginName { return []providers.LoginName{grant.Name} })
	values, err := w.backend.Create(ctx, grant)
	done(answered(err))
	return values, err
}

func (w *watched) Renew(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	ctx, done := w.begin(ctx, CallRenew, len(logins), func() []providers.LoginName { return loginNames(logins) })
	answers := w.backend.Renew(ctx, logins)
	done(worst(answers, logins))
	return answers
}

func (w *watched) Revoke(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	ctx, done := w.begin(ctx, CallRevoke, len(logins), func() []providers.LoginName { return loginNames(logins) })
	answers := w.backend.Revoke(ctx, logins)
	done(worst(answers, logins))
	return answers
}

func (w *watched) ConfirmAbsent(ctx context.Context, logins []providers.Login, notBefore time.Time) map[providers.LoginName]error {
	ctx, done := w.begin(ctx, CallConfirmAbsent, len(logins), func() []providers.LoginName { return loginNames(logins) })
	answers := w.backend.ConfirmAbsent(ctx, logins, notBefore)
	done(worst(answers, logins))
	return answers
}

func (w *watched) List(ctx context.Context, prefix string) iter.Seq2[providers.Found, error] {
	return func(yield func(providers.Found, error) bool) {
		ctx, done := w.begin(ctx, CallList, 0, nobody)
		outcome := OutcomeOK
		defer func() { done(outcome) }()
		for found, err := range w.backend.List(ctx, prefix) {
			if err != nil {
				outcome = answered(err)
			}
			if !yield(found, err) {
				return
			}
		}
	}
}

func (w *watched) Close() error { return w.backend.Close() }

// worst judges a call about several logins by the answer that is worst; a missing one is unknown.
func worst(answers map[providers.LoginName]error, logins []providers.Login) Outcome {
	rank := map[Outcome]int{OutcomeRefused: 1, OutcomeUnavailable: 2, OutcomeUnknown: 3}
	all := OutcomeOK
	for _, l := range logins {
		one := OutcomeUnknown
		if err, ok := answers[l.Name]; ok {
			one = answered(err)
		}
		if rank[one] > rank[all] {
			all = one
		}
	}
	return all
}

// noSpan stands where nothing is traced.
var noSpan = trace.SpanFromContext(context.Background())

// span begins a part of a request's trace; finish ends it. What the broker does by itself is no trace: an
// idle leader would begin four a minute.
func (b *Broker) span(ctx context.Context, name string) (context.Context, trace.Span) {
	if b.Tracer == nil || !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, noSpan
	}
	return b.Tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
}

// finish ends a span with how it went. The text of an error may quote what is nobody's business.
func finish(span trace.Span, outcome Outcome) {
	if span.IsRecording() && outcome != OutcomeOK {
		span.SetStatus(codes.Error, string(outcome))
	}
	span.End()
}
