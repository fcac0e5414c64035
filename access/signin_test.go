package access_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"broker/access"
	"broker/fsm"
)

const right = "correct horse battery"

func TestSignInWithAClientSecret(t *testing.T) {
	h := newHouse(t)
	plain := h.clientSecret("plain", func(s *fsm.ClientSecret) { s.TokenTTL = time.Minute })
	once := h.clientSecret("once", func(s *fsm.ClientSecret) { s.MaxUses = 1 })
	short := h.clientSecret("short", func(s *fsm.ClientSecret) { s.ExpiresAt = fsm.At(h.now.Add(time.Minute)) })
	near := h.clientSecret("near", func(s *fsm.ClientSecret) { s.CIDRs = []string{"192.0.2.0/24"} })
	far := h.clientSecret("far", func(s *fsm.ClientSecret) { s.CIDRs = []string{"10.0.0.0/8"} })
	for _, c := range []struct{ what, name, secret, want string }{
		{"good", "ci", plain, "plain"},
		{"once", "ci", once, "once"},
		{"in time", "ci", short, "short"},
		{"from inside", "ci", near, "near"},
		{"from outside", "ci", far, ""},
		{"of another account", "alice", plain, ""},
		{"of nobody", "nobody", plain, ""},
		{"mistyped", "ci", plain[:20], ""},
		{"a token", "ci", mustToken(t), ""},
		{"empty", "ci", "", ""},
	} {
		got, err := h.signIn("client", c.name, c.secret)
		if c.want == "" {
			if !errors.Is(err, access.ErrSignInRefused) || err.Error() != access.ErrSignInRefused.Error() {
				t.Errorf("%s: %+v, %v", c.what, got, err)
			}
			continue
		}
		if err != nil || string(got.ClientSecret) != c.want || got.Account != "ci" {
			t.Errorf("%s: %+v, %v", c.what, got, err)
		}
	}
	if got, err := h.signIn("client", "ci", plain); err != nil || got.TTL != time.Minute {
		t.Errorf("%+v, %v", got, err)
	}
	h.apply(&fsm.SignIn{Token: fsm.Token{Accessor: "t9", Hash: []byte("t9"), Account: "ci"}, ClientSecret: "once"})
	if _, err := h.signIn("client", "ci", once); !errors.Is(err, access.ErrSignInRefused) {
		t.Errorf("used up: %v", err)
	}
	h.now = h.now.Add(time.Minute)
	if _, err := h.signIn("client", "ci", short); !errors.Is(err, access.ErrSignInRefused) {
		t.Errorf("expired: %v", err)
	}
	off := true
	h.apply(&fsm.UpdateAccount{Name: "ci", Disabled: &off})
	if _, err := h.signIn("client", "ci", plain); !errors.Is(err, access.ErrSignInRefused) {
		t.Errorf("disabled: %v", err)
	}
}

// Whoever fails is told the same, after the same work: one slow hash, with the same parameters.
func TestPasswordsCostTheSameForEverybody(t *testing.T) {
	h := newHouse(t)
	h.password(right)
	h.apply(&fsm.CreateAccount{Name: "bob", Kind: fsm.KindUser})
	try := func(what, name, secret string, good bool) {
		t.Helper()
		var err error
		if n := h.work(func() { _, err = h.signIn("password", name, secret) }); n != 1 {
			t.Errorf("%s: hashed %d times", what, n)
		}
		if good != (err == nil) || !good && (!errors.Is(err, access.ErrSignInRefused) || err.Error() != access.ErrSignInRefused.Error()) {
			t.Errorf("%s: %v", what, err)
		}
	}
	try("right", "alice", right, true)
	try("wrong", "alice", right+"!", false)
	try("empty", "alice", "", false)
	try("without a password", "bob", right, false)
	try("unknown", "nobody", right, false)
	off := true
	h.apply(&fsm.UpdateAccount{Name: "alice", Disabled: &off})
	try("disabled", "alice", right, false)
}

