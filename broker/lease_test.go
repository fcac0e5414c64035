package broker_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/broker"
	"broker/fsm"
	"broker/providers"
	"broker/providers/providertest"
)

func TestLifeOfALease(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		issued := h.mustIssue(30 * time.Minute)
		values := reveal(issued.Values)
		if err := h.fake.LogIn(values["DB_USER"], values["DB_PASSWORD"]); err != nil {
			t.Errorf("logging in: %v", err)
		}
		if want := "fake://" + values["DB_USER"] + ":" + values["DB_PASSWORD"] + "@main"; values["DB_URL"] != want {
			t.Errorf("DB_URL %q, want %q", values["DB_URL"], want)
		}
		if u := issued.Lease.Username; !strings.HasPrefix(u, "brk_") || !strings.Contains(u, "_orders_ro_") {
			t.Errorf("the login is called %q", u)
		}
		pass(10 * time.Minute)
		renewed, err := h.b.Renew(t.Context(), alice(), broker.RenewSpec{Lease: issued.Lease.ID, TTL: 30 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if got := renewed.ExpiresAt.Sub(issued.Lease.ExpiresAt); got != 30*time.Minute {
			t.Errorf("renewing moved the end by %s", got)
		}
		if login, _ := h.fake.Login(providers.LoginName(values["DB_USER"])); !login.ExpiresAt.Equal(renewed.ExpiresAt.Time()) {
			t.Errorf("the login's own end is %s, the lease's %s", login.ExpiresAt, renewed.ExpiresAt)
		}
		// The first end passes: renewing cancelled it.
		pass(25 * time.Minute)
		if got := h.lease(renewed.ID); got.State != fsm.Active {
			t.Fatalf("after its first end the lease is %s", got.State)
		}
		ended, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: renewed.ID, Reason: "done"})
		if err != nil || ended.State != fsm.Revoked {
			t.Fatalf("revoking: %s, %v", ended.State, err)
		}
		h.wantNoLogins()
		again, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: renewed.ID})
		if err != nil || again.Version != ended.Version {
			t.Errorf("revoking again: %+v, %v", again, err)
		}
		want := []fsm.EventType{fsm.EventLeasePrepared, fsm.EventLeaseIssued, fsm.EventLeaseRenewed, fsm.EventLeaseRevoking, fsm.EventLeaseRevoked}
		if d := cmp.Diff(want, h.history(renewed.ID)); d != "" {
			t.Errorf("history (-want +got):\n%s", d)
		}
	})
}

// Ledger first, world second: each call of the outside system comes after the command that authorises
// it, and nothing is revealed before the lease is active.
func TestOrderOfSteps(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		var trace []string
		h.log.before = func(c fsm.Command) {
			calls := func(op providertest.Op) int { return len(h.fake.Calls(op)) }
			trace = append(trace, fmt.Sprintf("%d: create=%d renew=%d revoke=%d", c.Type, calls(providertest.OpCreate), calls(providertest.OpRenew), calls(providertest.OpRevoke)))
		}
		issued := h.mustIssue(2 * time.Second)
		if _, err := h.b.Renew(t.Context(), alice(), broker.RenewSpec{Lease: issued.Lease.ID, TTL: time.Second}); err != nil {
			t.Fatal(err)
		}
		h.wantState(issued.Lease.ID, fsm.Expired)
		want := []string{
			fmt.Sprintf("%d: create=0 renew=0 revoke=0", fsm.TypePrepareLease),
			fmt.Sprintf("%d: create=1 renew=0 revoke=0", fsm.TypeActivateLease),
			fmt.Sprintf("%d: create=1 renew=1 revoke=0", fsm.TypeRenewLease),
			fmt.Sprintf("%d: create=1 renew=1 revoke=0", fsm.TypeExpireLeases),
			fmt.Sprintf("%d: create=1 renew=1 revoke=1", fsm.TypeFinishRevoke),
		}
		if d := cmp.Diff(want, trace); d != "" {
			t.Errorf("steps (-want +got):\n%s", d)
		}
	})
}

func TestExpiryIsNeverEarlyAndHardlyLate(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		var ends []fsm.Lease
		for i := range 40 {
			ends = append(ends, h.mustIssue(time.Duration(1000+i*137)*time.Millisecond).Lease)
			pass(time.Duration(i%7) * 13 * time.Millisecond)
		}
		// One that is beyond the wheel's window when it is issued.
		ends = append(ends, h.mustIssue(90*time.Minute).Lease)
		pass(91 * time.Minute)
		removed := map[fsm.LeaseID]time.Time{}
		for _, c := range h.fake.Calls(providertest.OpRevoke) {
			for _, l := range ends {
				for _, n := range c.Names {
					if string(n) == l.Username {
						removed[l.ID] = c.At
					}
				}
			}
		}
		for _, l := range ends {
			late := removed[l.ID].Sub(l.ExpiresAt.Time())
			if late < 0 || late > 250*time.Millisecond {
				t.Errorf("lease %s was removed %s after its end", l.ID, late)
			}
			if got := h.lease(l.ID); got.State != fsm.Expired {
				t.Errorf("lease %s is %s", l.ID, got.State)
			}
		}
		h.wantNoLogins()
	})
}

