package broker_test

import (
	"errors"
	"testing"
	"time"

	"broker/broker"
	"broker/fsm"
	"broker/providers"
	"broker/providers/providertest"
)

func (h *house) health(name fsm.ConnectionName) broker.ConnectionHealth {
	h.t.Helper()
	list, err := h.b.Health(h.t.Context(), name)
	if err != nil || len(list) != 1 {
		h.t.Fatalf("health: %+v, %v", list, err)
	}
	return list[0]
}

// Once an outside system has failed some times in a row, requests are refused before anything is
// recorded, until a probe succeeds.
func TestBreaker(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		l := h.mustIssue(time.Hour).Lease
		for _, op := range []providertest.Op{providertest.OpCreate, providertest.OpRenew, providertest.OpRevoke, providertest.OpCheck} {
			h.fake.Fail(op, providertest.FaultUnreachable)
		}
		for range 3 {
			if _, err := h.issue(alice(), time.Hour); err == nil {
				t.Fatal("issued")
			}
		}
		leases := len(h.leases())
		for range 20 {
			var unavailable *broker.UnavailableError
			if _, err := h.issue(alice(), time.Hour); !errors.As(err, &unavailable) || unavailable.Lease != "" || unavailable.RetryAfter <= 0 {
				t.Errorf("issuing while it is open: %v", err)
			}
			if _, err := h.b.Renew(t.Context(), alice(), broker.RenewSpec{Lease: l.ID, TTL: time.Minute}); !errors.As(err, &unavailable) {
				t.Errorf("renewing while it is open: %v", err)
			}
		}
		if got := len(h.leases()); got != leases {
			t.Errorf("%d leases were recorded while it was open", got-leases)
		}
		if got := h.health("orders-db"); got.Available || got.Since.IsZero() || got.Err == "" {
			t.Errorf("health: %+v", got)
		}
		if _, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: l.ID}); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Minute)
		if got := h.lease(l.ID); got.State != fsm.Revoking || !got.Stuck || got.LastError == "" {
			t.Errorf("after three minutes: %+v", got)
		}
		if n := len(h.fake.Calls(providertest.OpRevoke)); n > 3 {
			t.Errorf("%d calls while it was open", n)
		}
		h.fake.Heal()
		h.wantState(l.ID, fsm.Revoked)
		h.eventually("available", func() bool { return h.health("orders-db").Available })
		h.mustIssue(time.Hour)
	})
}

// A system that answers "no" is there: the breaker stays closed.
func TestBreakerMindsSilenceOnly(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.fake.FailTimes(providertest.OpCreate, providertest.FaultRefuse, 10)
		for range 10 {
			if _, err := h.issue(alice(), time.Hour); refusal(err) != broker.CodeProviderRejected {
				t.Fatal(err)
			}
		}
		h.mustIssue(time.Hour)
	})
}

// A repeated request is answered though the system is down: nothing needs to be called.
func TestRepeatsAreAnsweredWhileOpen(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		first, err := h.issue(keyed("k"), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		h.fake.Fail(providertest.OpCreate, providertest.FaultUnreachable)
		h.fake.Fail(providertest.OpCheck, providertest.FaultUnreachable)
		for range 4 {
			if _, err := h.issue(alice(), time.Hour); err == nil {
				t.Fatal("issued")
			}
		}
		again, err := h.issue(keyed("k"), time.Hour)
		if err != nil || again.Lease.ID != first.Lease.ID {
			t.Errorf("repeating: %+v, %v", again.Lease, err)
		}
	})
}

// A repeated request whose first attempt came to nothing is a new attempt: nothing is recorded for it either.
func TestRepeatsOfFailuresAreRefusedWhileOpen(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.fake.Fail(providertest.OpCreate, providertest.FaultUnreachable)
		h.fake.Fail(providertest.OpCheck, providertest.FaultUnreachable)
		for range 4 {
			if _, err := h.issue(keyed("k"), time.Hour); err == nil {
				t.Fatal("issued")
			}
		}
		leases, calls := len(h.leases()), len(h.fake.Calls(providertest.OpCreate))
		for range 20 {
			var unavailable *broker.UnavailableError
			if _, err := h.issue(keyed("k"), time.Hour); !errors.As(err, &unavailable) || unavailable.Lease != "" {
				t.Errorf("repeating while it is open: %v", err)
			}
		}
		if more := len(h.leases()) - leases; more != 0 || len(h.fake.Calls(providertest.OpCreate)) != calls {
			t.Errorf("%d leases were recorded while it was open, %d calls made", more, len(h.fake.Calls(providertest.OpCreate))-calls)
		}
		h.fake.Heal()
		h.eventually("issued", func() bool { _, err := h.issue(keyed("k"), time.Hour); return err == nil })
	})
}

