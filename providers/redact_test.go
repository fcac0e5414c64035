package providers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"broker/providers"
)

const canary = `ca'na"ry/+ä`

func TestSecretNeverPrints(t *testing.T) {
	secret := providers.NewSecret(canary)
	encoded, err := json.Marshal(map[string]any{"v": secret, "p": &secret})
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "secret", secret, "values", providers.Values{"password": secret})
	texts := []string{string(encoded), logged.String(), secret.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, secret), fmt.Sprintf(verb, []providers.Secret{secret}), fmt.Sprintf(verb, struct{ S providers.Secret }{secret}))
	}
	for _, text := range texts {
		if strings.Contains(text, "ca'na") || strings.Contains(text, "6361276e61") {
			t.Errorf("a secret was printed: %s", text)
		}
	}
}

func TestRedact(t *testing.T) {
	for _, text := range []string{
		"plain " + canary,
		"sql 'ca''na\"ry/+ä'",
		`json "ca'na\"ry/+ä"`,
		"url postgres://u:ca%27na%22ry%2F+%C3%A4@h",
		"query p=ca%27na%22ry%2F%2B%C3%A4",
		"base64 Y2EnbmEicnkvK8Ok",
	} {
		if got := providers.Redact(text, providers.NewSecret(canary)); !strings.Contains(got, "[redacted]") || strings.Contains(got, "na") && !strings.HasPrefix(text, "plain") {
			t.Errorf("got %q", got)
		}
	}
	if got := providers.Redact("text", providers.NewSecret("")); got != "text" {
		t.Errorf("an empty secret changes a text to %q", got)
	}
}

// leaky fails with errors that hold secrets.
type leaky struct{ providers.Backend }

func (leaky) fail(ctx context.Context) error {
	made := providers.NewSecret("made-by-the-call")
	providers.Conceal(ctx, made)
	return fmt.Errorf("wrapping: %w", &providers.Error{Kind: providers.KindExists, NotSent: true, Hint: "hint " + canary,
		Err: fmt.Errorf("password %s, %s: %w", canary, made.Reveal(), context.Canceled)})
}

func (l leaky) Check(ctx context.Context) (providers.SystemID, error) { return "", l.fail(ctx) }
func (l leaky) Create(ctx context.Context, _ providers.Grant) (providers.Values, error) {
	return nil, l.fail(ctx)
}
func (l leaky) Renew(ctx context.Context, _ []providers.Login) map[providers.LoginName]error {
	return map[providers.LoginName]error{"x": l.fail(ctx), "y": nil}
}
func (l leaky) Revoke(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	return l.Renew(ctx, logins)
}
func (l leaky) ConfirmAbsent(ctx context.Context, logins []providers.Login, _ time.Time) map[providers.LoginName]error {
	return l.Renew(ctx, logins)
}
func (l leaky) List(ctx context.Context, _ string) iter.Seq2[providers.Found, error] {
	return func(yield func(providers.Found, error) bool) { yield(providers.Found{}, l.fail(ctx)) }
}
func (leaky) Close() error { return errors.New(canary) }
func (l leaky) CheckOptions(ctx context.Context, _ providers.Options) ([]providers.FieldError, error) {
	return []providers.FieldError{{Field: "f", Message: canary}}, l.fail(ctx)
}

func TestRedacting(t *testing.T) {
	ctx := t.Context()
	b := providers.Redacting(leaky{}, providers.NewSecret(canary))
	_, check := b.Check(ctx)
	_, create := b.Create(ctx, providers.Grant{})
	fields, options := providers.CheckOptions(ctx, b, nil)
	errs := []error{check, create, options, b.Renew(ctx, nil)["x"], b.Revoke(ctx, nil)["x"], b.ConfirmAbsent(ctx, nil, time.Time{})["x"]}
	for _, err := range b.List(ctx, "") {
		errs = append(errs, err)
	}
	for i, err := range errs {
		var e *providers.Error
		if !errors.As(err, &e) || e.Kind != providers.KindExists || !e.NotSent || !errors.Is(err, context.Canceled) {
			t.Errorf("error %d lost its class: %#v", i, err)
			continue
		}
		if text := fmt.Sprintf("%v %#v %s", err, err, e.Hint); strings.Contains(text, "ca'na") || strings.Contains(text, "made-by") {
			t.Errorf("error %d holds a secret: %s", i, text)
		}
	}
	if strings.Contains(fields[0].Message, "ca'na") || strings.Contains(b.Close().Error(), "ca'na") {
		t.Error("a field error or the error of Close holds a secret")
	}
	if err, answered := b.Revoke(ctx, nil)["y"]; err != nil || !answered {
		t.Error("success was lost")
	}
}

// verbose fails with what it is given, as text and as hint.
type verbose struct {
	leaky
	text string
}

func (v verbose) Check(context.Context) (providers.SystemID, error) {
	return "", &providers.Error{Kind: providers.KindRejected, Hint: v.text, Err: errors.New(v.text)}
}

func TestRedactingCuts(t *testing.T) {
	const limit, end = 1024, "… (cut)"
	kept := strings.Repeat("x", limit)
	// A secret that stands across the place of the cut, and characters of several bytes in each position.
	texts := map[string]string{"": "", kept: kept, strings.Repeat("x", limit-20) + canary + kept: strings.Repeat("x", limit-20) + "[redacted]x" + end}
	for lead := range 4 {
		texts[strings.Repeat("x", lead)+strings.Repeat("😀", 2000)] = strings.Repeat("x", lead) + strings.Repeat("😀", (limit-len(end)-lead)/4) + end
	}
	for text, want := range texts {
		_, err := providers.Redacting(verbose{text: text}, providers.NewSecret(canary)).Check(t.Context())
		var e *providers.Error
		if !errors.As(err, &e) {
			t.Fatalf("got %v, want an error", err)
		}
		for what, got := range map[string]string{"text": e.Error(), "hint": e.Hint} {
			if !utf8.ValidString(got) || len(got) > limit || strings.Contains(got, "ca'") {
				t.Errorf("%s of %d bytes: got %d bytes, %q", what, len(text), len(got), got)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s of %d bytes (-want +got):\n%s", what, len(text), diff)
			}
		}
	}
}
