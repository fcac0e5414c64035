package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"broker/api/apitest"
)

// TestApplyBesideAnother: somebody changes an object between apply's look at it and its own change. That object stays
// as he made it, with his name told; what was done before stays, what comes after is not begun, and applying again goes on.
func TestApplyBesideAnother(t *testing.T) {
	kit := apitest.Start(t, nil)
	direct := at(t, kit)
	file := filepath.Join(t.TempDir(), "broker.yaml")
	until := map[string]string{"first": "2100-01-01T00:00:00Z", "second": "2101-01-01T00:00:00Z"}
	write := func(description string) {
		t.Helper()
		text := strings.ReplaceAll(strings.ReplaceAll(`
kind: environment
name: payments/production
description: WORDS
---
kind: group
name: payments-team
description: WORDS
---
kind: role-binding
role: developer
group: payments-team
scope: payments/*
---
kind: lock
scope: {environment: payments/staging}
reason: not yet
until: WHEN
`, "WORDS", description), "WHEN", until[description])
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	direct.must("apply", "-f", file)

	target, err := url.Parse(kit.URL)
	if err != nil {
		t.Fatal(err)
	}
	var group, lock sync.Once
	forward := httputil.NewSingleHostReverseProxy(target)
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch && r.URL.Query().Get("dry_run") == "" {
			if strings.Contains(r.URL.Path, "/groups/") {
				group.Do(func() { direct.must("group", "update", "payments-team", "--description", "by hand") })
			}
			if strings.Contains(r.URL.Path, "/locks/") {
				lock.Do(func() { direct.must("lock", "update", path.Base(r.URL.Path), "--until", "2102-01-01T00:00:00Z") })
			}
		}
		r.Host = target.Host
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(between.Close)
	s := session{t: t, env: map[string]string{"BROKER_ADDR": between.URL, "BROKER_TOKEN": apitest.Token}}

	write("second")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, "---\nkind: role-binding\nrole: viewer\ngroup: payments-team\nscope: payments/*\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errors := s.types("", "apply", "-f", file)
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"payments/production", "payments-team", "it was changed by admin since it was looked at; apply again to compare anew", "not done"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	if want := "not everything was done: 1 updated, 1 unchanged, 1 failed, 2 not done"; !strings.Contains(errors, want) || !strings.Contains(errors, "applying again goes on") {
		t.Errorf("the error lacks %q:\n%s", want, errors)
	}
	if got := direct.must("group", "get", "payments-team"); !strings.Contains(got, "by hand") {
		t.Errorf("somebody's change is lost:\n%s", got)
	}
	code, out, errors = s.types("", "apply", "-f", file)
	if code != 1 || !strings.Contains(out, "it was changed by admin since it was looked at") || !strings.Contains(errors, "1 created, 1 updated, 2 unchanged, 1 failed") {
		t.Errorf("applying again, beside a change of the lock: exit code %d\n%s%s", code, out, errors)
	}
	code, out, errors = s.types("", "apply", "-f", file)
	if code != 0 || !strings.Contains(errors, "1 updated, 4 unchanged") {
		t.Errorf("applying again: exit code %d\n%s%s", code, out, errors)
	}
}
