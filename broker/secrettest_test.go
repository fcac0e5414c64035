package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/broker"
	"broker/fsm"
	"broker/providers/providertest"
)

// steps writes what a test found, a word for each step.
func steps(found broker.SecretTest) string {
	var words []string
	for _, f := range found.Findings {
		words = append(words, fmt.Sprintf("%s:%s", f.Step, f.Result))
	}
	return strings.Join(words, " ")
}

func (h *house) testSecret(name fsm.SecretName) (broker.SecretTest, error) {
	return h.b.TestSecret(h.t.Context(), keyed("k"), broker.TestSpec{Secret: name})
}

const allOK = "issue:ok log_in:ok renew:ok revoke:ok log_in_refused:ok"

func TestSecretTest(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		for range 2 { // a key means nothing: the second is another test
			found, err := h.testSecret(ordersRO)
			if err != nil || steps(found) != allOK || !found.Passed() {
				t.Fatalf("got %s, %v", steps(found), err)
			}
			l := h.lease(found.Lease.ID)
			if l.State != fsm.Revoked || l.Account != "alice" || l.Name != "test of orders-ro" || l.Labels[broker.TestLabel] != "true" || l.ExpiresAt.Sub(l.CreatedAt) > broker.TestTTL+time.Second {
				t.Errorf("the lease: %+v", l)
			}
			want := []fsm.EventType{fsm.EventLeasePrepared, fsm.EventLeaseIssued, fsm.EventLeaseRenewed, fsm.EventLeaseRevoking, fsm.EventLeaseRevoked}
			if d := cmp.Diff(want, h.history(l.ID)); d != "" {
				t.Errorf("history (-want +got):\n%s", d)
			}
			h.wantNoLogins()
		}
		if got := len(h.leases()); got != 2 {
			t.Errorf("%d leases were made, want 2", got)
		}
	})
}

// Whatever fails, the answer says what, the steps that can be tried are, and nothing is left.
func TestSecretTestFails(t *testing.T) {
	for _, test := range []struct {
		name    string
		op      providertest.Op
		fault   providertest.Fault
		times   int
		want    string
		message string
	}{
		{"creating is refused", providertest.OpCreate, providertest.FaultRefuse, -1, "issue:failed log_in:skipped renew:skipped revoke:skipped log_in_refused:skipped", "refused to make a login"},
		{"creating half", providertest.OpCreate, providertest.FaultHalf, -1, "issue:failed log_in:skipped renew:skipped revoke:skipped log_in_refused:skipped", "a later statement failed"},
		{"the system is away", providertest.OpCreate, providertest.FaultUnreachable, -1, "issue:failed log_in:skipped renew:skipped revoke:skipped log_in_refused:skipped", "connection refused"},
		{"no log-in is accepted", providertest.OpLogIn, providertest.FaultRefuse, -1, "issue:ok log_in:failed renew:ok revoke:ok log_in_refused:skipped", "the system refused"},
		{"log-ins are accepted a little later", providertest.OpLogIn, providertest.FaultRefuse, 3, allOK, ""},
		{"renewing is refused", providertest.OpRenew, providertest.FaultRefuse, -1, "issue:ok log_in:ok renew:failed revoke:ok log_in_refused:ok", "refused to extend"},
		{"revoking is refused", providertest.OpRevoke, providertest.FaultRefuse, 4, "issue:ok log_in:ok renew:ok revoke:failed log_in_refused:skipped", "the system refused"},
		{"log-ins hang", providertest.OpLogIn, providertest.FaultHang, -1, "issue:ok log_in:failed renew:ok revoke:ok log_in_refused:skipped", "deadline"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				h.fake.FailTimes(test.op, test.fault, test.times)
				began := time.Now()
				found, err := h.testSecret(ordersRO)
				if err != nil {
					t.Fatal(err)
				}
				if got := steps(found); got != test.want || found.Passed() != (test.message == "") {
					t.Errorf("got  %s\nwant %s", got, test.want)
				}
				if text := fmt.Sprint(found.Findings); !strings.Contains(text, test.message) || strings.Contains(text, rootCanary) {
					t.Errorf("the findings lack %q: %s", test.message, text)
				}
				if took := time.Since(began); took > 29*time.Second {
					t.Errorf("it took %s, longer than a request may", took)
				}
				h.fake.Heal()
				h.eventually("nothing is left", func() bool { return !h.lease(found.Lease.ID).State.Live() && len(h.fake.Logins()) == 0 })
			})
		})
	}
}

