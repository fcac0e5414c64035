package console

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"broker/api/types"
)

// pageOf is a page that was asked for, whose API answers everything alike.
func pageOf(t *testing.T, method, target string, form url.Values, answer http.HandlerFunc) (*page, *httptest.ResponseRecorder) {
	t.Helper()
	c, err := New(Config{API: answer, ClusterID: func() string { return "01TEST" }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	p, err := c.newPage(t.Context(), w, r, "brk_x", false)
	if err == nil {
		err = p.readForm()
	}
	if err != nil {
		t.Fatal(err)
	}
	return p, w
}

// What was refused stands at its field, what was done is not done again, and what was changed meanwhile says by whom.
func TestFormsTakeRefusals(t *testing.T) {
	history := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/events" || r.URL.Query().Get("after") != "41" {
			t.Errorf("asked for %s", r.URL)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"items":[{"index":42,"ordinal":0,"at":"2026-01-02T03:04:05Z","type":"secret.updated","actor":"bob"}]}`))
	}
	sent := url.Values{"version": {"7"}, "idempotency_key": {"k1"}, "ttl": {"1h"}, "empty": {" "}, "wrong": {"soon"}, "labels": {"a=b\nc = d"}}
	p, _ := pageOf(t, "POST", "/ui/x", sent, history)
	f := p.form(nil)
	if f.Key != "k1" || f.duration("ttl").Std() != time.Hour || f.duration("empty") != nil || !f.valid() {
		t.Errorf("read %+v", f)
	}
	if labels := f.labels("labels"); labels["a"] != "b" || labels["c"] != "d" {
		t.Errorf("labels %v", labels)
	}
	if f.duration("wrong"); f.valid() || f.Status != 422 || f.Errors["wrong"] != types.DurationRule {
		t.Errorf("a wrong length of time: %+v", f)
	}
	if f.version() == nil || f.once() == nil {
		t.Error("no options")
	}

	if !f.refused(&types.Problem{Status: 422, Code: "invalid_value", Errors: []types.FieldProblem{{Field: "ttl", Message: "at most 24h"}}}) || f.Errors["ttl"] != "at most 24h" || f.Status != 422 || f.Key == "k1" {
		t.Errorf("a refusal: %+v", f)
	}
	f = p.form(nil)
	if !f.refused(&types.Problem{Status: 503, Code: "outcome_unknown"}) || f.Key != "k1" || !f.Problem.Unknown {
		t.Errorf("an unknown outcome is tried again by another key: %+v", f)
	}
	f = p.form(nil)
	if !f.refused(&types.Problem{Status: 412, Code: "version_mismatch", Extra: map[string]any{"version": float64(42)}}) || f.Problem.Changed.By != "bob" || f.get("ttl") != "1h" {
		t.Errorf("changed meanwhile: %+v", f.Problem)
	}
	for _, err := range []error{&types.Problem{Status: 401, Code: "unauthenticated"}, &types.Problem{Status: 404, Code: "not_found"}, nil} {
		if f.refused(err) {
			t.Errorf("the form takes %v", err)
		}
	}
	if f.refused(errors.New("x")); f.Problem.Status != 500 || strings.Contains(f.Problem.Detail, "x:") {
		t.Errorf("an error of our own: %+v", f.Problem)
	}
}

func TestDone(t *testing.T) {
	p, w := pageOf(t, "POST", "/ui/x", nil, nil)
	if err := p.doneAt("It is done.", "/ui/y"); err != nil || w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/ui/y" {
		t.Errorf("without a dialog: %v, %d", err, w.Code)
	}
	p, w = pageOf(t, "POST", "/ui/x", nil, nil)
	p.r.Header.Set(headerPart, "dialog")
	if err := p.doneAt("“Done” 1/2", "/ui/y?a=b"); err != nil || w.Code != http.StatusNoContent {
		t.Errorf("in a dialog: %v, %d", err, w.Code)
	}
	if got, err := url.PathUnescape(w.Header().Get(headerDone)); err != nil || got != `{"go":"/ui/y?a=b","message":"“Done” 1/2"}` {
		t.Errorf("told %s, %v", got, err)
	}
}

func TestWordsForTimes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "now", 400 * time.Millisecond: "now", 5 * time.Second: "in 5 s", -90 * time.Second: "1 min 30 s ago", 20 * time.Minute: "in 20 min",
		2*time.Hour + 5*time.Minute: "in 2 h 5 min", 30 * time.Hour: "in 30 h", -72 * time.Hour: "3 days ago",
	} {
		if got := relative(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0 s", 90 * time.Second: "1 min 30 s", 24 * time.Hour: "1 d", 25*time.Hour + time.Second: "1 d 1 h"} {
		if got := durationText(types.Duration(d)); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestLocalPath(t *testing.T) {
	for next, want := range map[string]string{
		"/ui/leases?state=all": "/ui/leases?state=all", "": "/ui/", "/": "/ui/", "//x.example/ui/": "/ui/", "https://x.example/ui/": "/ui/",
		"/ui/../x": "/ui/", "/ui/\\x": "/ui/", "javascript:alert(1)": "/ui/", "/ui/signout": "/ui/", "/uix": "/ui/",
	} {
		if got := localPath(next); got != want {
			t.Errorf("%q: %q, want %q", next, got, want)
		}
	}
}