func TestPause(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		l := h.mustIssue(30 * time.Second).Lease
		h.mustConnection("other-db", "other")
		h.mustSecret("payments/production/other", "other-db", "OTHER")
		calls := len(h.fake.Calls())
		until := h.clock.now().Add(10 * time.Minute)
		if _, err := h.b.PauseConnection(t.Context(), alice(), broker.PauseSpec{Name: "orders-db", Until: until}); refusal(err) != fsm.CodeInvalid {
			t.Errorf("pausing without a reason: %v", err)
		}
		if _, err := h.b.PauseConnection(t.Context(), alice(), broker.PauseSpec{Name: "orders-db", Until: until, Reason: "upgrade"}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.issue(alice(), time.Hour); refusal(err) != fsm.CodeConnectionPaused {
			t.Errorf("issuing: %v", err)
		}
		if _, err := h.b.Renew(t.Context(), alice(), broker.RenewSpec{Lease: l.ID, TTL: time.Minute}); refusal(err) != fsm.CodeConnectionPaused {
			t.Errorf("renewing: %v", err)
		}
		pass(5 * time.Minute)
		if got := h.lease(l.ID); got.State != fsm.Revoking {
			t.Errorf("its end is not recorded: %s", got.State)
		}
		h.depose()
		h.lead(2)
		if r := h.sweepAll(); len(r) != 2 || r[0].Skipped == "" {
			t.Errorf("sweeping: %+v", r)
		}
		for _, c := range h.fake.Calls()[calls:] {
			if c.System == "main" {
				t.Errorf("called while paused: %+v", c)
			}
		}
		if _, err := h.b.Issue(t.Context(), alice(), broker.IssueSpec{Secret: "payments/production/other"}); err != nil {
			t.Errorf("another connection: %v", err)
		}
		// It ends by itself.
		h.wantState(l.ID, fsm.Expired)
		if at := h.clock.now(); at.Before(until) {
			t.Errorf("removed %s before the pause was over", until.Sub(at))
		}
		// And early, when somebody says so.
		l = h.mustIssue(30 * time.Second).Lease
		if _, err := h.b.PauseConnection(t.Context(), alice(), broker.PauseSpec{Name: "orders-db", Until: h.clock.now().Add(time.Hour), Reason: "upgrade"}); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if _, err := h.b.PauseConnection(t.Context(), alice(), broker.PauseSpec{Name: "orders-db"}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if got := h.lease(l.ID); got.State != fsm.Expired {
			t.Errorf("a second after the pause ended: %s", got.State)
		}
	})
}

func (h *house) sweepAll() []broker.SweepReport {
	h.t.Helper()
	reports, err := h.b.SweepNow(h.t.Context(), alice(), "")
	if err != nil {
		h.t.Fatal(err)
	}
	return reports
}

func TestIssueRates(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		limit := fsm.Rate{Count: 3, Per: time.Minute}
		if _, _, err := h.b.UpdateSecret(t.Context(), alice(), broker.SecretChange{Name: ordersRO, IssueRate: &limit}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			h.mustIssue(time.Hour)
		}
		_, err := h.issue(alice(), time.Hour)
		var r *fsm.Refusal
		if !errors.As(err, &r) || r.Code != broker.CodeRateLimited || r.Details["retry_after"] != "20" {
			t.Fatalf("the fourth: %v", err)
		}
		pass(20 * time.Second)
		h.mustIssue(time.Hour)
		limit = fsm.Rate{Count: 0, Per: time.Minute}
		if _, _, err := h.b.UpdateSecret(t.Context(), alice(), broker.SecretChange{Name: ordersRO, IssueRate: &limit}); refusal(err) != fsm.CodeInvalid {
			t.Errorf("half a rate: %v", err)
		}
		limit = fsm.Rate{}
		if _, _, err := h.b.UpdateSecret(t.Context(), alice(), broker.SecretChange{Name: ordersRO, IssueRate: &limit}); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			h.mustIssue(time.Hour)
		}
	})
}

// A login that somebody's lock is in the way of says nothing about its system.
func TestABlockedLoginOpensNoBreaker(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		l := h.mustIssue(time.Hour).Lease
		h.fake.Block(providers.LoginName(l.Username), "a lock")
		if _, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: l.ID}); err != nil {
			t.Fatal(err)
		}
		for range 600 {
			pass(time.Second)
			if got := h.health("orders-db"); !got.Available {
				t.Fatalf("health: %+v", got)
			}
		}
		if got := h.lease(l.ID); got.Shown(0) != "stuck" {
			t.Errorf("the lease is %s", got.Shown(0))
		}
	})
}
