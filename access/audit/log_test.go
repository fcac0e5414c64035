package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"broker/access"
	"broker/access/audit"
	"broker/access/audit/chain"
	"broker/fsm"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(killed); path != "" {
		writeUntilKilled(path)
	}
	goleak.VerifyTestMain(m)
}

func TestRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit", "audit.log")
	now := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	l := mustOpen(t, path, func(c *audit.Config) { c.Now = func() time.Time { return now } })
	r := request("R1")
	r.IdempotencyKey, r.DryRun = "canary-key", true
	if err := l.Request(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	l.Outcome(t.Context(), outcome("R1"))
	l.Call(t.Context(), access.CallRecord{Request: "R1", Connection: "orders-db", Provider: "postgres", Call: "create", Usernames: []string{"brk_a1b2_x_3"}, Logins: 1, Term: 7, Outcome: "ok", Took: time.Millisecond})
	mustClose(t, l)
	list := records(t, path)
	if d := cmp.Diff([]string{"start", "request", "outcome", "call", "stop"}, kinds(list)); d != "" {
		t.Errorf("types (-want +got):\n%s", d)
	}
	for i, r := range list {
		if r["seq"] != float64(i+1) || r["v"] != float64(1) || r["chain"] != list[0]["chain"] || r["time"] != "2026-01-02T03:04:05.678Z" || r["node"] != "n1" {
			t.Errorf("record %d begins with %v", i+1, r)
		}
	}
	key, err := audit.Hash(hasher{}, "canary-key")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"id": "R1", "stage": "served", "from_node": "n2", "address": "10.0.0.7", "user_agent": "brokerctl/1", "account": "ci", "token": "01TOKEN",
		"method": "POST", "path": "/api/v1/environments/payments/production/secrets/orders-ro/leases", "action": "lease:issue",
		"on":      map[string]any{"kind": "secret", "environment": "payments/production", "secret": "orders-ro", "connection": "orders-db"},
		"allowed": true, "dry_run": true, "idempotency_key": key,
		"because": []any{map[string]any{"what": "role", "name": "developer", "binding": "01BINDING", "scope": "payments/*", "group": "devs"}},
	}
	for _, head := range []string{"v", "chain", "seq", "prev", "time", "type", "node"} {
		for _, r := range list {
			delete(r, head)
		}
	}
	if d := cmp.Diff(want, list[1]); d != "" {
		t.Errorf("request (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]any{"id": "R1", "stage": "served", "status": 201.0, "lease": "01LEASE", "took_us": 1500.0}, list[2]); d != "" {
		t.Errorf("outcome (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]any{"id": "R1", "connection": "orders-db", "provider": "postgres", "call": "create", "usernames": []any{"brk_a1b2_x_3"}, "logins": 1.0, "term": 7.0, "outcome": "ok", "took_us": 1000.0}, list[3]); d != "" {
		t.Errorf("call (-want +got):\n%s", d)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	if data, _ := os.ReadFile(path); bytes.Contains(data, []byte("canary")) {
		t.Error("the idempotency key stands in the log")
	}
	mustVerify(t, path)
}

// Whatever a client sends, a record is one line of JSON that verifies, and holds no token.
func TestHostileTexts(t *testing.T) {
	const token = "brk_0000000000000000000000000000000000000000000000000000ff9wxdr"
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, path, nil)
	hostile := []string{
		"\",\"allowed\":true,\"x\":\"", "line\nbreak\r\x00\x1f\x7f\\", "\xff\xfe broken \xc3", strings.Repeat("\x01", 5000), strings.Repeat("ü", 3000),
		token, "/api/v1/tokens/" + token + "/x", "brkj_" + token[4:], "brkbrk_" + token[4:], "Bearer%20" + token, "\u2028<script>&",
	}
	for _, text := range hostile {
		r := access.RequestRecord{ID: text, Address: text, UserAgent: text, Account: fsm.AccountName(text), Method: text, Path: text, Action: "lease:issue"}
		for range 40 {
			r.Because = append(r.Because, access.Reason{What: text, Name: text, Binding: fsm.BindingID(text), Scope: text, Group: fsm.GroupName(text)})
		}
		r.On = access.Resource{Environment: fsm.Pattern(text), Name: text, Secret: text}
		if err := l.Request(t.Context(), r); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		l.Outcome(t.Context(), access.OutcomeRecord{ID: text, Code: text, Path: text})
		l.Call(t.Context(), access.CallRecord{Request: text, Usernames: slices.Repeat([]string{text}, 200)})
	}
	mustClose(t, l)
	mustVerify(t, path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(token[4:])) {
		t.Error("a token stands in the log")
	}
	list := records(t, path)
	if want := 2 + 3*len(hostile); len(list) != want {
		t.Errorf("%d records, want %d", len(list), want)
	}
	if got := list[1]["id"]; got != hostile[0] {
		t.Errorf("%q became %q", hostile[0], got)
	}
	if got := list[3]; len(got["usernames"].([]any)) != 50 || got["logins"] != 200.0 {
		t.Errorf("a call about 200 logins: %v", got)
	}
}

func TestRestartsGoOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	for i := range 3 {
		l := mustOpen(t, path, nil)
		mustRequest(t, l, fmt.Sprint(i))
		mustClose(t, l)
	}
	report := mustVerify(t, path)
	if report.Records != 9 || report.Last != 9 || !report.Complete || len(report.Gaps) > 0 {
		t.Errorf("%+v", report)
	}
}