// A removed login that is still accepted is found.
func TestSecretTestSeesLoginsThatLive(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.fake.AcceptRemoved(true)
		found, err := h.testSecret(ordersRO)
		if err != nil || steps(found) != "issue:ok log_in:ok renew:ok revoke:ok log_in_refused:failed" {
			t.Errorf("got %s, %v", steps(found), err)
		}
	})
}

// A test is held by the same rules as a lease, and refused before anything is recorded.
func TestSecretTestIsRefused(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		if _, err := h.testSecret("payments/production/nothing"); refusal(err) != fsm.CodeNotFound {
			t.Errorf("a secret that is not there: %v", err)
		}
		lock, _, err := h.b.CreateLock(t.Context(), alice(), broker.LockSpec{Scope: fsm.LockScope{Environment: "payments/*"}, Reason: "x"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.testSecret(ordersRO); refusal(err) != fsm.CodeLocked {
			t.Errorf("while locked: %v", err)
		}
		if err := h.b.DeleteLock(t.Context(), alice(), lock.ID, 0); err != nil {
			t.Fatal(err)
		}
		one := uint64(1)
		if _, _, err := h.b.UpdateSecret(t.Context(), alice(), broker.SecretChange{Name: ordersRO, MaxLeases: &one}); err != nil {
			t.Fatal(err)
		}
		h.mustIssue(time.Hour)
		if _, err := h.testSecret(ordersRO); refusal(err) != fsm.CodeQuotaExceeded {
			t.Errorf("with all leases given: %v", err)
		}
		if got := len(h.leases()); got != 1 {
			t.Errorf("%d leases were recorded, want that of before", got)
		}
		dry := alice()
		dry.DryRun = true
		if _, err := h.b.TestSecret(t.Context(), dry, broker.TestSpec{Secret: ordersRO}); refusal(err) != fsm.CodeQuotaExceeded {
			t.Errorf("a dry run: %v", err)
		}
	})
}

// Leases of a provider whose credentials end when they were made to are not renewed, and a test does not try.
func TestFixedLeases(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		if _, _, err := h.b.CreateConnection(t.Context(), alice(), broker.ConnectionSpec{
			Name: "fixed", Provider: "fake-fixed", Environments: []fsm.Pattern{"payments/*"}, Settings: map[string]any{"password": rootCanary},
		}); err != nil {
			t.Fatal(err)
		}
		const secret = "payments/production/fixed"
		h.mustSecret(secret, "fixed", "FIXED")
		issued, err := h.b.Issue(t.Context(), alice(), broker.IssueSpec{Secret: secret, TTL: 10 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if l := issued.Lease; l.MaxExpiresAt != l.ExpiresAt || l.RenewableTTL() != 0 {
			t.Errorf("the lease looks as if it could be renewed: it ends %s, at most %s", l.ExpiresAt, l.MaxExpiresAt)
		}
		for name, spec := range map[string]broker.RenewSpec{
			"ttl": {TTL: time.Minute}, "max": {UntilMax: true}, "until": {Until: h.clock.now().Add(time.Hour)},
		} {
			spec.Lease = issued.Lease.ID
			_, err := h.b.Renew(t.Context(), alice(), spec)
			if refusal(err) != broker.CodeNotRenewable || !strings.Contains(err.Error(), "fixed as it was made") {
				t.Errorf("renewing by %s: %v", name, err)
			}
		}
		if calls := h.fake.Calls(providertest.OpRenew); len(calls) > 0 {
			t.Errorf("the outside system was asked: %v", calls)
		}
		if _, err := h.b.Issue(t.Context(), alice(), broker.IssueSpec{Secret: secret, TTL: 3 * time.Hour}); refusal(err) != fsm.CodeTTLExceedsMax {
			t.Errorf("longer than the secret's max_ttl: %v", err)
		}
		found, err := h.testSecret(secret)
		if err != nil || steps(found) != "issue:ok log_in:ok renew:skipped revoke:ok log_in_refused:ok" {
			t.Errorf("testing: %s, %v", steps(found), err)
		}
		h.fake.AcceptRemoved(true)
		if found, err := h.testSecret(secret); err != nil || steps(found) != "issue:ok log_in:ok renew:skipped revoke:ok log_in_refused:skipped" || !found.Passed() {
			t.Errorf("testing what cannot be taken back: %s, %v", steps(found), err)
		}
	})
}