func TestRenewLimits(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		l := h.mustIssue(time.Hour).Lease
		renew := func(spec broker.RenewSpec) (fsm.Lease, error) {
			spec.Lease = l.ID
			return h.b.Renew(t.Context(), alice(), spec)
		}
		_, err := renew(broker.RenewSpec{TTL: 61 * time.Minute})
		var r *fsm.Refusal
		if !errors.As(err, &r) || r.Code != fsm.CodeTTLExceedsMax || r.Details["renewable_ttl"] != "3600" {
			t.Errorf("past the maximum: %#v", err)
		}
		for name, spec := range map[string]broker.RenewSpec{
			"nothing": {}, "both": {TTL: time.Hour, UntilMax: true}, "negative": {TTL: -time.Second}, "tiny": {TTL: time.Millisecond},
		} {
			if _, err := renew(spec); refusal(err) != fsm.CodeInvalid {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got, err := renew(broker.RenewSpec{Until: l.CreatedAt.Add(time.Minute).Time()}); err != nil || got.ExpiresAt != l.ExpiresAt || got.Renewals != 0 {
			t.Errorf("an earlier end: %+v, %v", got, err)
		}
		if n := len(h.fake.Calls(providertest.OpRenew)); n != 0 {
			t.Errorf("the outside system was called %d times for nothing", n)
		}
		for range 2 { // safe to repeat
			if got, err := renew(broker.RenewSpec{UntilMax: true}); err != nil || got.ExpiresAt != l.MaxExpiresAt {
				t.Errorf("until max: %s, %v", got.ExpiresAt, err)
			}
		}
		if _, err := h.b.Renew(t.Context(), alice(), broker.RenewSpec{Lease: "nope", TTL: time.Hour}); refusal(err) != fsm.CodeNotFound {
			t.Errorf("unknown lease: %v", err)
		}
		h.fake.Remove(providers.LoginName(l.Username))
		if _, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: l.ID}); err != nil {
			t.Fatal(err)
		}
		if _, err := renew(broker.RenewSpec{TTL: time.Minute}); refusal(err) != fsm.CodeLeaseNotActive {
			t.Errorf("a revoked lease: %v", err)
		}
	})
}

// Parallel renewals add up: none is lost, and the login's own end follows.
func TestParallelRenewals(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		l := h.mustIssue(10 * time.Minute).Lease
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := h.b.Renew(t.Context(), alice(), broker.RenewSpec{Lease: l.ID, TTL: time.Minute}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got := h.lease(l.ID)
		if got.ExpiresAt.Sub(l.ExpiresAt) != 10*time.Minute || got.Renewals != 10 {
			t.Errorf("ten renewals moved the end by %s (%d)", got.ExpiresAt.Sub(l.ExpiresAt), got.Renewals)
		}
		if login, _ := h.fake.Login(providers.LoginName(l.Username)); !login.ExpiresAt.Equal(got.ExpiresAt.Time()) {
			t.Errorf("the login's own end is %s, the lease's %s", login.ExpiresAt, got.ExpiresAt)
		}
	})
}

func TestRenewThatTheOutsideSystemRefuses(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		l := h.mustIssue(10 * time.Minute).Lease
		// An answer comes before the system has been silent so often that it is left alone.
		for _, row := range []struct {
			fault providertest.Fault
			want  string
		}{
			{providertest.FaultUnreachable, "unavailable"},
			{providertest.FaultLoseCall, "unavailable"},
			{providertest.FaultRefuse, "refused"},
			{providertest.FaultHang, "unavailable"},
		} {
			h.fake.FailTimes(providertest.OpRenew, row.fault, 1)
			if _, err := h.b.Renew(t.Context(), alice(), broker.RenewSpec{Lease: l.ID, TTL: time.Minute}); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("fault %d: %v, want one that says %q", row.fault, err, row.want)
			}
		}
		if got := h.lease(l.ID); got.Version != l.Version {
			t.Errorf("the ledger changed: %+v", got)
		}
	})
}