func TestArgon2IsWhatItIsCalled(t *testing.T) {
	h := newHouse(t)
	creds := access.NewCredentials(access.CredentialsConfig{Records: h.state, Keyring: h.keyring})
	sealed, err := creds.SealPassword(context.Background(), "alice", right)
	h.must(err)
	h.apply(&fsm.SetPassword{Account: "alice", Sealed: sealed})
	text, err := h.keyring.Open(sealed, "password:alice")
	h.must(err)
	if !strings.HasPrefix(string(text), "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("kept as %s", text)
	}
	if _, err := h.keyring.Open(sealed, "password:ci"); err == nil {
		t.Error("one account's password opens for another")
	}
	proof := access.Proof{Name: "alice", Secret: right, Address: home}
	if got, err := creds.SignIn(context.Background(), "password", proof); err != nil || got.Account != "alice" || got.Password == 0 {
		t.Errorf("%+v, %v", got, err)
	}
	proof.Secret += "!"
	if _, err := creds.SignIn(context.Background(), "password", proof); !errors.Is(err, access.ErrSignInRefused) {
		t.Errorf("a wrong one: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", proof, proof, proof); strings.Contains(text, "horse") {
		t.Error("a proof prints what it holds")
	}
}

func TestCheckPassword(t *testing.T) {
	for password, good := range map[string]bool{
		right: true, "short": false, "": false, "eleven char": false, "aaaaaaaaaaaaaaaa": false,
		"Twelve.Chars": false, "twelve signs": true, strings.Repeat("ab", 600): false, "пароль-пароль": true,
	} {
		if err := access.CheckPassword("twelve.chars", password); (err == nil) != good {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestLockout(t *testing.T) {
	for _, name := range []string{"alice", "nobody"} {
		h := newHouse(t)
		h.password(right)
		for i := range 10 {
			if _, err := h.signIn("password", name, "wrong"); !errors.Is(err, access.ErrSignInRefused) {
				t.Fatalf("%s, failure %d: %v", name, i, err)
			}
			h.now = h.now.Add(time.Second)
		}
		var locked *access.LockedError
		work := h.work(func() {
			_, err := h.signIn("password", name, right)
			if !errors.As(err, &locked) || locked.Wait != 15*time.Minute-10*time.Second {
				t.Errorf("%s: %v", name, err)
			}
		})
		if work != 0 {
			t.Errorf("%s: a locked name costs %d hashes", name, work)
		}
		// Programs with the same name are another matter.
		secret := h.clientSecret("s1", func(s *fsm.ClientSecret) { s.Account = "alice" })
		if _, err := h.signIn("client", "alice", secret); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		h.now = h.now.Add(15 * time.Minute)
		if _, err := h.signIn("password", name, right); name == "alice" && err != nil || name != "alice" && !errors.Is(err, access.ErrSignInRefused) {
			t.Errorf("%s, after the time: %v", name, err)
		}
	}
}

func TestASuccessEndsTheCountOfItsName(t *testing.T) {
	h := newHouse(t)
	h.password(right)
	for range 3 {
		for range 9 {
			_, _ = h.signIn("password", "alice", "wrong") // counted
		}
		if _, err := h.signIn("password", "alice", right); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLockoutOfAnAddress(t *testing.T) {
	h := newHouse(t)
	h.password(right)
	var locked *access.LockedError
	for i := range 100 {
		if _, err := h.signIn("password", fmt.Sprintf("name-%d", i), "wrong"); !errors.Is(err, access.ErrSignInRefused) {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if _, err := h.signIn("password", "alice", right); !errors.As(err, &locked) {
		t.Errorf("from the same address: %v", err)
	}
	elsewhere := access.Proof{Name: "alice", Secret: right, Address: netip.MustParseAddr("198.51.100.1")}
	if _, err := h.creds.SignIn(context.Background(), "password", elsewhere); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	// Whoever sends wrong client secrets locks out nobody who has the right one elsewhere.
	secret := h.clientSecret("s1", func(*fsm.ClientSecret) {})
	far := netip.MustParseAddr("2001:db8:1::1")
	for range 10 {
		_, _ = h.creds.SignIn(context.Background(), "client", access.Proof{Name: "ci", Secret: "wrong", Address: far}) // counted
	}
	beside := netip.MustParseAddr("2001:db8:1::2") // of the same network
	if _, err := h.creds.SignIn(context.Background(), "client", access.Proof{Name: "ci", Secret: secret, Address: beside}); !errors.As(err, &locked) {
		t.Errorf("from beside: %v", err)
	}
	elsewhere.Name, elsewhere.Secret = "ci", secret
	if _, err := h.creds.SignIn(context.Background(), "client", elsewhere); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
}

// Two passwords are hashed at once; who waits gets no more tries than who does not, and not everybody may wait.
func TestHashingIsBounded(t *testing.T) {
	h := newHouse(t)
	h.password(right)
	h.inside, h.let = make(chan struct{}), make(chan struct{})
	answers := make(chan error)
	try := func(ctx context.Context, name string) {
		_, err := h.creds.SignIn(ctx, "password", access.Proof{Name: fsm.AccountName(name), Secret: "wrong", Address: home})
		answers <- err
	}
	for range 20 {
		go try(context.Background(), "alice")
	}
	hashed := 0
	refused, locked := 0, 0
	for refused+locked < 20 {
		select {
		case <-h.inside:
			hashed++
			go func() { h.let <- struct{}{} }()
		case err := <-answers:
			var l *access.LockedError
			switch {
			case errors.As(err, &l):
				locked++
			case errors.Is(err, access.ErrSignInRefused):
				refused++
			default:
				t.Fatal(err)
			}
		}
	}
	if refused < 10 || refused > 11 || hashed != refused {
		t.Errorf("%d tries were judged, %d hashed", refused, hashed)
	}

	ctx, cancel := context.WithCancel(context.Background())
	go try(ctx, "a")
	go try(ctx, "b")
	<-h.inside
	<-h.inside
	for i := range 40 {
		go try(ctx, fmt.Sprint("c", i))
	}
	for range 8 {
		if err := <-answers; !errors.Is(err, access.ErrBusy) {
			t.Fatalf("beyond those that may wait: %v", err)
		}
	}
	cancel()
	for range 32 {
		if err := <-answers; !errors.Is(err, context.Canceled) {
			t.Fatalf("who gave up waiting: %v", err)
		}
	}
	h.let <- struct{}{}
	h.let <- struct{}{}
	for range 2 {
		if err := <-answers; !errors.Is(err, access.ErrSignInRefused) {
			t.Fatal(err)
		}
	}
}

func TestWrapping(t *testing.T) {
	h := newHouse(t)
	token, hash, sealed, err := h.creds.Wrap([]byte("the value"))
	h.must(err)
	again, err := h.creds.HashWrapping(token)
	h.must(err)
	if !bytes.Equal(again, hash) {
		t.Error("the token has another hash")
	}
	if plain, err := h.creds.Unwrap(token, sealed); err != nil || string(plain) != "the value" {
		t.Errorf("opened %q, %v", plain, err)
	}
	other, _, _, err := h.creds.Wrap([]byte("another"))
	h.must(err)
	if _, err := h.creds.Unwrap(other, sealed); err == nil {
		t.Error("another token opens it")
	}
}

// Neither the log nor the state holds what somebody could sign in with.
func TestCredentialsAreKeptNowhere(t *testing.T) {
	h := newHouse(t)
	h.password(right)
	secret := h.clientSecret("s1", func(*fsm.ClientSecret) {})
	token := h.token("t2", func(*fsm.Token) {})
	wrapping, hash, sealed, err := h.creds.Wrap([]byte(secret))
	h.must(err)
	h.apply(&fsm.StoreWrapped{Hash: hash, Sealed: sealed, TTL: time.Hour})
	var state bytes.Buffer
	h.must(h.state.View(func(v *fsm.View) error { return nil })) // what was applied is in the file
	content, err := os.ReadFile(filepath.Join(h.dir, "state.db"))
	h.must(err)
	state.Write(content)
	for what, one := range map[string]string{"password": right, "client secret": secret, "token": token, "wrapping token": wrapping, "hash": "argon2id"} {
		for i, entry := range h.log {
			if bytes.Contains(entry, []byte(one)) {
				t.Errorf("entry %d of the log holds the %s", i+1, what)
			}
		}
		if bytes.Contains(state.Bytes(), []byte(one)) {
			t.Errorf("the state file holds the %s", what)
		}
	}
	if !bytes.Contains(state.Bytes(), hash) {
		t.Error("the state file was not looked through")
	}
}
