package api_test

import (
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"broker/access"
	"broker/api"
	"broker/api/apitest"
	"broker/api/types"
	"broker/fsm"
)

// refusing is an Authorizer that refuses with whatever a test wants.
type refusing struct {
	api.AllowAll
	with atomic.Pointer[fsm.Refusal]
}

func (r *refusing) Decide(access.Request) (access.Decision, error) {
	if refusal := r.with.Load(); refusal != nil {
		return access.Decision{}, refusal
	}
	return access.Decision{Allowed: true}, nil
}

// members that a problem may have; others are of the code's own.
var problemMembers = regexp.MustCompile(`^(type|title|status|detail|code|instance|errors|hint|retry_after)$`)

// Whatever goes wrong, an answer tells what it is and nothing of what serves it.
func TestProblemsTellNothingOfTheInside(t *testing.T) {
	var authorizer refusing
	kit := apitest.Start(t, func(c *api.Config) {
		c.Authorizer, c.Version = &authorizer, "7.7.7-of-a-test"
		c.Status = func() types.Cluster { panic("a canary in a panic") }
	})
	inside := []string{"7.7.7", runtime.Version(), "goroutine", ".go:", "broker/api", "runtime.", "canary", "huma", "mux"}
	check := func(name string, got answer, status int) {
		t.Helper()
		if got.status != status || got.header.Get("Content-Type") != types.ProblemContentType {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
		for _, word := range inside {
			if strings.Contains(got.text, word) {
				t.Errorf("%s tells %q: %s", name, word, got.text)
			}
			for header, values := range got.header {
				if strings.Contains(strings.Join(values, " "), word) {
					t.Errorf("%s tells %q in %s", name, word, header)
				}
			}
		}
		for _, header := range []string{"Server", "X-Powered-By", "Via"} {
			if got.header.Get(header) != "" {
				t.Errorf("%s has the header %s", name, header)
			}
		}
		if wait := got.header.Get("Retry-After"); (status == 429 || status == 503) != (wait != "") {
			t.Errorf("%s (%d) says to come back after %q", name, status, wait)
		}
		for member := range got.json {
			if !problemMembers.MatchString(member) {
				t.Errorf("%s has the member %s", name, member)
			}
		}
	}
	codes := api.Codes()
	if len(codes) < 60 {
		t.Fatalf("there are only the codes %v", codes)
	}
	for _, code := range codes {
		authorizer.with.Store(&fsm.Refusal{Code: fsm.Code(code), Message: "a test refuses"})
		got := ask(t, kit.URL, "GET", "/api/v1/connections", "")
		check(code, got, api.StatusOf(code))
		want := code
		if code == string(fsm.CodeTokenRefused) {
			want = "unauthenticated" // whoever shows a token learns not why it is none
		}
		if got.code() != want {
			t.Errorf("%s is answered as %s, want %s", code, got.code(), want)
		}
	}
	authorizer.with.Store(nil)
	check("a panic", ask(t, kit.URL, "GET", "/api/v1/cluster", ""), http.StatusInternalServerError)
	authorizer.with.Store(&fsm.Refusal{Code: "of_nobody", Message: "a test refuses"})
	check("an unknown code", ask(t, kit.URL, "GET", "/api/v1/connections", ""), http.StatusInternalServerError)
}
