package api_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/access"
	"broker/access/audit"
	"broker/api"
	"broker/api/apitest"
	"broker/api/client"
)

// logged has a node keep an audit log.
func logged(t *testing.T, node string, hasher access.Hasher) (*audit.Log, func(*api.Config)) {
	t.Helper()
	log, err := audit.New(audit.Config{Path: filepath.Join(t.TempDir(), "audit.log"), Node: node, Hasher: hasher, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close(context.Background()) })
	return log, func(c *api.Config) { c.Audit, c.AuditLog = log, log }
}

// plainHasher stands in for a keyring.
type plainHasher struct{}

func (plainHasher) Hash(_, value string) ([]byte, error) { return []byte(value), nil }

// The records of a node's log are read at any node, each page where the one before was, and that somebody read is one of
// them.
func TestAuditRecords(t *testing.T) {
	_, first := logged(t, "n1", plainHasher{})
	kit := apitest.Start(t, first)
	_, second := logged(t, "n2", plainHasher{})
	url, follower := kit.Follower(t, "n2", second)
	follower.Others = map[string]http.RoundTripper{"n1": apitest.Forward(kit.Server.Forwarded())}
	expect(t, 201, url, "POST", "/api/v1/environments", `{"name":"payments/production"}`)
	refused := expect(t, 409, url, "POST", "/api/v1/environments", `{"name":"payments/production"}`)

	c, err := client.New(client.Config{Addresses: []string{url}, Token: apitest.Token})
	if err != nil {
		t.Fatal(err)
	}
	read := func(q client.AuditQuery, limit int) (out []string) {
		t.Helper()
		for list := (client.ListOptions{Limit: limit}); ; {
			page, err := c.ListAuditRecords(t.Context(), q, list)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Items {
				out = append(out, strings.Join([]string{r.Node, r.Stage, r.Account, r.Action, r.Resource, r.Result}, " "))
			}
			if list.Cursor = page.NextCursor; list.Cursor == "" {
				return out
			}
			q.Node = "" // the cursor knows
		}
	}
	changes := []string{"n1 served admin environment:create payments/production refused", "n1 served admin environment:create payments/production ok"}
	if got := read(client.AuditQuery{Node: "n1", Changes: true, Account: "admin"}, 1); !cmp.Equal(got, changes) {
		t.Errorf("of the leader: %q", got)
	}
	passed := []string{"n2 forwarded admin   refused", "n2 forwarded admin   ok"}
	if got := read(client.AuditQuery{Changes: true, Account: "admin"}, 100); !cmp.Equal(got, passed) {
		t.Errorf("of the node that is asked: %q", got)
	}
	id := strings.TrimPrefix(refused.at("instance").(string), "urn:broker:request:")
	page, err := c.ListAuditRecords(t.Context(), client.AuditQuery{Node: "n1", Request: id}, client.ListOptions{})
	if err != nil || len(page.Items) != 1 || page.Node != "n1" {
		t.Fatalf("of a request: %+v, %v", page, err)
	}
	if r := page.Items[0]; r.ID != id || r.Status != 409 || r.Code == "" || r.FromNode != "n2" || r.TookUS == nil || r.Method != "POST" || r.On.Kind != "environment" {
		t.Errorf("%+v", r)
	}
	// Both logs have it that they were read, or that one was asked for.
	want := map[string]string{"n1": "n1 served admin audit:read audit/n1 ok", "n2": "n2 served admin audit:read audit/n1 ok"}
	for node, record := range want {
		if got := read(client.AuditQuery{Node: node, Action: "audit:read", Resource: "audit/n1", Result: "ok"}, 100); len(got) == 0 || got[0] != record {
			t.Errorf("at %s: %q, want %q", node, got, record)
		}
	}
	begins, err := c.ListAuditRecords(t.Context(), client.AuditQuery{}, client.ListOptions{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if last := begins.Items[len(begins.Items)-1]; last.Type != "start" || last.Details["file"] == nil || last.Details["prev"] != nil || begins.BackTo == nil {
		t.Errorf("it begins with %+v", last)
	}
}

func TestAuditRecordsRefused(t *testing.T) {
	_, first := logged(t, "n1", plainHasher{})
	kit := apitest.Start(t, func(c *api.Config) { first(c); decided(c) })
	url, follower := kit.Follower(t, "n2", func(c *api.Config) { c.Audit, c.AuditLog = nil, nil })
	const path = "/api/v1/audit/records"
	for query, field := range map[string]string{
		"?cursor=eA": "cursor", "?account=%25": "account", "?action=leas": "action", "?action=lease:fly": "action", "?resource=nothing": "resource", "?result=good": "result",
		"?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z": "until", "?limit=1001": "limit",
	} {
		if got := expect(t, 422, kit.URL, "GET", path+query, ""); !strings.Contains(got.text, field) {
			t.Errorf("%s: %s", query, got.text)
		}
	}
	for _, row := range []struct {
		status      int
		at, query   string
		code, tells string
	}{
		{404, kit.URL, "?node=n9", "not_found", "n9"},
		{404, url, "", "no_audit_log", "keeps no audit log"},
		{409, url, "?node=n1", "member_unready", "does not answer"},
	} {
		if got := expect(t, row.status, row.at, "GET", path+row.query, ""); got.at("code") != row.code || !strings.Contains(got.text, row.tells) {
			t.Errorf("%s: %s", row.query, got.text)
		}
	}
	// The node whose log it is decides, whatever the one in front of it let through.
	follower.Others = map[string]http.RoundTripper{"n1": apitest.RoundTrip(func(r *http.Request) (*http.Response, error) {
		r.Header.Set("Authorization", "Bearer "+strings.Replace(apitest.Token, "0", "1", 1))
		return apitest.Forward(kit.Server.Forwarded()).RoundTrip(r)
	})}
	expect(t, 401, url, "GET", path+"?node=n1", "")
	forbid(t, kit.URL, "silence", `forbid (principal, action == Action::"audit:read", resource == Object::"audit/n1");`)
	if got := expect(t, 403, kit.URL, "GET", path+"?node=n1", ""); !strings.Contains(got.text, "audit:read") {
		t.Errorf("%s", got.text)
	}
}
