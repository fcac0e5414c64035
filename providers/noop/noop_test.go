package noop

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/providers"
)

func open(t *testing.T) providers.Backend {
	t.Helper()
	registry, err := providers.NewRegistry(Provider{}) // checks the description
	if err != nil {
		t.Fatal(err)
	}
	provider, _ := registry.Get("noop")
	settings, problems := provider.Describe().ValidateConnection(map[string]any{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b, err := provider.Open(settings, providers.Env{Prefix: "brk_test_"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return providers.Redacting(b)
}

func grant(name string) providers.Grant {
	return providers.Grant{Login: providers.Login{Name: providers.LoginName(name)}, Deadline: time.Now().Add(time.Minute)}
}

func kind(err error) providers.Kind {
	var pe *providers.Error
	if !errors.As(err, &pe) {
		return providers.KindUnknown
	}
	return pe.Kind
}

func TestLife(t *testing.T) {
	b := open(t)
	one, err := b.Check(t.Context())
	if two, err2 := b.Check(t.Context()); err != nil || err2 != nil || one == "" || one != two {
		t.Errorf("check: %q, %v; %q, %v", one, err, two, err2)
	}
	g := grant("brk_test_a")
	values, err := b.Create(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	other, err := b.Create(t.Context(), grant("brk_test_b"))
	if err != nil {
		t.Fatal(err)
	}
	if values["username"].Reveal() != "brk_test_a" || len(values["password"].Reveal()) < 20 || values["password"].Reveal() == other["password"].Reveal() {
		t.Errorf("values of two logins: %d and %d fields", len(values), len(other))
	}
	for _, output := range (Provider{}).Describe().Outputs {
		if _, there := values[output.Name]; !there {
			t.Errorf("the output %q has no value", output.Name)
		}
	}
	logins := []providers.Login{g.Login, {Name: "brk_test_never"}}
	want := map[providers.LoginName]error{"brk_test_a": nil, "brk_test_never": nil}
	for doing, answers := range map[string]map[providers.LoginName]error{
		"renew":   b.Renew(t.Context(), logins),
		"revoke":  b.Revoke(t.Context(), logins),
		"confirm": b.ConfirmAbsent(t.Context(), logins, time.Now()),
	} {
		if diff := cmp.Diff(want, answers); diff != "" {
			t.Errorf("%s (-want +got):\n%s", doing, diff)
		}
	}
}

func TestRefusals(t *testing.T) {
	b := open(t)
	late := grant("brk_test_a")
	late.Deadline = time.Now().Add(-time.Second)
	for _, g := range []providers.Grant{late, grant("somebody")} {
		if _, err := b.Create(t.Context(), g); kind(err) != providers.KindRejected {
			t.Errorf("create %q: %v, want rejected", g.Name, err)
		}
	}
	logins := []providers.Login{{Name: "brk_test_a"}}
	if err := b.ConfirmAbsent(t.Context(), logins, time.Now().Add(time.Hour))["brk_test_a"]; kind(err) != providers.KindTooEarly {
		t.Errorf("confirming an hour early: %v, want too early", err)
	}
	for _, err := range b.List(t.Context(), "brk_test_") {
		if kind(err) != providers.KindUnsupported {
			t.Errorf("list: %v, want unsupported", err)
		}
	}
}

// A call whose context is done and one after Close fail, and say that nothing was sent.
func TestOver(t *testing.T) {
	b := open(t)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	check := func(what string, ctx context.Context) {
		t.Helper()
		_, err := b.Create(ctx, grant("brk_test_a"))
		var pe *providers.Error
		if !errors.As(err, &pe) || pe.Kind != providers.KindUnavailable || !pe.NotSent {
			t.Errorf("%s: %v, want unavailable and not sent", what, err)
		}
		if err := b.Revoke(ctx, []providers.Login{{Name: "brk_test_a"}})["brk_test_a"]; err == nil {
			t.Errorf("%s: revoke succeeded", what)
		}
	}
	check("done context", done)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	check("closed", t.Context())
}
