package broker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/broker"
	"broker/fsm"
)

const certified = fsm.SecretName("payments/production/certified")

// mustCertify makes a connection to an authority that makes its own key, and a secret.
func (h *house) mustCertify() (public string) {
	h.t.Helper()
	if _, _, err := h.b.CreateConnection(h.t.Context(), alice(), broker.ConnectionSpec{
		Name: "ca", Provider: "authority", Environments: []fsm.Pattern{"payments/*"},
	}); err != nil {
		h.t.Fatal(err)
	}
	if _, _, err := h.b.CreateSecret(h.t.Context(), alice(), broker.SecretSpec{Name: certified, Connection: "ca", DefaultTTL: time.Hour, MaxTTL: 2 * time.Hour}); err != nil {
		h.t.Fatal(err)
	}
	return h.document("public.txt")
}

func (h *house) certificate(ttl time.Duration) fsm.Lease {
	h.t.Helper()
	issued, err := h.b.Issue(h.t.Context(), alice(), broker.IssueSpec{Secret: certified, TTL: ttl})
	if err != nil {
		h.t.Fatal(err)
	}
	return issued.Lease
}

func (h *house) document(name string) string {
	h.t.Helper()
	got, err := h.b.Document("ca", name)
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.TrimSpace(string(got.Content))
}

func (h *house) mustRevoke(l fsm.Lease) {
	h.t.Helper()
	if _, err := h.b.Revoke(h.t.Context(), alice(), broker.RevokeSpec{Lease: l.ID}); err != nil {
		h.t.Fatal(err)
	}
}

// wantRevoked checks what is published as revoked, once what was published before is looked at again.
func (h *house) wantRevoked(when string, want ...string) {
	h.t.Helper()
	pass(11 * time.Second)
	if d := cmp.Diff(strings.Join(want, "\n"), h.document("revoked.txt")); d != "" {
		h.t.Errorf("%s (-want +got):\n%s", when, d)
	}
}

// What was revoked is published until its credential's own end and an hour beyond, what ends by itself is not, and
// documents are served by who does not lead, too.
func TestRevokedIsPublished(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		public := h.mustCertify()
		short, long, other := h.certificate(10*time.Minute), h.certificate(time.Hour), h.certificate(20*time.Minute)
		h.wantRevoked("nothing was revoked")
		h.mustRevoke(long)
		h.mustRevoke(short)
		shown := func(l fsm.Lease) string { return public + " " + l.Username }
		h.wantRevoked("two were revoked", shown(short), shown(long))
		pass(30 * time.Minute)
		if l := h.lease(other.ID); l.State != fsm.Expired {
			t.Fatalf("the other lease is %s", l.State)
		}
		h.wantRevoked("what expired is not listed", shown(short), shown(long))
		pass(45 * time.Minute)
		h.wantRevoked("an hour after its end it is forgotten", shown(long))
		h.depose()
		h.wantRevoked("without a leader", shown(long))
		pass(60 * time.Minute)
		h.wantRevoked("at last nothing is listed")
	})
}

// A credential whose lease never became active may exist all the same.
func TestUnfinishedIsPublished(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		public := h.mustCertify()
		h.log.next(fsm.TypeActivateLease, notCommitted)
		if _, err := h.b.Issue(t.Context(), alice(), broker.IssueSpec{Secret: certified, TTL: time.Hour}); err == nil {
			t.Fatal("a lease was issued whose activation was not committed")
		}
		pass(time.Minute)
		var failed fsm.Lease
		for _, l := range h.leases() {
			failed = l
		}
		if failed.State != fsm.Failed {
			t.Fatalf("the lease is %s", failed.State)
		}
		h.wantRevoked("it is listed", public+" "+failed.Username)
	})
}

// A connection whose authority was replaced publishes both, the present one first, while leases of the old one live; what
// the old one's were is told even after it is gone.
func TestReplacedAuthorityIsPublished(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		before := h.mustCertify()
		old, lasting := h.certificate(time.Hour), h.certificate(30*time.Minute)
		if _, _, err := h.b.UpdateConnection(t.Context(), alice(), broker.ConnectionChange{Name: "ca", Settings: map[string]any{"key": nil}}); err == nil {
			t.Fatal("a new key was made and nobody said that it replaces the old one")
		}
		if _, _, err := h.b.UpdateConnection(t.Context(), alice(), broker.ConnectionChange{Name: "ca", Settings: map[string]any{"key": nil}, System: broker.Replaced}); err != nil {
			t.Fatal(err)
		}
		pass(11 * time.Second)
		keys := strings.Split(h.document("public.txt"), "\n")
		if len(keys) != 2 || keys[0] == before || keys[1] != before {
			t.Fatalf("published are %q, before %q", keys, before)
		}
		fresh := h.certificate(time.Hour)
		h.mustRevoke(fresh)
		h.mustRevoke(old)
		h.wantRevoked("revoked of both", keys[0]+" "+fresh.Username, before+" "+old.Username)
		h.mustRevoke(lasting) // the old one's last
		pass(11 * time.Second)
		if got := h.document("public.txt"); got != keys[0] {
			t.Errorf("published is %q after the old one's last lease", got)
		}
		h.wantRevoked("of one that is gone", keys[0]+" "+fresh.Username, " "+lasting.Username, " "+old.Username)
	})
}

