package main

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/api/apitest"
	"broker/api/client"
	"broker/api/types"
)

// watching is a command that goes on until it is interrupted.
type watching struct {
	t    *testing.T
	stop context.CancelFunc
	done chan int

	mu  sync.Mutex
	out bytes.Buffer
}

func (w *watching) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(p)
}

func (w *watching) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.String()
}

// watch begins a command at a terminal or in a pipe.
func (s session) watch(terminal bool, args ...string) *watching {
	ctx, stop := context.WithCancel(s.t.Context())
	w := &watching{t: s.t, stop: stop, done: make(chan int, 1)}
	a := &app{in: strings.NewReader(""), out: w, err: w, getenv: func(name string) string { return s.env[name] }, terminal: terminal, now: time.Now}
	root := a.root()
	root.SetArgs(args)
	go func() { w.done <- a.report(root.ExecuteContext(client.OnWait(ctx, a.waiting))) }()
	return w
}

// until waits until the output matches a pattern.
func (w *watching) until(pattern string) {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !regexp.MustCompile(pattern).MatchString(w.text()) {
		if time.Now().After(deadline) {
			w.t.Fatalf("no %q in\n%s", pattern, w.text())
		}
		<-time.After(2 * time.Millisecond)
	}
}

// interrupt ends the command, which is no error, and returns its output.
func (w *watching) interrupt() string {
	w.t.Helper()
	w.stop()
	if code := <-w.done; code != 0 {
		w.t.Errorf("interrupted, it ends with %d:\n%s", code, w.text())
	}
	return w.text()
}

func TestWatching(t *testing.T) {
	kit := apitest.Start(t, nil)
	s := at(t, kit)
	s.must("env", "create", "payments/production")
	s.must("connection", "create", "orders-db", "--provider", "fake", "--environments", "*", "--set", "password="+apitest.RootPassword)
	s.must("secret", "create", "payments/production/app", "--connection", "orders-db")
	issue := func(labels ...string) string {
		out := s.must(append([]string{"lease", "issue", "payments/production/app"}, labels...)...)
		return regexp.MustCompile(`(?m)^Lease ID: +(\w+)$`).FindStringSubmatch(out)[1]
	}
	before := issue()

	tail := s.watch(true, "event", "tail", "-n", "2")
	tail.until(`(?m)^INDEX +AT +TYPE +SUBJECT`)
	tail.until(`(?m)^\d+ +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} +lease\.issued +payments/production/app +admin +lease=` + before)
	lines := s.watch(false, "event", "tail", "--after", "0", "--type", "lease.issued", "-o", "json")
	leases := s.watch(true, "lease", "list", "-w", "--state", "active")
	leases.until(`(?m)^ID +STATE +EXPIRES +NAME(.*\n)+` + before + ` +active`)
	labelled := s.watch(false, "lease", "list", "-w", "--label", "team=a", "-q")
	one := s.watch(true, "lease", "watch", before)
	one.until(`● .* issued`)

	other := issue("--label", "team=a")
	leases.until(`(?m)^` + other + ` +active`)
	labelled.until(`(?m)^` + other + `$`)
	s.must("lease", "revoke", before)
	tail.until(`lease\.revoked`)
	leases.until(`(?m)^` + before + ` +revoked +ended`)
	one.until(`● .* revoked`)
	if code := <-one.done; code != 0 {
		t.Errorf("behind the lease's end it ends with %d:\n%s", code, one.text())
	}
	lines.until(`(?s)issued.*issued`)
	for line := range strings.Lines(lines.interrupt()) {
		var event types.Event
		if err := json.Unmarshal([]byte(line), &event); err != nil || event.Type != "lease.issued" {
			t.Errorf("%v in %s", err, line)
		}
	}
	if out := tail.interrupt(); strings.Contains(out, "secret.created") {
		t.Errorf("more than the last two:\n%s", out)
	}
	if out := labelled.interrupt(); strings.Contains(out, before) {
		t.Errorf("a lease without the label is shown:\n%s", out)
	}
	// The first lease is not active any more: what happens to it is nobody's business.
	if out := leases.interrupt(); strings.Count(out, before) > 3 {
		t.Errorf("a lease that is not chosen any more is shown again:\n%s", out)
	}
}

// A node that stops is told of, and another one goes on.
func TestWatchingGoesOn(t *testing.T) {
	kit := apitest.Start(t, nil)
	other, _ := kit.Follower(t, "n2", nil)
	s := at(t, kit)
	s.env["BROKER_ADDR"] += "," + other
	tail := s.watch(true, "event", "tail")
	tail.until(`cluster\.created`)
	kit.Server.EndStreams()
	tail.until(`the stream was cut off: this node is stopping: go on at another one; looking for a node that goes on\ngoing on at ` + other)
	s.must("env", "create", "payments/production")
	tail.until(`environment\.created`)
	tail.interrupt()
}

func TestWatchingRefusals(t *testing.T) {
	kit := apitest.Start(t, nil)
	s := at(t, kit)
	for want, args := range map[string][]string{
		"--after, --since and --last exclude each other":   {"event", "tail", "--after", "3", "-n", "4"},
		"--after must be an index of the log such as 1200": {"event", "tail", "--after", "x"},
		"--since must be an RFC 3339 time":                 {"event", "list", "--since", "yesterday"},
		"--last must be 0 to 1000":                         {"event", "list", "--last", "1001"},
		"--type is empty":                                  {"event", "tail", "--type", ""},
		"type: must be the type of an event":               {"event", "tail", "--type", "Lease"},
		"there is no lease":                                {"lease", "watch", "01JZ0000000000000000000000"},
		"after: is ahead of the log":                       {"event", "tail", "--after", "4711"},
	} {
		code, _, errors := s.types("", args...)
		if code == 0 || !strings.Contains(errors, want) {
			t.Errorf("%v: exit code %d: %s", args, code, errors)
		}
	}
}
