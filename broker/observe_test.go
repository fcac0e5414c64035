package broker_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"broker/broker"
	"broker/fsm"
	"broker/providers/providertest"
)

// notes is an Observer that keeps what it hears, lengths of time apart.
type notes struct {
	mu    sync.Mutex
	heard []string
	late  []time.Duration
}

func (n *notes) note(parts ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	line := ""
	for _, p := range parts {
		line += p + " "
	}
	n.heard = append(n.heard, line[:len(line)-1])
}

func (n *notes) LeaseAsked(verb broker.Verb, provider string, outcome broker.Outcome, _ time.Duration) {
	n.note(string(verb), provider, string(outcome))
}

func (n *notes) LeaseRemoved(provider string, cause fsm.Cause, _ time.Duration) {
	n.note("removed", provider, string(cause))
}

func (n *notes) ExpiryBegan(late time.Duration) { n.lateBy(late) }
func (n *notes) ExpiryEnded(late time.Duration) { n.lateBy(late) }

func (n *notes) lateBy(late time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.late = append(n.late, late)
}

func (n *notes) ProviderCalled(call broker.Call, provider string, outcome broker.Outcome, _ time.Duration) {
	n.note("call", string(call), provider, string(outcome))
}

// take returns what was heard since it was last called, in order of the text: calls of several goroutines
// have no order.
func (n *notes) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.heard
	n.heard = nil
	slices.Sort(list)
	return list
}

// inObservedHouse is inHouse with somebody listening.
func inObservedHouse(t *testing.T, test func(t *testing.T, h *house, heard *notes)) {
	inHouse(t, func(t *testing.T, h *house) {
		h.depose()
		heard := &notes{}
		h.b.Observer = heard
		h.lead(2)
		heard.take()
		test(t, h, heard)
	})
}

func (n *notes) want(t *testing.T, what string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := n.take(); !slices.Equal(got, want) {
		t.Errorf("%s: heard %q, want %q", what, got, want)
	}
}

func TestObserver(t *testing.T) {
	inObservedHouse(t, func(t *testing.T, h *house, heard *notes) {
		first := h.mustIssue(time.Minute)
		heard.want(t, "issue", "call create fake ok", "issue fake ok")
		if _, err := h.issue(alice(), 100*time.Hour); err == nil {
			t.Error("a lease of more than the longest time was issued")
		}
		heard.want(t, "a refused issue", "issue fake refused")
		if _, err := h.b.Issue(t.Context(), alice(), broker.IssueSpec{Secret: "payments/production/nothing"}); err == nil {
			t.Error("a lease of no secret was issued")
		}
		heard.want(t, "an issue of nothing", "issue  refused")
		dry := alice()
		dry.DryRun = true
		if _, err := h.issue(dry, time.Hour); err != nil {
			t.Error(err)
		}
		heard.want(t, "a dry run")

		if _, err := h.b.Renew(t.Context(), alice(), broker.RenewSpec{Lease: first.Lease.ID, TTL: time.Minute}); err != nil {
			t.Error(err)
		}
		heard.want(t, "renew", "call renew fake ok", "renew fake ok")
		second := h.mustIssue(time.Hour)
		heard.take()
		if _, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: second.Lease.ID}); err != nil {
			t.Error(err)
		}
		heard.want(t, "revoke", "call revoke fake ok", "removed fake revoke", "revoke fake ok")

		pass(3 * time.Minute)
		h.wantState(first.Lease.ID, fsm.Expired)
		heard.want(t, "expire", "call revoke fake ok", "removed fake expire")
		if len(heard.late) != 2 || heard.late[0] < 0 || heard.late[1] < heard.late[0] || heard.late[1] > time.Second {
			t.Errorf("lateness of begin and end: %v", heard.late)
		}
	})
}

// The leader's memory in numbers: nothing where it does not lead, and what does not answer where it does.
func TestFigures(t *testing.T) {
	inObservedHouse(t, func(t *testing.T, h *house, heard *notes) {
		lease := h.mustIssue(time.Minute)
		h.mustIssue(2 * time.Hour)
		f, leads := h.b.Figures()
		if !leads || f.Wheel != 1 || !f.HorizonAt.After(h.clock.now()) || len(f.Connections) != 1 || !f.Connections[0].Available || f.Connections[0].Waiting != 0 {
			t.Errorf("leading: %+v, %t", f, leads)
		}
		heard.take()
		for _, op := range []providertest.Op{providertest.OpCreate, providertest.OpRevoke, providertest.OpCheck} {
			h.fake.Fail(op, providertest.FaultUnreachable)
		}
		for range 3 {
			if _, err := h.issue(alice(), time.Hour); err == nil {
				t.Error("a lease was issued at a system that is down")
			}
		}
		if got := heard.take(); !slices.Contains(got, "issue fake unavailable") || !slices.Contains(got, "call create fake unavailable") {
			t.Errorf("heard %q", got)
		}
		pass(2 * time.Minute)
		h.wantState(lease.Lease.ID, fsm.Revoking)
		if f, _ := h.b.Figures(); len(f.Connections) != 1 || f.Connections[0].Available || f.Connections[0].Waiting < 1 {
			t.Errorf("with a system that is down: %+v", f)
		}
		h.depose()
		if f, leads := h.b.Figures(); leads {
			t.Errorf("after the period: %+v", f)
		}
		h.fake.Heal()
	})
}
