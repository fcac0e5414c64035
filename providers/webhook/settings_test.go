package webhook

import (
	"strings"
	"testing"
	"time"

	"broker/providers"
)

func TestSettings(t *testing.T) {
	for _, test := range []struct{ url, secret, want string }{
		{"https://logins.internal/broker", testSecret, ""},
		{"https://logins.internal:8443", testSecret, ""},
		{"http://127.0.0.1:8080/broker/", testSecret, ""},
		{"http://localhost", testSecret, ""},
		{"http://[::1]:80", testSecret, ""},
		{"http://logins.internal", testSecret, "http off loopback"},
		{"http://127.0.0.1.example.com", testSecret, "http off loopback"},
		{"ftp://127.0.0.1", testSecret, "neither"},
		{"logins.internal", testSecret, "is none"},
		{"https:logins", testSecret, "is none"},
		{"https://user:hunter2@logins.internal", testSecret, "without an account"},
		{"https://logins.internal/?token=hunter2", testSecret, "query"},
		{"https://logins.internal/#x", testSecret, "query"},
		{"https://%zz", testSecret, "is none"},
		{"https://logins.internal", "short", "secret is shorter"},
	} {
		b, err := Provider{}.Open(providers.Settings{"url": test.url, "secret": test.secret}, providers.Env{})
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", test.url, err)
			} else if err := b.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want an error with %q and no password", test.url, err, test.want)
		}
	}
}

func FuzzOptions(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a": {"b": [1, "'\"\\"]}}`, `[]`, `null`, `"x"`, `{"a":1}{`, "{\"a\": \"\u2028\"}", `{"a": 1e999}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		options := providers.Options{"service_options": text}
		problems := Provider{}.ValidateOptions(options)
		got, err := serviceOptions(options)
		if (len(problems) > 0) != (err != nil) {
			t.Fatalf("%q: %v, %v", text, problems, err)
		}
		if err == nil && strings.TrimSpace(text) != "" && (got[0] != '{' || strings.ContainsAny(string(got), "\n\r")) {
			t.Errorf("%q became %s", text, got)
		}
	})
}

func TestOptions(t *testing.T) {
	for text, ok := range map[string]bool{"": true, " ": true, `{}`: true, `{"role": "reader"}`: true, `null`: false, `[]`: false, `{"role"`: false, `{} {}`: false} {
		if problems := (Provider{}).ValidateOptions(providers.Options{"service_options": text}); (len(problems) == 0) != ok {
			t.Errorf("%q: got %v", text, problems)
		}
	}
}

// What is shown needs no secret: the broker gives a preview only what is not sealed.
func TestPreviewNeedsNoSecret(t *testing.T) {
	lines := Provider{}.Preview(providers.Settings{"url": "https://logins.internal/broker"}, providers.Options{}, "brk_ab12_x", time.Now())
	if len(lines) != 3 || !strings.HasPrefix(lines[0], `POST https://logins.internal/broker/create {"request_id":"create/brk_ab12_x"`) {
		t.Errorf("got %q", lines)
	}
}
