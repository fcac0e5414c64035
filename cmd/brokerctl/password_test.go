package main

import (
	"errors"
	"strings"
	"testing"

	"broker/api/apitest"
)

// At a terminal passwords are asked for, twice where a typing mistake would be found out too late, and never shown.
func TestPasswordsAreAskedFor(t *testing.T) {
	kit := apitest.Start(t, nil)
	s := at(t, kit)
	s.env["HOME"] = t.TempDir()
	s.must("account", "create", "alice", "--kind", "user")
	var prompts []string
	answers := func(list ...string) {
		prompts = nil
		s.secretly = func(prompt string) (string, error) {
			prompts = append(prompts, prompt)
			if len(list) == 0 {
				return "", errors.New("nothing more is typed")
			}
			next := list[0]
			list = list[1:]
			return next, nil
		}
	}
	wants := func(what string, code int, out, want string, asked int) {
		t.Helper()
		if !strings.Contains(out, want) || len(prompts) != asked {
			t.Errorf("%s: exit code %d, asked %q: %s", what, code, prompts, out)
		}
		if strings.Contains(out, "horse") {
			t.Errorf("%s: it shows the password", what)
		}
	}
	answers("correct horse battery", "correct horse bakery")
	code, _, out := s.types("", "account", "password", "alice")
	wants("a typing mistake", code, out, "not the same", 2)
	answers("correct horse battery", "correct horse battery")
	code, _, out = s.types("", "account", "password", "alice")
	wants("set", code, out, "the password of account alice set", 2)

	answers("correct horse battery")
	code, _, out = s.types("", "login", kit.URL, "--user", "alice", "--name", "mine")
	wants("login", code, out, "signed in as alice", 1)

	delete(s.env, "BROKER_ADDR")
	delete(s.env, "BROKER_TOKEN")
	answers("another horse battery", "another horse battery", "correct horse battery")
	code, _, out = s.types("", "account", "password", "alice")
	wants("his own", code, out, "the password of account alice set", 3)
	if last := prompts[2]; last != "present password: " {
		t.Errorf("asked %q", last)
	}
	answers()
	code, _, out = s.types("", "account", "password", "alice", "--remove", "--password-file", "x")
	wants("both", code, out, "exclude each other", 0)
}
