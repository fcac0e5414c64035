package main

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"broker/api/apitest"
	"broker/api/client"
	"broker/api/types"
)

// session runs commands as a person at a terminal would.
type session struct {
	t        *testing.T
	env      map[string]string
	secretly func(prompt string) (string, error)
}

func at(t *testing.T, kit *apitest.Kit) session {
	return session{t: t, env: map[string]string{"BROKER_ADDR": kit.URL, "BROKER_TOKEN": apitest.Token}}
}

// types runs a command with what is typed at its questions, and returns exit code and output.
func (s session) types(typed string, args ...string) (int, string, string) {
	s.t.Helper()
	var out, errors bytes.Buffer
	a := &app{
		in: strings.NewReader(typed), out: &out, err: &errors,
		getenv:   func(name string) string { return s.env[name] },
		terminal: true, interactive: true, secretly: s.secretly, now: time.Now,
	}
	root := a.root()
	root.SetArgs(args)
	code := a.report(root.ExecuteContext(client.OnWait(context.Background(), a.waiting)))
	return code, out.String(), errors.String()
}

func (s session) must(args ...string) string {
	s.t.Helper()
	code, out, errors := s.types("", args...)
	if code != 0 {
		s.t.Fatalf("%v: exit code %d: %s", args, code, errors)
	}
	return out
}

func TestAtATerminal(t *testing.T) {
	kit := apitest.Start(t, nil)
	s := at(t, kit)
	s.must("env", "create", "payments/production", "--description", "the real one")
	s.must("connection", "create", "orders-db", "--provider", "fake", "--environments", "*", "--set", "password="+apitest.RootPassword)
	s.must("secret", "create", "payments/production/app", "--connection", "orders-db")

	issued := s.must("lease", "issue", "payments/production/app", "--ttl", "30m")
	id := regexp.MustCompile(`(?m)^Lease ID: +(\w+)$`).FindStringSubmatch(issued)
	if id == nil {
		t.Fatalf("no lease id in\n%s", issued)
	}
	for _, row := range []struct {
		args []string
		want []string // patterns
	}{
		{nil, []string{`(?m)^Expires at: .* UTC \(in (29m59s|30m)\)$`, `Copy these values: they will not be shown again\.`, `(?m)^USERNAME +brk_`, `(?m)^PASSWORD +\S`}},
		{[]string{"lease", "list"}, []string{`(?m)^ID +STATE +EXPIRES +NAME`, id[1] + ` +active +in (29m\d*s?|30m) +app +payments/production/app +admin`}},
		{[]string{"lease", "get", id[1]}, []string{`(?m)^State: +active$`, `(?m)^Renewable: +23h30m$`}},
		{[]string{"lease", "history", id[1]}, []string{`(?m)^● \d{4}-\d\d-\d\d .* prepared +by admin from 127.0.0.1 at n1 with brokerctl/`, `(?m)^● .* issued`, `(?m)^○ .* expires in (29m|30m)`}},
		{[]string{"env", "get", "payments/production"}, []string{`(?m)^Name: +payments/production$`, `(?m)^Description: +the real one$`}},
		{[]string{"provider", "get", "fake"}, []string{`password \(string\) +The root password\. Secret\.`, `member_of \(list\)`}},
		{[]string{"status"}, []string{`(?m)^Cluster 01TESTCLUSTER, term 1, leader n1$`, `(?m)^Leases  1 active, 0 pending, 0 revoking$`, `(?m)^n1 .* leader`}},
		{[]string{"event", "list"}, []string{`(?m)^INDEX +AT +TYPE`}},
		{[]string{"lease"}, []string{`Usage:`, `history +Tell`}},
	} {
		out := issued
		if row.args != nil {
			out = s.must(row.args...)
		}
		for _, pattern := range row.want {
			if !regexp.MustCompile(pattern).MatchString(out) {
				t.Errorf("%v: no match for %s in\n%s", row.args, pattern, out)
			}
		}
	}

	if code, _, errors := s.types("n\n", "connection", "delete", "orders-db"); code == 0 || !strings.Contains(errors, "Deleting connection orders-db? [y/N]") {
		t.Errorf("answering no: %d %s", code, errors)
	}
	s.must("lease", "revoke", id[1])
	for _, noun := range [][]string{{"secret", "delete", "payments/production/app"}, {"connection", "delete", "orders-db"}} {
		if code, _, errors := s.types("y\n", noun...); code != 0 {
			t.Errorf("%v: answering yes: %d %s", noun, code, errors)
		}
	}
}

