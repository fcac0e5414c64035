package broker_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"broker/broker"
	"broker/fsm"
)

// Many programs with one client secret that is good for one sign-in: one of them gets a token.
func TestOneUseIsOneToken(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		secret, err := h.b.CreateClientSecret(t.Context(), alice(), broker.ClientSecretSpec{ID: "s1", Account: "alice", Hash: []byte("s1"), MaxUses: 1})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		codes := make(chan fsm.Code, 8)
		for i := range 8 {
			all.Go(func() {
				_, err := h.b.SignIn(t.Context(), broker.Request{}, broker.SignInSpec{Account: "alice", Hash: []byte{byte(i)}, Method: fsm.MethodClient, ClientSecret: secret.ID})
				if err != nil {
					codes <- refusal(err)
				}
			})
		}
		all.Wait()
		close(codes)
		refused := 0
		for code := range codes {
			if code != fsm.CodeSignInRefused {
				t.Errorf("refused with %s", code)
			}
			refused++
		}
		if refused != 7 {
			t.Errorf("%d of 8 were refused", refused)
		}
	})
}

func TestTokensLiveAsLongAsTheirAccountsMay(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		if _, err := h.b.CreateAccount(t.Context(), alice(), broker.AccountSpec{Name: "ci", Kind: fsm.KindService}); err != nil {
			t.Fatal(err)
		}
		day := 24 * time.Hour
		for _, c := range []struct {
			account  fsm.AccountName
			ttl, got time.Duration
			refused  fsm.Code
		}{
			{account: "alice", got: 12 * time.Hour},
			{account: "ci", got: day},
			{account: "ci", ttl: 90 * day, got: 90 * day},
			{account: "ci", ttl: 90*day + time.Second, refused: fsm.CodeInvalid},
			{account: "alice", ttl: 30 * day, got: 30 * day},
			{account: "alice", ttl: 31 * day, refused: fsm.CodeInvalid},
			{account: "nobody", refused: fsm.CodeNotFound},
		} {
			req := alice()
			req.Actor.Token = "t1"
			made, err := h.b.MakeToken(t.Context(), req, broker.TokenSpec{Hash: []byte(c.account + "1"), Account: c.account, TTL: c.ttl})
			if refusal(err) != c.refused || err == nil && made.ExpiresAt.Sub(made.CreatedAt) != c.got {
				t.Errorf("%+v: %s, %v", c, made.ExpiresAt.Sub(made.CreatedAt), err)
			}
		}
		if _, err := h.b.MakeToken(t.Context(), alice(), broker.TokenSpec{Hash: []byte("x")}); refusal(err) != fsm.CodeInvalid {
			t.Errorf("for itself, without a token: %v", err)
		}
		// Signing in for longer than may be is as long as may be.
		in, err := h.b.SignIn(t.Context(), broker.Request{}, broker.SignInSpec{Account: "alice", Hash: []byte("y"), TTL: 400 * day})
		if err != nil || in.ExpiresAt.Sub(in.CreatedAt) != 30*day {
			t.Errorf("signed in for %s, %v", in.ExpiresAt.Sub(in.CreatedAt), err)
		}
	})
}

// What a stranger asks in vain is no entry of the log.
func TestWrongWrappingTokensAreNoEntries(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		if _, err := h.b.StoreWrapped(t.Context(), alice(), broker.WrappedSpec{Hash: []byte("w"), Sealed: []byte("sealed"), TTL: time.Minute}); err != nil {
			t.Fatal(err)
		}
		before := len(h.log.entries)
		if _, err := h.b.TakeWrapped(t.Context(), broker.Request{}, []byte("x")); refusal(err) != fsm.CodeWrappedGone || len(h.log.entries) != before {
			t.Errorf("%v, %d entries", err, len(h.log.entries)-before)
		}
		if got, err := h.b.TakeWrapped(t.Context(), broker.Request{}, []byte("w")); err != nil || string(got.Sealed) != "sealed" {
			t.Errorf("%q, %v", got.Sealed, err)
		}
		if _, err := h.b.TakeWrapped(t.Context(), broker.Request{}, []byte("w")); refusal(err) != fsm.CodeWrappedGone {
			t.Errorf("again: %v", err)
		}
		if _, err := h.b.StoreWrapped(t.Context(), alice(), broker.WrappedSpec{Hash: []byte("v"), Sealed: []byte("sealed"), TTL: 25 * time.Hour}); refusal(err) != fsm.CodeInvalid {
			t.Errorf("for too long: %v", err)
		}
	})
}

