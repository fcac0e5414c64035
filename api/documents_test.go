package api_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"broker/access"
	"broker/api"
	"broker/api/apitest"
)

const documentsPath = "/api/v1/connections/ca/documents"

// certify makes a connection that publishes, and returns a lease of it.
func certify(t *testing.T, url string) (lease map[string]any) {
	t.Helper()
	expect(t, 201, url, "POST", "/api/v1/connections", `{"name":"ca","provider":"authority","environments":["*"]}`)
	expect(t, 201, url, "POST", secretsPath, `{"name":"certified","connection":"ca"}`)
	return expect(t, 201, url, "POST", secretsPath+"/certified/leases", `{"parameters":{"public_key":"K"}}`).at("lease").(map[string]any)
}

// What is published is served to everybody by every node, also without a leader, with the type it has; what is not there
// looks the same whatever the reason.
func TestDocuments(t *testing.T) {
	kit := apitest.Start(t, func(c *api.Config) {
		c.Authorizer = rules(func(r access.Request) access.Decision { return allowed(true) })
	})
	furnish(t, kit)
	lease := certify(t, kit.URL)
	if given := lease["parameters"]; given.(map[string]any)["public_key"] != "K" {
		t.Errorf("the lease was asked for with %v", given)
	}
	follower, cluster := kit.Follower(t, "n2", nil)
	cluster.SetLeader("")
	get := func(path string, headers ...string) answer {
		t.Helper()
		return ask(t, follower, "GET", path, "", append([]string{"Authorization", ""}, headers...)...)
	}
	if list := get(documentsPath); list.status != 200 || len(list.at("items").([]any)) != 2 {
		t.Errorf("the list: %d %s", list.status, list.text)
	}
	got := get(documentsPath + "/public.txt")
	if got.status != 200 || !strings.HasPrefix(got.text, "public-") || got.header.Get("Content-Type") != "text/plain" || got.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("a document: %d %v %s", got.status, got.header, got.text)
	}
	if at, err := http.ParseTime(got.header.Get("Last-Modified")); err != nil || time.Since(at) > time.Minute {
		t.Errorf("made at %v, %v", at, err)
	}
	if again := get(documentsPath+"/public.txt", "If-None-Match", got.header.Get("ETag")); again.status != 304 || again.text != "" {
		t.Errorf("the same again: %d %q", again.status, again.text)
	}
	if with := get(documentsPath+"/public.txt", "Authorization", "Bearer nonsense"); with.status != 200 {
		t.Errorf("with a token that is none: %d %s", with.status, with.text)
	}
	none := get("/api/v1/connections/none/documents/public.txt")
	for _, path := range []string{"/api/v1/connections/orders-db/documents/public.txt", documentsPath + "/none", "/api/v1/connections/none/documents", "/api/v1/connections/orders-db/documents"} {
		if one := get(path); one.status != 404 || one.code() != "not_found" || one.at("detail") != none.at("detail") {
			t.Errorf("%s: %s, and for a connection that there is not: %s", path, one.text, none.text)
		}
	}
	// Nothing else is open.
	for _, path := range []string{"/api/v1/connections/ca", documentsPath + "/public.txt/more", "/api/v1/connections/ca/health"} {
		if one := get(path); one.status != 401 {
			t.Errorf("%s without a token: %d %s", path, one.status, one.text)
		}
	}
	if one := ask(t, follower, "POST", documentsPath, "{}", "Authorization", ""); one.status != 401 {
		t.Errorf("writing without a token: %d %s", one.status, one.text)
	}
	cluster.SetStaleness(2 * time.Minute)
	if late := get(documentsPath + "/revoked.txt"); late.status != 503 || late.code() != "too_stale" {
		t.Errorf("of a node that hears of no leader: %d %s", late.status, late.text)
	}
}

// countRecords counts what would be recorded.
type countRecords struct{ n atomic.Int64 }

func (c *countRecords) Request(context.Context, access.RequestRecord) error { c.n.Add(1); return nil }
func (c *countRecords) Outcome(context.Context, access.OutcomeRecord)       { c.n.Add(1) }
func (c *countRecords) Call(context.Context, access.CallRecord)             {}

// A list that many ask for leaves no record of requests.
func TestDocumentsAreNotRecorded(t *testing.T) {
	var records countRecords
	kit := apitest.Start(t, func(c *api.Config) { c.Audit = &records })
	furnish(t, kit)
	certify(t, kit.URL)
	before := records.n.Load()
	for _, path := range []string{documentsPath + "/public.txt", documentsPath + "/none"} {
		ask(t, kit.URL, "GET", path, "")
	}
	if after := records.n.Load(); after != before {
		t.Errorf("%d records were kept", after-before)
	}
}
