package audit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"broker/access"
	"broker/access/audit"
)

// A full disk refuses requests, holds nothing else up, and loses nothing within the bound.
func TestFullDisk(t *testing.T) {
	for name, part := range map[string]int{"nothing is written": 0, "half a line is written": 100} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			d := &disk{}
			l := mustOpen(t, path, func(c *audit.Config) { c.Open, c.Timeout = d.open, 100*time.Millisecond })
			mustRequest(t, l, "1")
			d.set(errFull, part)
			began := time.Now()
			err := l.Request(t.Context(), request("2"))
			if !errors.Is(err, access.ErrNotRecorded) || !strings.Contains(err.Error(), "no space left") {
				t.Errorf("a request that cannot be recorded: %v", err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("refusing took %s", took)
			}
			l.Outcome(t.Context(), outcome("1"))
			l.Call(t.Context(), access.CallRecord{Call: "revoke", Usernames: []string{"u1"}})
			d.set(nil, 0)
			eventually(t, "the backlog to be written", func() bool { return l.Figures().Backlog == 0 })
			mustRequest(t, l, "3")
			mustClose(t, l)
			if report := mustVerify(t, path); len(report.Gaps) > 0 {
				t.Errorf("%+v", report.Gaps)
			}
			var told []string
			for _, r := range records(t, path) {
				told = append(told, fmt.Sprint(r["type"], " ", r["id"]))
			}
			if got, want := strings.Join(told, ", "), "start <nil>, request 1, outcome 1, call <nil>, request 3, stop <nil>"; got != want {
				t.Errorf("records %s, want %s", got, want)
			}
			if f := l.Figures(); f.Refused != 1 || f.Failures == 0 || f.Lost != 0 {
				t.Errorf("%+v", f)
			}
		})
	}
}

// What waits is bounded; what is lost beyond is counted in the log itself.
func TestBacklogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	d := &disk{}
	l := mustOpen(t, path, func(c *audit.Config) { c.Open, c.MaxBacklog = d.open, 10 })
	mustRequest(t, l, "1")
	d.set(errFull, 0)
	for i := range 25 {
		l.Call(t.Context(), access.CallRecord{Request: fmt.Sprint(i), Call: "revoke"})
	}
	for range 5 {
		l.Outcome(t.Context(), outcome("1"))
	}
	if err := l.Request(t.Context(), request("2")); !errors.Is(err, access.ErrNotRecorded) {
		t.Errorf("a request beyond the bound: %v", err)
	}
	if f := l.Figures(); f.Backlog != 10 || f.Lost != 20 {
		t.Errorf("%+v", f)
	}
	d.set(nil, 0)
	eventually(t, "the gap to be told", func() bool { return l.Figures().Calls == 10 })
	mustRequest(t, l, "3")
	mustClose(t, l)
	report := mustVerify(t, path)
	if len(report.Gaps) != 1 || report.Gaps[0].Lost["calls"] != 15 || report.Gaps[0].Lost["outcomes"] != 5 {
		t.Errorf("%+v", report.Gaps)
	}
}

// A disk that hangs holds up requests for the bound and no longer, and whatever is no request not at all.
func TestHangingDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	d := &disk{}
	l := mustOpen(t, path, func(c *audit.Config) { c.Open, c.Timeout = d.open, 50*time.Millisecond })
	eventually(t, "the start", func() bool { return l.Figures().Others == 1 })
	hold := make(chan struct{})
	d.mu.Lock()
	d.hold = hold
	d.mu.Unlock()
	for _, id := range []string{"1", "2"} { // the first hangs in the write, the second waits for its turn
		if err := l.Request(t.Context(), request(id)); !errors.Is(err, access.ErrNotRecorded) {
			t.Errorf("request %s: %v", id, err)
		}
	}
	l.Outcome(t.Context(), outcome("1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	refused := l.Figures().Refused
	if err := l.Request(ctx, request("3")); !errors.Is(err, context.Canceled) || errors.Is(err, access.ErrNotRecorded) {
		t.Errorf("a client that is gone: %v", err)
	}
	if n := l.Figures().Refused - refused; n != 0 {
		t.Errorf("a client that is gone counts as refused %d times", n)
	}
	d.mu.Lock()
	d.hold = nil
	d.mu.Unlock()
	close(hold)
	eventually(t, "the disk to go on", func() bool { return l.Figures().Backlog == 0 })
	mustClose(t, l)
	mustVerify(t, path)
	for _, r := range records(t, path) {
		if r["id"] == "2" || r["id"] == "3" {
			t.Errorf("a request that was refused before it was written: %v", r)
		}
	}
}

// A write that fails after its request was refused is not tried again for it.
func TestFailsLate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	d := &disk{}
	l := mustOpen(t, path, func(c *audit.Config) { c.Open, c.Timeout = d.open, 50*time.Millisecond })
	eventually(t, "the start", func() bool { return l.Figures().Others == 1 })
	hold := make(chan struct{})
	d.mu.Lock()
	d.hold, d.err = hold, errFull
	d.mu.Unlock()
	if err := l.Request(t.Context(), request("1")); !errors.Is(err, access.ErrNotRecorded) {
		t.Errorf("a request whose write hangs: %v", err)
	}
	d.mu.Lock()
	d.hold = nil
	d.mu.Unlock()
	close(hold)
	eventually(t, "the write to fail", func() bool { return l.Figures().Failures > 0 })
	d.set(nil, 0)
	eventually(t, "the disk to be there again", func() bool { return l.Request(t.Context(), request("2")) == nil })
	mustClose(t, l)
	for _, r := range records(t, path) {
		if r["id"] == "1" {
			t.Errorf("a request that was refused: %v", r)
		}
	}
}

// A log whose file cannot be opened refuses requests, and goes on once it can.
func TestDirectoryMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file stands where the directory should
		t.Fatal(err)
	}
	path := filepath.Join(dir, "audit.log")
	l := mustOpen(t, path, func(c *audit.Config) { c.Timeout = 50 * time.Millisecond })
	if err := l.Request(t.Context(), request("1")); !errors.Is(err, access.ErrNotRecorded) {
		t.Errorf("without a file: %v", err)
	}
	l.Outcome(t.Context(), outcome("1"))
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file", func() bool { return l.Request(t.Context(), request("2")) == nil })
	mustClose(t, l)
	if report := mustVerify(t, path); !report.Complete {
		t.Errorf("%+v", report)
	}
}

func TestClosed(t *testing.T) {
	l := mustOpen(t, filepath.Join(t.TempDir(), "audit.log"), nil)
	mustClose(t, l)
	if err := l.Request(t.Context(), request("1")); !errors.Is(err, access.ErrNotRecorded) {
		t.Errorf("a closed log: %v", err)
	}
}
