package vault

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzPaths holds that whatever path is asked for, what is taken from it are whole segments, and that none leads from a
// mount to anything else.
func FuzzPaths(f *testing.F) {
	for _, one := range []string{
		"payments/production/creds/orders-ro", "payments/production/creds/orders-ro/01HZZ", "sys/leases/renew/a/b/creds/c/d", "sys/leases/lookup", "sys/leases/lookup/",
		"auth/userpass/login/ann", "auth/userpass/login/", "sys/x/creds/y", "auth/token/creds/z", "///", "a/b/creds/", "sys/internal/ui/mounts/a/b", "a/b/creds/c/d/e", "\x00/../creds/ /",
	} {
		f.Add(one)
	}
	s := New(Config{})
	f.Fuzz(func(t *testing.T, path string) {
		if p, ok := parsePlace(path); ok && p.ID != "" {
			if again, same := parsePlace(leaseID(p.secret().String(), p.ID)); !same || again != p {
				t.Errorf("%q is %+v, and then %+v", path, p, again)
			}
		}
		for _, method := range []string{http.MethodGet, http.MethodPut, list} {
			one, found, _ := s.find(method, &url.URL{Path: Prefix + path})
			if found == nil {
				continue
			}
			for _, name := range found.names {
				if name == "" {
					t.Errorf("%q: an empty name at %s", path, one.pattern)
				}
			}
			if len(found.names) == 3 && (found.names[0] == "sys" || found.names[0] == "auth") {
				t.Errorf("%q is a mount", path)
			}
		}
	})
}

// FuzzDurations holds that no length of time is negative or beyond what anything lives.
func FuzzDurations(f *testing.F) {
	for _, one := range []string{`60`, `"60"`, `"1h"`, `null`, `-1`, `1e400`, `"-1h"`, `[]`, `""`, `9223372036854775807`, `"106751d"`, `0.5`, `1e18`} {
		f.Add(one)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fields, err := parseBody([]byte(`{"increment":` + text + `}`))
		if err != nil {
			return
		}
		if got, err := fields.duration("increment"); err == nil && (got < 0 || got > longest) {
			t.Errorf("%s is %s", text, got)
		}
	})
}

func TestSemver(t *testing.T) {
	for version, want := range map[string]string{"1.2.3": "1.2.3", "v1.2.3": "1.2.3", "v1.2.3-rc.1+x": "1.2.3-rc.1+x", "dev": "0.0.0", "": "0.0.0", "1.2": "0.0.0", "1.x.3": "0.0.0"} {
		if got := semver(version); got != want {
			t.Errorf("%q is told as %q, want %q", version, got, want)
		}
	}
}

// Who asks for what is not there is told what he may have meant.
func TestHintOfRoute(t *testing.T) {
	for path, want := range map[string]string{
		"payments/production/orders-ro": "are at payments/production/creds/orders-ro",
		"database/creds/orders-ro":      "app/env/creds/name",
		"secret/data/app/db":            "app/env/creds/name",
		"sys/capabilities-self":         "auth/approle",
		"auth/kubernetes/login":         "auth/approle",
		"":                              "app/env/creds/name",
	} {
		if got := hintOfRoute(path); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
