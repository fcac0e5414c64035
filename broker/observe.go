package broker

import (
	"errors"
	"time"

	"broker/fsm"
	"broker/providers"
)

// Observer hears how the leader's work goes, for metrics. Its methods are called on the way of requests, by
// many goroutines: they are quick and call nothing of the broker.
type Observer interface {
	// LeaseAsked tells of a request about a lease that was answered, dry runs apart. The provider is empty
	// when the request did not get as far as a connection.
	LeaseAsked(verb Verb, provider string, outcome Outcome, took time.Duration)

	// LeaseRemoved tells that a lease's end is recorded, and how long after it began.
	LeaseRemoved(provider string, cause fsm.Cause, took time.Duration)

	// ExpiryBegan and ExpiryEnded tell how long after its end an expired lease began to be removed, and how
	// long after it that was recorded.
	ExpiryBegan(late time.Duration)
	ExpiryEnded(late time.Duration)

	// ProviderCalled tells of a call of an outside system.
	ProviderCalled(call Call, provider string, outcome Outcome, took time.Duration)
}

// Verb is what a request wants of a lease.
type Verb string

// The verbs that are observed.
const (
	VerbIssue  Verb = "issue"
	VerbRenew  Verb = "renew"
	VerbRevoke Verb = "revoke"
)

// Outcome says in a word how something went.
type Outcome string

// The outcomes.
const (
	OutcomeOK          Outcome = "ok"
	OutcomeUnfinished  Outcome = "unfinished"  // a revoke that goes on after its answer
	OutcomeRefused     Outcome = "refused"     // by the ledger's rules or the outside system: the same again would be too
	OutcomeUnavailable Outcome = "unavailable" // the outside system is away, busy or paused
	OutcomeUnknown     Outcome = "unknown"     // it may or may not have been done
	OutcomeNotLeader   Outcome = "not_leader"  // leadership was lost; nothing was done
	OutcomeFailed      Outcome = "failed"      // given up by the client, or an error of the broker's own
)

// outcomeOf judges an error of this package.
func outcomeOf(err error) Outcome {
	if err == nil {
		return OutcomeOK
	}
	var (
		unavailable *UnavailableError
		refusal     *fsm.Refusal
		wrong       *InvalidError
	)
	switch {
	case errors.Is(err, ErrOutcomeUnknown):
		return OutcomeUnknown
	case errors.Is(err, ErrNotLeader):
		return OutcomeNotLeader
	case errors.As(err, &unavailable):
		return OutcomeUnavailable
	case errors.As(err, &wrong):
		return OutcomeRefused
	case !errors.As(err, &refusal):
		return OutcomeFailed
	}
	switch refusal.Code {
	case CodeConnectionBusy, fsm.CodeConnectionPaused, fsm.CodeClockStepRefused:
		return OutcomeUnavailable
	}
	return OutcomeRefused
}

// answered judges an error of a provider.
func answered(err error) Outcome {
	if err == nil {
		return OutcomeOK
	}
	switch classify(err).Kind {
	case providers.KindUnavailable:
		return OutcomeUnavailable
	case providers.KindUnknown:
		return OutcomeUnknown
	}
	return OutcomeRefused
}

// issueAsked tells the observer of a request for a lease.
func (b *Broker) issueAsked(spec IssueSpec, req Request, err error, began time.Time) {
	if b.Observer != nil {
		b.asked(VerbIssue, b.connectionOf(spec.Secret), req, outcomeOf(err), began)
	}
}

// revokeAsked tells the observer of a request to end a lease.
func (b *Broker) revokeAsked(lease fsm.Lease, req Request, err error, began time.Time) {
	outcome := outcomeOf(err)
	if err == nil && lease.State == fsm.Revoking {
		outcome = OutcomeUnfinished
	}
	b.asked(VerbRevoke, lease.Connection, req, outcome, began)
}

// asked tells the observer of a request about a lease.
func (b *Broker) asked(verb Verb, connection fsm.ConnectionName, req Request, outcome Outcome, began time.Time) {
	if b.Observer != nil && !req.DryRun {
		b.Observer.LeaseAsked(verb, b.providerOf(connection), outcome, time.Since(began))
	}
}

// removed tells the observer of leases of one connection whose end is recorded.
func (b *Broker) removed(list []fsm.Lease) {
	if b.Observer == nil || len(list) == 0 {
		return
	}
	provider := b.providerOf(list[0].Connection)
	for _, l := range list {
		b.Observer.LeaseRemoved(provider, l.Cause, l.EndedAt.Sub(l.RevokingAt))
		if l.Cause == fsm.CauseExpire {
			b.Observer.ExpiryEnded(l.EndedAt.Sub(l.ExpiresAt))
		}
	}
}

// expiring tells the observer of leases whose end began.
func (b *Broker) expiring(list []fsm.Lease) {
	if b.Observer == nil {
		return
	}
	for _, l := range list {
		if l.Cause == fsm.CauseExpire {
			b.Observer.ExpiryBegan(l.RevokingAt.Sub(l.ExpiresAt))
		}
	}
}

// providerOf names the provider of a connection; empty when there is no such connection.
func (b *Broker) providerOf(name fsm.ConnectionName) string {
	if name == "" {
		return ""
	}
	c, _, err := recall(b, name, func(v *fsm.View) (fsm.Connection, bool) { return v.Connection(name) })
	if err != nil {
		return ""
	}
	return c.Provider
}

// connectionOf names the connection of a secret; empty when there is no such secret.
func (b *Broker) connectionOf(name fsm.SecretName) fsm.ConnectionName {
	s, _, err := recall(b, name, func(v *fsm.View) (fsm.Secret, bool) { return v.Secret(name) })
	if err != nil {
		return ""
	}
	return s.Connection
}