// What is not there is not told apart.
func TestNoDocument(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.mustCertify()
		for name, document := range map[fsm.ConnectionName]string{"ca": "other.txt", "orders-db": "public.txt", "none": "public.txt"} {
			if _, err := h.b.Document(name, document); !errors.Is(err, broker.ErrNoDocument) {
				t.Errorf("%s of %s: %v", document, name, err)
			}
		}
		for _, name := range []fsm.ConnectionName{"orders-db", "none"} {
			if _, err := h.b.Documents(name); !errors.Is(err, broker.ErrNoDocument) {
				t.Errorf("documents of %s: %v", name, err)
			}
		}
		if list, err := h.b.Documents("ca"); err != nil || len(list) != 2 {
			t.Errorf("documents: %v, %v", list, err)
		}
	})
}

// What is worked out of other settings follows them, and is not taken from anybody where it does not fit.
func TestSettingsAreCompleted(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		settings := func(given map[string]any, dryRun bool) error {
			req := alice()
			req.DryRun = dryRun
			_, _, err := h.b.CreateConnection(t.Context(), req, broker.ConnectionSpec{Name: "own", Provider: "authority", Settings: given})
			return err
		}
		var invalid *broker.InvalidError
		for _, dryRun := range []bool{true, false} {
			if err := settings(map[string]any{"key": "a", "public": "b"}, dryRun); !errors.As(err, &invalid) || invalid.Problems[0].Field != "settings.public" {
				t.Errorf("a public key of another: %v", err)
			}
		}
		if err := settings(map[string]any{"key": "a"}, false); err != nil {
			t.Fatal(err)
		}
		public := func() (text string) {
			h.view(func(v *fsm.View) {
				c, _ := v.Connection("own")
				s, _ := v.System("own", c.System)
				text = string(s.Settings)
			})
			return text
		}
		before := public()
		if _, _, err := h.b.UpdateConnection(t.Context(), alice(), broker.ConnectionChange{Name: "own", Settings: map[string]any{"key": "b"}, System: broker.Replaced}); err != nil {
			t.Fatal(err)
		}
		if after := public(); before == after || !strings.Contains(after, "public-") || strings.Contains(after, `"key"`) {
			t.Errorf("settings before %s and after %s", before, after)
		}
	})
}

// What a request says besides is checked before anything is recorded, kept with the lease, and reaches the provider.
func TestParameters(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.mustCertify()
		issue := func(secret fsm.SecretName, given map[string]any) (broker.Issued, error) {
			return h.b.Issue(t.Context(), alice(), broker.IssueSpec{Secret: secret, TTL: time.Hour, Parameters: given})
		}
		issued, err := issue(certified, map[string]any{"public_key": "K"})
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%s for alice of payments: K by ", issued.Lease.Username); !strings.HasPrefix(reveal(issued.Values)["CERTIFICATE"], want) {
			t.Errorf("certified is %q, want %q…", reveal(issued.Values)["CERTIFICATE"], want)
		}
		if got := string(h.lease(issued.Lease.ID).Parameters); got != `{"public_key":"K"}` {
			t.Errorf("kept with the lease is %s", got)
		}
		before := len(h.leases())
		var invalid *broker.InvalidError
		for field, given := range map[string]map[string]any{
			"parameters.public_key": {"public_key": "bad"}, "parameters.other": {"other": "x"},
		} {
			if _, err := issue(certified, given); !errors.As(err, &invalid) || invalid.Problems[0].Field != field {
				t.Errorf("%v: %v", given, err)
			}
		}
		if _, err := issue(ordersRO, map[string]any{"public_key": "K"}); !errors.As(err, &invalid) {
			t.Errorf("where there are no parameters: %v", err)
		}
		if _, err := issue(certified, map[string]any{"public_key": strings.Repeat("K", 17<<10)}); err == nil {
			t.Error("17 KiB were taken")
		}
		if after := len(h.leases()); after != before {
			t.Errorf("what is refused left %d leases", after-before)
		}
	})
}
