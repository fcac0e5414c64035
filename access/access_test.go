package access_test

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"broker/access"
	"broker/fsm"
)

func mustToken(t *testing.T) string {
	t.Helper()
	token, err := access.NewToken(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTokensAreRecognisable(t *testing.T) {
	token := mustToken(t)
	if !strings.HasPrefix(token, "brk_") || len(token) < 60 || token == mustToken(t) {
		t.Errorf("a token looks like %d characters", len(token))
	}
	if err := access.CheckToken(token); err != nil {
		t.Error(err)
	}
	mistyped := token[:20] + "0" + token[21:]
	if mistyped == token {
		mistyped = token[:20] + "1" + token[21:]
	}
	for name, wrong := range map[string]string{
		"empty": "", "cut": token[:30], "mistyped": mistyped, "foreign": "ghp_" + token[4:], "longer": token + "0", "of another kind": "brks_" + token[4:],
	} {
		if err := access.CheckToken(wrong); !errors.Is(err, access.ErrMalformedToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h := newHouse(t)
	secret, _, err := h.creds.NewClientSecret()
	h.must(err)
	wrapping, _, _, err := h.creds.Wrap([]byte("value"))
	h.must(err)
	for text, prefix := range map[string]string{token: "brk_", secret: "brks_", wrapping: "brkw_"} {
		if !strings.HasPrefix(text, prefix) || len(text) != len(prefix)+59 {
			t.Errorf("%s… is no credential of %s", text[:6], prefix)
		}
	}
	if access.CheckToken(secret) == nil || access.CheckToken(wrapping) == nil {
		t.Error("another credential passes for a token")
	}
}

func TestIdentify(t *testing.T) {
	h := newHouse(t)
	plain := h.token("plain", func(*fsm.Token) {})
	counted := h.token("counted", func(k *fsm.Token) { k.MaxUses = 2 })
	bound := h.token("bound", func(k *fsm.Token) { k.CIDRs = []string{"10.0.0.0/8", "2001:db8::/32"} })
	short := h.token("short", func(k *fsm.Token) { k.ExpiresAt = fsm.At(h.now.Add(time.Minute)) })
	alices := h.token("alices", func(k *fsm.Token) { k.Account = "alice" })
	gone := h.token("gone", func(*fsm.Token) {})
	idle := h.token("idle", func(k *fsm.Token) { k.IdleTTL = 4 * time.Minute })
	want := func(when, token, address string, who access.Identity) {
		t.Helper()
		from, _ := netip.ParseAddr(address)
		for range 2 { // read, then remembered
			got, err := h.tokens.Identify(token, from)
			if who == (access.Identity{}) {
				if !errors.Is(err, access.ErrUnauthenticated) || err.Error() != access.ErrUnauthenticated.Error() {
					t.Errorf("%s: %+v, %v", when, got, err)
				}
			} else if got != who {
				t.Errorf("%s: %+v, %v", when, got, err)
			}
		}
	}
	nobody := access.Identity{}
	want("good", plain, "192.0.2.7", access.Identity{Account: "ci", Token: "plain"})
	want("good, address not known", plain, "", access.Identity{Account: "ci", Token: "plain"})
	want("counted", counted, "192.0.2.7", access.Identity{Account: "ci", Token: "counted", Counted: true})
	want("from inside", bound, "10.1.2.3", access.Identity{Account: "ci", Token: "bound"})
	want("from inside, mapped", bound, "::ffff:10.1.2.3", access.Identity{Account: "ci", Token: "bound"})
	want("from inside, IPv6", bound, "2001:db8::1", access.Identity{Account: "ci", Token: "bound"})
	want("from outside", bound, "192.0.2.7", nobody)
	want("from somewhere", bound, "", nobody)
	want("unknown", mustToken(t), "192.0.2.7", nobody)
	want("garbage", "x", "192.0.2.7", nobody)
	want("empty", "", "192.0.2.7", nobody)

	h.apply(&fsm.UseToken{Accessor: "counted"})
	want("used once", counted, "192.0.2.7", access.Identity{Account: "ci", Token: "counted", Counted: true})
	h.apply(&fsm.UseToken{Accessor: "counted"})
	want("used up", counted, "192.0.2.7", nobody)

	want("not deleted yet", gone, "192.0.2.7", access.Identity{Account: "ci", Token: "gone"})
	h.apply(&fsm.DeleteToken{Accessor: "gone"})
	want("deleted", gone, "192.0.2.7", nobody)

	want("in time", short, "192.0.2.7", access.Identity{Account: "ci", Token: "short"})
	h.now = h.now.Add(time.Minute)
	want("expired", short, "192.0.2.7", nobody)

	want("not idle yet", idle, "192.0.2.7", access.Identity{Account: "ci", Token: "idle"})
	h.now = h.now.Add(2 * time.Minute)
	h.apply(&fsm.RenewToken{Accessor: "idle"})
	h.now = h.now.Add(3 * time.Minute)
	want("renewed", idle, "192.0.2.7", access.Identity{Account: "ci", Token: "idle"})
	h.now = h.now.Add(time.Minute)
	want("idle", idle, "192.0.2.7", nobody)

	off := true
	h.apply(&fsm.UpdateAccount{Name: "ci", Disabled: &off})
	want("disabled", plain, "192.0.2.7", nobody)
	want("another's", alices, "192.0.2.7", access.Identity{Account: "alice", Token: "alices"})
}