// What is over is forgotten within minutes.
func TestCredentialsArePruned(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		if _, err := h.b.SignIn(t.Context(), broker.Request{}, broker.SignInSpec{Account: "alice", Hash: []byte("y"), TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.b.StoreWrapped(t.Context(), alice(), broker.WrappedSpec{Hash: []byte("w"), Sealed: []byte("sealed"), TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.b.CreateClientSecret(t.Context(), alice(), broker.ClientSecretSpec{ID: "s1", Account: "alice", Hash: []byte("s1"), TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		left := func() (n int) {
			h.view(func(v *fsm.View) {
				n = len(v.TokensOf("alice", "", 10)) - 1 + len(v.ClientSecretsOf("alice", "", 10))
				if _, ok := v.Wrapped([]byte("w")); ok {
					n++
				}
			})
			return n
		}
		if n := left(); n != 3 {
			t.Fatalf("%d were kept", n)
		}
		pass(time.Hour + 3*time.Minute)
		if n := left(); n != 0 {
			t.Errorf("%d are left", n)
		}
	})
}

// Whoever has a node's data directory gets an admin that works, whatever became of the account.
func TestRestoreAdmin(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		restore := func(want bool) (binding fsm.BindingID) {
			t.Helper()
			if done, err := h.b.RestoreAdmin(t.Context(), broker.Request{}, "admin"); err != nil || done != want {
				t.Errorf("restored %v, %v", done, err)
			}
			h.view(func(v *fsm.View) {
				if a, ok := v.Account("admin"); !ok || a.Disabled || a.Kind != fsm.KindUser {
					t.Errorf("the account is %+v", a)
				}
				list := v.BindingsOf("admin", nil)
				if len(list) != 1 || list[0].Role != fsm.RoleAdmin || list[0].Scope != fsm.Everywhere {
					t.Fatalf("it has %+v", list)
				}
				binding = list[0].ID
			})
			return binding
		}
		restore(true) // it is not there
		binding := restore(false)
		if _, err := h.b.CreateAccount(t.Context(), alice(), broker.AccountSpec{Name: "other", Kind: fsm.KindUser}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.b.RestoreAdmin(t.Context(), broker.Request{}, "other"); err != nil { // so that there is another admin
			t.Fatal(err)
		}
		off := true
		if _, _, err := h.b.UpdateAccount(t.Context(), alice(), broker.AccountChange{Name: "admin", Disabled: &off}); err != nil {
			t.Fatal(err)
		}
		restore(true)
		if err := h.b.DeleteBinding(t.Context(), alice(), binding, 0); err != nil {
			t.Fatal(err)
		}
		restore(true)
	})
}

func TestBadGroupsAndAccounts(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		many := make([]fsm.AccountName, 1001)
		for i := range many {
			many[i] = "alice"
		}
		for what, try := range map[string]func() error{
			"a bad name": func() error { _, err := h.b.CreateGroup(t.Context(), alice(), broker.GroupSpec{Name: "A"}); return err },
			"a bad member": func() error {
				_, err := h.b.CreateGroup(t.Context(), alice(), broker.GroupSpec{Name: "a", Members: []fsm.AccountName{"B"}})
				return err
			},
			"too many at once": func() error {
				_, err := h.b.UpdateGroup(t.Context(), alice(), broker.GroupChange{Name: "a", Add: many})
				return err
			},
			"a bad kind": func() error {
				_, err := h.b.CreateAccount(t.Context(), alice(), broker.AccountSpec{Name: "b", Kind: "robot"})
				return err
			},
			"bad networks": func() error {
				_, err := h.b.CreateClientSecret(t.Context(), alice(), broker.ClientSecretSpec{ID: "s", Hash: []byte("s"), Account: "alice", CIDRs: []string{"10.0.0.1"}})
				return err
			},
			"too many uses": func() error {
				_, err := h.b.MakeToken(t.Context(), alice(), broker.TokenSpec{Hash: []byte("s"), Account: "alice", MaxUses: 2_000_000})
				return err
			},
		} {
			before := len(h.log.entries)
			if err := try(); refusal(err) != fsm.CodeInvalid {
				t.Errorf("%s: %v", what, err)
			}
			if len(h.log.entries) != before {
				t.Errorf("%s: it is an entry of the log", what)
			}
		}
	})
}

// People click more often than the log needs to know.
func TestATokenIsRenewedWhenThatMovesItsEndByMuch(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		in, err := h.b.SignIn(t.Context(), broker.Request{}, broker.SignInSpec{Account: "alice", Hash: []byte("y"), Description: "console", IdleTTL: 30 * time.Minute})
		if err != nil || in.Description != "console" || in.IdleEndsAt.Sub(in.CreatedAt) != 30*time.Minute {
			t.Fatalf("%+v, %v", in, err)
		}
		renew := func(after time.Duration, entries int, refused fsm.Code) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait() // for what the broker does by the clock
			before := h.log.written()
			got, err := h.b.RenewToken(t.Context(), alice(), in.Accessor)
			if refusal(err) != refused || h.log.written()-before != entries {
				t.Errorf("%v, %d entries, %v", got, h.log.written()-before, err)
			}
		}
		renew(2*time.Minute, 0, "")
		renew(2*time.Minute, 1, "")
		renew(29*time.Minute, 1, "")
		renew(31*time.Minute, 1, fsm.CodeTokenRefused)
		plain, err := h.b.CreateToken(t.Context(), alice(), fsm.Token{Accessor: "PLAIN", Hash: []byte("p"), Account: "alice", ExpiresAt: fsm.At(h.b.Now()).Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		in = plain
		renew(2*time.Minute, 0, "") // it need not be renewed
		if _, err := h.b.SignIn(t.Context(), broker.Request{}, broker.SignInSpec{Account: "alice", Hash: []byte("z"), IdleTTL: 400 * 24 * time.Hour}); refusal(err) != fsm.CodeInvalid {
			t.Errorf("idle for a year: %v", err)
		}
	})
}
