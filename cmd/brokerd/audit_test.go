package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/access/audit"
	"broker/access/audit/chain"
	"broker/api/client"
	"broker/api/types"
)

// auditedNode is a node with noop logins, and a client that may do everything.
func auditedNode(t *testing.T, change func(*config)) (*node, *client.Client) {
	t.Helper()
	c := loneConfig(t, filepath.Join(t.TempDir(), "data"))
	c.BenchProviders, c.AdminRoles = true, []string{"developer"}
	if change != nil {
		change(&c)
	}
	n := mustNode(t, c)
	token := strings.TrimSpace(mustRead(t, c.AdminTokenFile))
	people, err := client.New(client.Config{Addresses: []string{n.url}, Token: token, Timeout: 20 * time.Second})
	must(t, err)
	return n, people
}

func mustLease(t *testing.T, c *client.Client) types.Issued {
	t.Helper()
	_, err := c.CreateEnvironment(t.Context(), types.EnvironmentSpec{Name: "payments/production"})
	if err == nil {
		_, err = c.CreateConnection(t.Context(), types.ConnectionSpec{Name: "orders-db", Provider: "noop", Environments: []string{"payments/*"}})
	}
	if err == nil {
		_, err = c.CreateSecret(t.Context(), "payments/production", types.SecretSpec{Name: "orders-ro", Connection: "orders-db"})
	}
	must(t, err)
	issued, err := c.IssueLease(t.Context(), "payments/production/orders-ro", types.IssueSpec{})
	must(t, err)
	return issued
}

// auditRecords reads the node's audit log.
func auditRecords(t *testing.T, path string) (list []map[string]any) {
	t.Helper()
	for line := range strings.Lines(mustRead(t, path)) {
		var r map[string]any
		must(t, json.Unmarshal([]byte(line), &r))
		list = append(list, r)
	}
	return list
}