// Somebody who looks sees the numbers before, how far it is, and the end.
func TestManyLeasesAtATerminal(t *testing.T) {
	kit := apitest.Start(t, nil)
	s := at(t, kit)
	s.must("env", "create", "payments/production")
	s.must("connection", "create", "orders-db", "--provider", "fake", "--environments", "*", "--set", "password="+apitest.RootPassword)
	s.must("secret", "create", "payments/production/app", "--connection", "orders-db")
	for range 3 {
		s.must("lease", "issue", "payments/production/app")
	}
	const question = "Revoking 3 leases of environment payments/production? [y/N]"
	revoke := []string{"lease", "revoke", "--environment", "payments/production", "--wait"}
	if code, _, errors := s.types("n\n", revoke...); code != 2 || !strings.Contains(errors, question) || len(kit.Fake.Logins()) != 3 {
		t.Errorf("answering no: %d %s", code, errors)
	}
	code, _, errors := s.types("y\n", revoke...)
	if code != 0 || !strings.Contains(errors, "\rrevoke: ") || !strings.Contains(errors, " of 3 leases done\x1b[K") || !strings.HasSuffix(errors, "is done: 3 leases\n") {
		t.Errorf("answering yes: %d %q", code, errors)
	}
	if out := s.must("operation", "list"); !regexp.MustCompile(`(?m)^ID +KIND +STATE +DONE +OF`).MatchString(out) {
		t.Errorf("the operations are listed as\n%s", out)
	}
	if code, _, errors := s.types("y\n", "lock", "payments/*", "--reason", "stolen", "--revoke"); code != 0 || !strings.Contains(errors, "Locking environment payments/* and revoking 0 leases? [y/N]") {
		t.Errorf("locking: %d %s", code, errors)
	}
}

// A secret that is to be typed is asked for without showing it; everything else at "-" is standard input.
func TestSecretValuesAreAskedFor(t *testing.T) {
	kit := apitest.Start(t, nil)
	s := at(t, kit)
	s.must("env", "create", "payments/production")
	var asked []string
	answer := apitest.RootPassword
	s.secretly = func(prompt string) (string, error) {
		asked = append(asked, prompt)
		return answer, nil
	}
	if code, _, errors := s.types("shown", "connection", "create", "typed", "--provider", "fake", "--set", "password=@-", "--set", "system=@-"); code != 0 {
		t.Errorf("exit code %d: %s", code, errors)
	}
	if strings.Join(asked, "") != "password: " {
		t.Errorf("asked %q, want for the password only", asked)
	}
	answer = ""
	if code, _, errors := s.types("", "connection", "create", "empty", "--provider", "fake", "--set", "password=@-"); code != exitUsage {
		t.Errorf("nothing typed: exit code %d: %s", code, errors)
	}
}

// Whoever looks on is told what a command waits for.
func TestWaitingIsTold(t *testing.T) {
	kit := apitest.Start(t, nil)
	kit.Cluster.SetLeader("")
	code, _, errors := at(t, kit).types("", "env", "list", "--timeout", "4s")
	if code != exitUnavailable || strings.Count(errors, "waiting for the broker, at most 4s") != 1 {
		t.Errorf("exit code %d: %s", code, errors)
	}
}

func TestCleanKeepsTheTerminalSafe(t *testing.T) {
	if got := clean("évil \x1b[2J\u202e\u0085 a\tb"); got != "évil �[2J�� a b" {
		t.Errorf("got %q", got)
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{"isue": "issue", "reknew": "renew", "hist": "history", "x": "", "zebra": "", "revok": "revoke"} {
		if got := nearest(word, []string{"issue", "list", "get", "renew", "revoke", "history"}); got != want {
			t.Errorf("%q is nearest to %q, want %q", word, got, want)
		}
	}
}

func TestRough(t *testing.T) {
	for d, want := range map[time.Duration]string{
		59*time.Second + time.Millisecond: "59s",
		90 * time.Second:                  "1m30s",
		61*time.Minute + 5*time.Second:    "1h1m",
		50 * time.Hour:                    "2d2h",
		24*time.Hour + 30*time.Minute:     "24h30m",
		0:                                 "0s",
	} {
		if got := rough(d); got != want {
			t.Errorf("%v is shown as %s, want %s", d, got, want)
		}
	}
}

func TestQuoting(t *testing.T) {
	values := types.Values{{Key: "A", Value: `it's "$x" \ ` + "`y`"}, {Key: "B", Value: "two\nlines"}}
	shell, err := values.ShellLines()
	if err != nil {
		t.Fatal(err)
	}
	if want := `export A='it'\''s "$x" \ ` + "`y`'\nexport B='two\nlines'\n"; string(shell) != want {
		t.Errorf("shell lines are %s, want %s", shell, want)
	}
	dotenv, err := values.DotenvLines()
	if err != nil {
		t.Fatal(err)
	}
	if want := `A="it's \"\$x\" \\ \` + "`y\\`\"\n" + `B="two\nlines"` + "\n"; string(dotenv) != want {
		t.Errorf("dotenv lines are %s, want %s", dotenv, want)
	}
	if _, err := (types.Values{{Key: "C", Value: "\x00canary"}}).ShellLines(); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a NUL: %v", err)
	}
}