func TestIdempotencyKey(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		var wg sync.WaitGroup
		answers := make([]broker.Issued, 8)
		for i := range answers {
			wg.Go(func() {
				var err error
				if answers[i], err = h.issue(keyed("k1"), time.Hour); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, a := range answers[1:] {
			if d := cmp.Diff(reveal(answers[0].Values), reveal(a.Values)); d != "" || a.Lease.ID != answers[0].Lease.ID {
				t.Errorf("one key, two answers (-first +other):\n%s", d)
			}
		}
		if n := len(h.fake.Logins()); n != 1 {
			t.Errorf("one key made %d logins", n)
		}
		other := keyed("k1")
		other.Key.Body = []byte("another body")
		if _, err := h.issue(other, time.Hour); refusal(err) != fsm.CodeKeyReused {
			t.Errorf("the key with another body: %v", err)
		}
		pass(5*time.Minute + time.Second)
		if _, err := h.issue(keyed("k1"), time.Hour); refusal(err) != fsm.CodeKeyAnswerGone {
			t.Errorf("after five minutes: %v", err)
		}
		if _, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: answers[0].Lease.ID}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.issue(keyed("k1"), time.Hour); refusal(err) != fsm.CodeLeaseEnded {
			t.Errorf("after the end: %v", err)
		}
		pass(25 * time.Hour)
		if _, err := h.issue(keyed("k1"), time.Hour); err != nil {
			t.Errorf("a day later the key is free: %v", err)
		}
	})
}

// A lease that ends between the look at its key and the look at its values has ended; its values were not lost.
func TestKeyOfLeaseThatEndsMeanwhile(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		first, err := h.issue(keyed("k1"), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		var once sync.Once
		h.log.after = func(c fsm.Command) {
			if c.Type != fsm.TypePrepareLease {
				return
			}
			once.Do(func() {
				if _, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: first.Lease.ID}); err != nil {
					t.Error(err)
				}
			})
		}
		if _, err := h.issue(keyed("k1"), time.Hour); refusal(err) != fsm.CodeLeaseEnded {
			t.Errorf("its lease was revoked meanwhile: %v", err)
		}
	})
}

func TestRenewWithKeyAddsOnce(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		l := h.mustIssue(10 * time.Minute).Lease
		req := keyed("r1")
		req.Key.Route = "POST /leases/renew"
		for range 3 {
			got, err := h.b.Renew(t.Context(), req, broker.RenewSpec{Lease: l.ID, TTL: time.Minute})
			if err != nil || got.ExpiresAt.Sub(l.ExpiresAt) != time.Minute {
				t.Errorf("the end moved by %s, %v", got.ExpiresAt.Sub(l.ExpiresAt), err)
			}
		}
	})
}

// A renewal that would change nothing is confirmed by the log like any other: where another node leads by now, the
// lease may have ended.
func TestRenewNothingAsAnEarlierLeader(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		l := h.mustIssue(10 * time.Minute).Lease
		repeated := keyed("r1")
		repeated.Key.Route = "POST /leases/renew"
		if _, err := h.b.Renew(t.Context(), repeated, broker.RenewSpec{Lease: l.ID, TTL: time.Minute}); err != nil {
			t.Fatal(err)
		}
		h.log.mu.Lock()
		h.log.term = 2
		h.log.mu.Unlock()
		for name, ask := range map[string]func() (fsm.Lease, error){
			"an earlier end": func() (fsm.Lease, error) {
				return h.b.Renew(t.Context(), alice(), broker.RenewSpec{Lease: l.ID, Until: l.CreatedAt.Time()})
			},
			"a repeated request": func() (fsm.Lease, error) {
				return h.b.Renew(t.Context(), repeated, broker.RenewSpec{Lease: l.ID, TTL: time.Minute})
			},
		} {
			if got, err := ask(); !errors.Is(err, broker.ErrNotLeader) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
	})
}

func TestDryRunsDoNothing(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		l := h.mustIssue(10 * time.Minute).Lease
		entries, calls := len(h.log.entries), len(h.fake.Calls())
		dry := alice()
		dry.DryRun = true
		if got, err := h.issue(dry, time.Hour); err != nil || got.Lease.ExpiresAt == 0 || got.Values != nil {
			t.Errorf("issue: %+v, %v", got, err)
		}
		if got, err := h.b.Renew(t.Context(), dry, broker.RenewSpec{Lease: l.ID, TTL: time.Minute}); err != nil || got.Renewals != 1 {
			t.Errorf("renew: %+v, %v", got, err)
		}
		if got, err := h.b.Revoke(t.Context(), dry, broker.RevokeSpec{Lease: l.ID}); err != nil || got.State != fsm.Revoking {
			t.Errorf("revoke: %+v, %v", got, err)
		}
		pass(time.Second)
		if len(h.log.entries) != entries || len(h.fake.Calls()) != calls {
			t.Errorf("dry runs wrote %d entries and made %d calls", len(h.log.entries)-entries, len(h.fake.Calls())-calls)
		}
	})
}

// Root credentials and leased passwords are in no log entry and no snapshot in clear.
func TestCanary(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		issued, err := h.issue(keyed("canary"), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		password := reveal(issued.Values)["DB_PASSWORD"]
		written := bytes.Join(h.log.entries, []byte("\n"))
		for _, canary := range []string{rootCanary, password} {
			if bytes.Contains(written, []byte(canary)) {
				t.Errorf("the log holds %q in clear", canary)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", issued, issued, issued), canary) {
				t.Errorf("printing an answer shows %q", canary)
			}
		}
	})
}