// A lease's life stands in the audit log, no value of it does, and the log is what was anchored.
func TestAuditedLife(t *testing.T) {
	n, people := auditedNode(t, nil)
	issued := mustLease(t, people)
	_, err := people.RevokeLease(t.Context(), issued.Lease.ID, types.RevokeSpec{})
	must(t, err)
	poll(t, "the log to be on the disk", func() bool {
		head, due := n.anchors.due()
		return due && head.Seq >= n.audit.Figures().Requests
	})
	head, _ := n.anchors.due()
	must(t, n.anchorHead(t.Context(), head))
	n.anchors.done(head)
	page, err := people.ListAuditAnchors(t.Context(), "n1", client.ListOptions{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Head != head.Hash.String() || page.Items[0].Chain != head.Chain {
		t.Errorf("anchors %+v, %v; the head is %+v", page.Items, err, head)
	}
	hash, err := people.HashForAudit(t.Context(), "some value")
	must(t, err)
	if want, err := audit.Hash(n.keyring, "some value"); err != nil || hash != want {
		t.Errorf("hash %s, want %s, %v", hash, want, err)
	}
	n.stop()

	reports, err := chain.Verify([]string{n.config.AuditFile}, []chain.Anchor{{Node: "n1", Chain: head.Chain, Seq: head.Seq, Head: head.Hash.String()}})
	if err != nil || len(reports) != 1 || reports[0].Finding != nil || reports[0].Anchored != 1 || len(reports[0].Gaps) > 0 {
		t.Errorf("%+v, %v", reports, err)
	}
	list := auditRecords(t, n.config.AuditFile)
	if list[0]["type"] != "start" || list[len(list)-1]["type"] != "stop" {
		t.Errorf("it begins with %v and ends with %v", list[0], list[len(list)-1])
	}
	var id any
	var calls []string
	asked, ended := map[any]bool{}, map[any]bool{}
	for _, r := range list {
		switch r["type"] {
		case "request":
			asked[r["id"]] = true
			if r["action"] == "lease:issue" {
				id = r["id"]
			}
		case "outcome":
			ended[r["id"]] = true
		case "call":
			if names, ok := r["usernames"].([]any); ok && slices.Contains(names, any(issued.Lease.Username)) {
				calls = append(calls, r["call"].(string)+" "+r["outcome"].(string))
				if r["call"] == "create" && r["id"] != id {
					t.Errorf("the create is of request %v, want %v", r["id"], id)
				}
			}
		}
	}
	if d := cmp.Diff([]string{"create ok", "revoke ok"}, calls); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
	if id == nil || len(asked) < 5 {
		t.Errorf("requests %v", asked)
	}
	for one := range asked {
		if !ended[one] {
			t.Errorf("request %v has no outcome", one)
		}
	}
	data := []byte(mustRead(t, n.config.AuditFile))
	for _, one := range issued.Values {
		if !bytes.Contains([]byte(issued.Lease.Username), []byte(one.Value)) && one.Value != "" && bytes.Contains(data, []byte(one.Value)) {
			t.Errorf("the value of %s stands in the audit log", one.Key)
		}
	}
	if bytes.Contains(data, []byte(strings.TrimSpace(mustRead(t, n.config.AdminTokenFile)))) || bytes.Contains(data, []byte("some value")) {
		t.Error("a secret stands in the audit log")
	}
}

// A log that was cut while the node was down contradicts its anchor; one that goes on does not.
func TestCutAuditLog(t *testing.T) {
	n, people := auditedNode(t, nil)
	mustLease(t, people)
	poll(t, "the log to be on the disk", func() bool { h, due := n.anchors.due(); return due && h.Seq > 5 })
	before, _ := n.anchors.due()
	must(t, n.anchorHead(t.Context(), before))
	n.stop()
	n = mustNode(t, n.config)
	poll(t, "the log to go on", func() bool { h, due := n.anchors.due(); return due && h.Seq > before.Seq && h.Chain == before.Chain })
	head, _ := n.anchors.due()
	must(t, n.anchorHead(t.Context(), head))
	n.stop()
	lines := strings.SplitAfter(mustRead(t, n.config.AuditFile), "\n")
	must(t, os.WriteFile(n.config.AuditFile, []byte(strings.Join(lines[:3], "")), 0o600))
	n = mustNode(t, n.config)
	defer n.stop()
	poll(t, "the log to go on", func() bool { _, due := n.anchors.due(); return due })
	head, _ = n.anchors.due()
	if err := n.anchorHead(t.Context(), head); !errors.Is(err, errContradicted) {
		t.Errorf("anchoring a log that was cut: %v", err)
	}
}

// While nothing can be recorded requests are refused; what was begun goes on, and all goes on by itself later.
func TestFullAuditDisk(t *testing.T) {
	dir := small(t, "1m", "")
	n, people := auditedNode(t, func(c *config) { c.AuditFile = filepath.Join(dir, "audit.log") })
	defer n.stop()
	issued := mustLease(t, people)
	filler := filepath.Join(dir, "filler")
	err := os.WriteFile(filler, make([]byte, 2<<20), 0o600)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk takes 2 MiB: %v", err)
	}
	var problem *types.Problem
	poll(t, "a request to be refused", func() bool { // the last page of the file may have room
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := people.GetLease(ctx, issued.Lease.ID)
		return errors.As(err, &problem)
	})
	if problem.Code != "audit_unavailable" || problem.Status != 503 {
		t.Errorf("refused with %+v", problem)
	}
	must(t, os.Remove(filler))
	poll(t, "requests to be served again", func() bool {
		_, err := people.GetLease(t.Context(), issued.Lease.ID)
		return err == nil
	})
	if reports, err := chain.Verify([]string{n.config.AuditFile}, nil); err != nil || len(reports) != 1 || reports[0].Finding != nil {
		t.Errorf("%+v, %v", reports, err)
	}
}

// SIGHUP has the log opened anew.
func TestHangup(t *testing.T) {
	n, people := auditedNode(t, nil)
	defer n.stop()
	ctx, cancel := context.WithCancel(t.Context())
	n.hearHangups(ctx)
	defer n.auditing.Wait()
	defer cancel()
	must(t, os.Rename(n.config.AuditFile, n.config.AuditFile+".moved"))
	must(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	poll(t, "the new file", func() bool { _, err := os.Stat(n.config.AuditFile); return err == nil })
	_, err := people.ListEnvironments(t.Context(), client.ListOptions{})
	must(t, err)
	if first := auditRecords(t, n.config.AuditFile)[0]; first["type"] != "rotate" {
		t.Errorf("the new file begins with %v", first)
	}
}

func TestAuditOptions(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"size":       {[]string{"--audit-max-size", "10 apples"}, "audit_max_size"},
		"small":      {[]string{"--audit-max-size", "1KiB"}, "at least 1MiB"},
		"age":        {[]string{"--audit-max-age", "1s"}, "audit_max_age"},
		"keep":       {[]string{"--audit-keep", "0"}, "audit_keep"},
		"in clear":   {[]string{"--audit-syslog", "tcp://logs.example:601"}, "in clear"},
		"no address": {[]string{"--audit-syslog", "logs.example"}, "audit_syslog"},
		"lonely CA":  {[]string{"--audit-syslog-ca", "/ca.pem"}, "of no use"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := serverCommand()
			must(t, cmd.ParseFlags(append(tc.args, "--node-id", "n1", "--data-dir", t.TempDir())))
			if _, err := loadConfig(cmd.Flags(), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v: %v, want %q", tc.args, err, tc.says)
			}
		})
	}
	for text, want := range map[string]int64{"1048576": 1 << 20, "2MiB": 2 << 20, "1GiB": 1 << 30, "5KiB": 5 << 10} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%s is %d bytes, %v", text, got, err)
		}
	}
}
