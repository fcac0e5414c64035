package providers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"broker/providers"
)

func (l leaky) LogIn(_ context.Context, values providers.Values) error {
	return providers.Errorf(providers.KindRejected, "logging in at %s:%s as %s with %s: %w", values["host"].Reveal(), values["port"].Reveal(),
		values["username"].Reveal(), values["password"].Reveal(), context.Canceled)
}

func (l leaky) PlanRotation(ctx context.Context, _ providers.Settings) (providers.Settings, error) {
	return nil, l.fail(ctx)
}

func (l leaky) Rotate(_ context.Context, plan providers.Settings) (providers.Settings, error) {
	return nil, providers.Errorf(providers.KindUnavailable, "changing the password of %s to %s", plan.String("username"), plan.String("password"))
}

func (l leaky) Retire(_ context.Context, previous providers.Settings) error {
	return providers.Errorf(providers.KindUnavailable, "removing key %s", previous.String("password"))
}

// What a call is given that is secret is in none of its errors, and where it went still is.
func TestRedactingAbilities(t *testing.T) {
	ctx := t.Context()
	b := providers.Redacting(leaky{}, providers.NewSecret(canary))
	values := providers.Values{}
	for name, value := range map[string]string{"host": "db1.internal", "port": "5432", "username": "brk_c4c4_x", "password": "leased-password"} {
		values[name] = providers.NewSecret(value)
	}
	const want = "logging in at db1.internal:5432 as brk_c4c4_x with [redacted]: context canceled"
	err := providers.LogIn(ctx, b, values)
	var e *providers.Error
	if !errors.As(err, &e) || e.Kind != providers.KindRejected || e.Error() != want || !errors.Is(err, context.Canceled) {
		t.Errorf("log in: got %v, want %s", err, want)
	}
	sealed := providers.Settings{"username": "broker", "password": "new-password"}
	_, plan := providers.PlanRotation(ctx, b, nil)
	_, rotate := providers.Rotate(ctx, b, sealed)
	for doing, err := range map[string]error{"plan": plan, "rotate": rotate, "retire": providers.Retire(ctx, b, sealed)} {
		text := fmt.Sprintf("%v %#v", err, err)
		if err == nil || strings.Contains(text, "new-password") || strings.Contains(text, "ca'na") || strings.Contains(text, "made-by") {
			t.Errorf("%s: got %s", doing, text)
		}
	}
	if !strings.Contains(rotate.Error(), "password of broker to [redacted]") {
		t.Errorf("rotate: got %v", rotate)
	}
}

// plain has none of the optional abilities.
type plain struct{ providers.Backend }

func TestMissingAbilities(t *testing.T) {
	ctx := t.Context()
	for name, b := range map[string]providers.Backend{"plain": plain{}, "redacting": providers.Redacting(plain{})} {
		_, plan := providers.PlanRotation(ctx, b, nil)
		_, rotate := providers.Rotate(ctx, b, nil)
		for doing, err := range map[string]error{"log in": providers.LogIn(ctx, b, nil), "plan": plan, "rotate": rotate, "retire": providers.Retire(ctx, b, nil)} {
			var e *providers.Error
			if !errors.As(err, &e) || e.Kind != providers.KindUnsupported {
				t.Errorf("%s, %s: got %v, want unsupported", name, doing, err)
			}
		}
		if wrong, err := providers.CheckOptions(ctx, b, nil); wrong != nil || err != nil {
			t.Errorf("%s: options: %v, %v", name, wrong, err)
		}
	}
	if w := providers.Warnings(named("a"), nil); w != nil {
		t.Errorf("warnings: %v", w)
	}
	if s, err := providers.Complete(named("a"), providers.Settings{"k": "v"}); err != nil || s.String("k") != "v" {
		t.Errorf("completed: %v, %v", s, err)
	}
}

// able has those of a Provider.
type able struct{ named }

func (able) Warnings(providers.Settings) []string { return []string{"beware"} }
func (able) Complete(s providers.Settings) (providers.Settings, error) {
	s["key"] = "made"
	return s, nil
}

func TestProviderAbilities(t *testing.T) {
	if got := providers.Warnings(able{"a"}, nil); !slices.Equal(got, []string{"beware"}) {
		t.Errorf("warnings: %v", got)
	}
	if got, err := providers.Complete(able{"a"}, providers.Settings{}); err != nil || got.String("key") != "made" {
		t.Errorf("completed: %v, %v", got, err)
	}
}