// Secrets whose leases are shorter than a test's, or leave no time to renew.
func TestSecretTestOfShortLeases(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		for max, want := range map[time.Duration]string{
			time.Second:      "issue:ok log_in:ok renew:skipped revoke:ok log_in_refused:ok",
			10 * time.Second: allOK,
			time.Minute:      allOK,
		} {
			if _, _, err := h.b.UpdateSecret(t.Context(), alice(), broker.SecretChange{Name: ordersRO, MaxTTL: &max, DefaultTTL: &max}); err != nil {
				t.Fatal(err)
			}
			if found, err := h.testSecret(ordersRO); err != nil || steps(found) != want {
				t.Errorf("max_ttl %s: got %s, %v", max, steps(found), err)
			}
		}
	})
}

// A leader that is gone in the middle of a test leaves an ordinary lease, which the next one ends in its time.
func TestSecretTestOutlivesItsLeader(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.fake.Fail(providertest.OpLogIn, providertest.FaultHang)
		h.log.next(fsm.TypeBeginRevoke, lostUnknown, lostUnknown) // it dies before it can
		answered := make(chan error, 1)
		go func() {
			_, err := h.testSecret(ordersRO)
			answered <- err
		}()
		h.eventually("the log-in", func() bool { return len(h.fake.Calls(providertest.OpLogIn)) > 0 })
		h.depose()
		if err := <-answered; err == nil {
			t.Error("the test was answered as if it had ended")
		}
		h.fake.Heal()
		h.lead(2)
		l := h.leases()[0]
		if l.State != fsm.Active {
			t.Fatalf("the lease is %s", l.State)
		}
		pass(broker.TestTTL + 5*time.Second)
		h.wantState(l.ID, fsm.Expired)
		h.wantNoLogins()
	})
}

func TestPreview(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		var secret fsm.Secret
		h.view(func(v *fsm.View) { secret, _ = v.Secret(ordersRO) })
		got, err := h.b.Preview(secret, "alice")
		if err != nil {
			t.Fatal(err)
		}
		shown := strings.Join(got.Steps, "\n")
		if !strings.HasPrefix(got.Username, "brk_") || !strings.HasSuffix(got.Username, "_orders_ro_xxxxxxxxxxxxxxxx") || got.Provider != "fake" {
			t.Errorf("got %+v", got)
		}
		if !strings.Contains(shown, "make login "+got.Username+" at main with password {{password}}") || strings.Contains(shown, rootCanary) {
			t.Errorf("steps:\n%s", shown)
		}
		// What is not stored is shown too, by the options that it would have.
		secret.Options = []byte(`{"login_name":"{{account}}","member_of":["readonly"]}`)
		if got, err := h.b.Preview(secret, "bob"); err != nil || !strings.Contains(got.Username, "_bob_") || !strings.Contains(strings.Join(got.Steps, "\n"), "a member of readonly") {
			t.Errorf("got %+v, %v", got, err)
		}
		if calls := h.fake.Calls(providertest.OpCreate, providertest.OpLogIn); len(calls) > 0 || len(h.leases()) > 0 {
			t.Errorf("something was done: %v", calls)
		}
		secret.Connection = "nowhere"
		if _, err := h.b.Preview(secret, "alice"); refusal(err) != fsm.CodeNotFound {
			t.Errorf("without a connection: %v", err)
		}
		h.depose() // any node can tell
		secret.Connection = "orders-db"
		if _, err := h.b.Preview(secret, "alice"); err != nil {
			t.Error(err)
		}
	})
}