// A crash in the midst of a write leaves a part of a line, a power failure what was never written.
func TestTornEnd(t *testing.T) {
	for name, torn := range map[string]string{
		"half a record":         `{"v":1,"chain":"X","seq":4,"prev":"00`,
		"zeros":                 strings.Repeat("\x00", 4096),
		"garbage with an end":   "{\"v\":1,\x00\x00\n",
		"a record and a half":   "no record\nnor this",
		"a whole line unended":  `{"v":1,"chain":"X","seq":4,"prev":"","time":"2026-01-02T03:04:05Z","type":"call"}`,
		"more than a long line": strings.Repeat("x", 200_000),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			l := mustOpen(t, path, nil)
			mustRequest(t, l, "1")
			mustClose(t, l)
			mustAppend(t, path, torn)
			l = mustOpen(t, path, nil)
			mustRequest(t, l, "2")
			mustClose(t, l)
			report := mustVerify(t, path)
			if len(report.Gaps) != 1 || report.Records != 7 {
				t.Errorf("%+v", report)
			}
			gap := records(t, path)[3]
			kept, err := os.ReadFile(filepath.Join(filepath.Dir(path), gap["kept"].(string)))
			if err != nil || string(kept) != torn {
				t.Errorf("kept %q, %v", kept, err)
			}
			if gap["bytes"] != float64(len(torn)) {
				t.Errorf("%v", gap)
			}
		})
	}
}

// A file without any record is put aside as a whole.
func TestNothingButGarbage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte("not ours\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := mustOpen(t, path, nil)
	mustRequest(t, l, "1")
	mustClose(t, l)
	if report := mustVerify(t, path); len(report.Gaps) != 1 || !report.Complete {
		t.Errorf("%+v", report)
	}
	if kept, err := filepath.Glob(filepath.Join(filepath.Dir(path), "torn-*")); err != nil || len(kept) != 1 {
		t.Errorf("%v, %v", kept, err)
	}
}

func mustAppend(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestConcurrently(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	d := &disk{}
	l := mustOpen(t, path, func(c *audit.Config) { c.Open, c.MaxSize = d.open, 100_000 })
	const people, each = 32, 50
	var all sync.WaitGroup
	for p := range people {
		all.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", p, i)
				if err := l.Request(context.Background(), request(id)); err != nil {
					t.Error(err)
				}
				l.Outcome(context.Background(), outcome(id))
				l.Call(context.Background(), access.CallRecord{Request: id, Call: "create"})
				if i == each/2 && p%8 == 0 {
					l.Reopen()
				}
			}
		})
	}
	all.Wait()
	mustClose(t, l)
	report := mustVerify(t, path)
	f := l.Figures()
	if f.Requests != people*each || f.Outcomes != people*each || f.Calls != people*each || f.Refused+f.Lost+f.Failures > 0 || f.Backlog > 0 {
		t.Errorf("%+v", f)
	}
	if report.Records != f.Requests+f.Outcomes+f.Calls+f.Others {
		t.Errorf("%d records, figures %+v", report.Records, f)
	}
	// An outcome never stands before its request.
	asked := map[any]bool{}
	for _, file := range report.Files {
		for _, r := range records(t, file) {
			switch r["type"] {
			case "request":
				asked[r["id"]] = true
			case "outcome":
				if !asked[r["id"]] {
					t.Errorf("the outcome of %v comes first", r["id"])
				}
			}
		}
	}
	t.Logf("%d records with %d writes", report.Records, d.writes)
}

// What is anchored is on the disk.
func TestHeadIsOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	d := &disk{}
	l := mustOpen(t, path, func(c *audit.Config) { c.Open = d.open })
	mustRequest(t, l, "1")
	eventually(t, "a flush", func() bool { h, ok := l.Head(); return ok && h.Seq == 2 })
	d.mu.Lock()
	d.syncErr = errFull
	d.mu.Unlock()
	mustRequest(t, l, "2")
	eventually(t, "a flush that fails", func() bool { return l.Figures().Failures > 0 })
	if h, _ := l.Head(); h.Seq != 2 {
		t.Errorf("record %d counts as flushed", h.Seq)
	}
	d.mu.Lock()
	d.syncErr = nil
	d.mu.Unlock()
	eventually(t, "a flush", func() bool { h, _ := l.Head(); return h.Seq == 3 })
	h, _ := l.Head()
	mustClose(t, l)
	report := mustVerify(t, path, chain.Anchor{Node: "n1", Chain: h.Chain, Seq: h.Seq, Head: h.Hash.String()})
	if report.Anchored != 1 {
		t.Errorf("%+v", report)
	}
}
