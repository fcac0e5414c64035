package providertest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/providertest"
)

func TestFakeKeepsTheContract(t *testing.T) {
	t.Run("one password", func(t *testing.T) { testContract(t, func(*providertest.Fake) {}) })
	t.Run("two keys", func(t *testing.T) { testContract(t, (*providertest.Fake).KeepRoots) })
}

func testContract(t *testing.T, furnish func(*providertest.Fake)) {
	providertest.Run(t, func(t *testing.T) providertest.Fixture {
		fake := providertest.NewFake()
		furnish(fake)
		fake.SetRootPassword("canary-root-password")
		return providertest.Fixture{
			Provider:      fake.Provider(),
			Connection:    map[string]any{"password": "canary-root-password"},
			Options:       map[string]any{"member_of": "readers"},
			BrokenOptions: map[string]any{"member_of": []any{"readers", "no_such_group"}},
			LogIn: func(_ context.Context, v providers.Values) error {
				return fake.LogIn(v["username"].Reveal(), v["password"].Reveal())
			},
			Rotation: func(*testing.T) map[string]any {
				fake.SetRootPassword("canary-root-password")
				return map[string]any{"password": "canary-root-password"}
			},
			OpenCreate: func(_ *testing.T, grant providers.Grant) func(bool) { return fake.OpenCreate(grant) },
			Stick: func(_ *testing.T, name providers.LoginName) func() {
				fake.Stick(name, "a grant is in the way")
				return func() { fake.Unstick(name) }
			},
		}
	})
}

func TestFakeFaults(t *testing.T) {
	tests := []struct {
		fault   providertest.Fault
		kind    providers.Kind
		notSent bool
		made    bool // when Create has returned
		late    bool // after Deliver
	}{
		{providertest.FaultUnreachable, providers.KindUnavailable, true, false, false},
		{providertest.FaultRefuse, providers.KindRejected, false, false, false},
		{providertest.FaultLoseCall, providers.KindUnknown, false, false, false},
		{providertest.FaultLoseAnswer, providers.KindUnknown, false, true, true},
		{providertest.FaultHang, providers.KindUnknown, false, false, false},
		{providertest.FaultLate, providers.KindUnknown, false, false, true},
		{providertest.FaultHangAfter, providers.KindUnknown, false, true, true},
		{providertest.FaultHalf, providers.KindRejected, false, true, true},
	}
	for _, test := range tests {
		fake := providertest.NewFake()
		backend, err := fake.Provider().Open(providers.Settings{}, providers.Env{})
		if err != nil {
			t.Fatal(err)
		}
		fake.FailTimes(providertest.OpCreate, test.fault, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err = backend.Create(ctx, providers.Grant{Login: providers.Login{Name: "x", ExpiresAt: time.Now().Add(time.Hour)}, Deadline: time.Now().Add(time.Minute)})
		cancel()
		var e *providers.Error
		if !errors.As(err, &e) || e.Kind != test.kind || e.NotSent != test.notSent {
			t.Errorf("fault %d: got %#v, want kind %s, not sent %v", test.fault, err, test.kind, test.notSent)
		}
		if _, made := fake.Login("x"); made != test.made {
			t.Errorf("fault %d: login made %v, want %v", test.fault, made, test.made)
		}
		fake.Deliver()
		if _, made := fake.Login("x"); made != test.late {
			t.Errorf("fault %d: login made after delivery %v, want %v", test.fault, made, test.late)
		}
		if _, err := backend.Check(t.Context()); err != nil {
			t.Errorf("fault %d: a check fails too: %v", test.fault, err)
		}
	}
}

func TestFakeHalfBatch(t *testing.T) {
	fake := providertest.NewFake()
	backend, err := fake.Provider().Open(providers.Settings{}, providers.Env{})
	if err != nil {
		t.Fatal(err)
	}
	var logins []providers.Login
	for _, name := range []providers.LoginName{"a", "b", "c"} {
		fake.Add(providertest.FakeLogin{Name: name, CanLogin: true})
		logins = append(logins, providers.Login{Name: name})
	}
	fake.FailTimes(providertest.OpRevoke, providertest.FaultHalf, 1)
	if got := len(backend.Revoke(t.Context(), logins)); got != 2 {
		t.Errorf("got %d answers, want 2 of 3", got)
	}
	if got := fake.Logins(); len(got) != 1 || got[0].Name != "b" {
		t.Errorf("left are %v, want b only", got)
	}
}
