package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"broker/api/apitest"
	"broker/providers/providertest"
)

func TestLifeOfALease(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)

	issued := expect(t, 201, url, "POST", issuePath, `{"ttl":"30m","name":"debugging","labels":{"ticket":"42"}}`)
	user, _ := issued.at("values", "DB_USER").(string)
	password, _ := issued.at("values", "DB_PASSWORD").(string)
	if err := kit.Fake.LogIn(user, password); err != nil {
		t.Fatalf("logging in with the leased values: %v", err)
	}
	if user != issued.at("lease", "username") || issued.at("lease", "account") != "admin" || issued.at("lease", "secret") != "payments/production/orders-ro" {
		t.Errorf("the lease is %v", issued.json["lease"])
	}
	if masked, _ := issued.json["masked"].([]any); len(masked) != 1 || masked[0] != "DB_PASSWORD" {
		t.Errorf("masked is %v", masked)
	}
	if !strings.Contains(issued.text, `"values":{"DB_USER":`) {
		t.Errorf("values are not in the order of the outputs: %s", issued.text)
	}
	if got := issued.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control of an answer with values is %q", got)
	}
	id, _ := issued.at("lease", "id").(string)

	shown := expect(t, 200, url, "GET", "/api/v1/leases/"+id, "")
	if shown.json["state"] != "active" || shown.json["renewable_ttl"] != 1800.0 || shown.at("labels", "ticket") != "42" {
		t.Errorf("the lease is %s", shown.text)
	}
	if strings.Contains(shown.text, password) {
		t.Error("reading a lease shows its values")
	}

	renewed := expect(t, 200, url, "POST", "/api/v1/leases/"+id+"/renew", `{"ttl":600}`)
	if renewed.json["renewable_ttl"] != 1200.0 || renewed.json["renewals"] != 1.0 {
		t.Errorf("after renewing: %s", renewed.text)
	}
	longest := expect(t, 200, url, "POST", "/api/v1/leases/"+id+"/renew", `{"until":"max"}`)
	if longest.json["renewable_ttl"] != 0.0 || longest.json["expires_at"] != longest.json["max_expires_at"] {
		t.Errorf("after renewing to the most: %s", longest.text)
	}

	revoked := expect(t, 200, url, "POST", "/api/v1/leases/"+id+"/revoke", `{"reason":"done"}`)
	if revoked.json["state"] != "revoked" || revoked.json["reason"] != "done" || revoked.json["warnings"] != nil {
		t.Errorf("after revoking: %s", revoked.text)
	}
	if err := kit.Fake.LogIn(user, password); err == nil {
		t.Error("the login still works after revoking")
	}
	again := expect(t, 200, url, "POST", "/api/v1/leases/"+id+"/revoke", "")
	if warnings, _ := again.json["warnings"].([]any); len(warnings) != 1 || again.json["state"] != "revoked" {
		t.Errorf("revoking what is revoked: %s", again.text)
	}

	history := expect(t, 200, url, "GET", "/api/v1/leases/"+id+"/events", "")
	var told []string
	for _, one := range history.json["items"].([]any) {
		told = append(told, one.(map[string]any)["type"].(string))
	}
	want := "lease.prepared lease.issued lease.renewed lease.renewed lease.revoking lease.revoked"
	if got := strings.Join(told, " "); got != want {
		t.Errorf("history is %s, want %s", got, want)
	}
	if strings.Contains(history.text, password) {
		t.Error("the history holds the password")
	}
}

func TestSlowRevokeIsAccepted(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	id := issue(t, url, `{}`)
	login := kit.Fake.Logins()[0].Name
	kit.Fake.Stick(login, "it owns a table")
	got := expect(t, 202, url, "POST", "/api/v1/leases/"+id+"/revoke", "")
	if warnings, _ := got.json["warnings"].([]any); got.json["state"] != "stuck" || len(warnings) == 0 {
		t.Errorf("the answer is %s", got.text)
	}
	kit.Fake.Unstick(login)
}

func TestIdempotencyKey(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	first := expect(t, 201, url, "POST", issuePath, `{"ttl":"5m"}`, "Idempotency-Key", "k1")
	again := expect(t, 201, url, "POST", issuePath, `{"ttl":"5m"}`, "Idempotency-Key", "k1")
	if first.at("lease", "id") != again.at("lease", "id") || first.at("values", "DB_PASSWORD") != again.at("values", "DB_PASSWORD") {
		t.Errorf("the repeated request got another answer:\n%s\n%s", first.text, again.text)
	}
	if again.json["replayed"] != true {
		t.Errorf("the answer does not say that it is a repetition: %s", again.text)
	}
	if got := ask(t, url, "POST", issuePath, `{"ttl":"6m"}`, "Idempotency-Key", "k1"); got.code() != "idempotency_key_reused" {
		t.Errorf("the key with another body: %d %s", got.status, got.text)
	}
	if calls := kit.Fake.Calls(providertest.OpCreate); len(calls) != 1 {
		t.Errorf("%d logins were made, want 1", len(calls))
	}
}

func TestDryRunDoesNothing(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	got := expect(t, 200, url, "POST", issuePath+"?dry_run=true", `{"ttl":"5m"}`)
	if got.at("values", "DB_USER") != nil {
		t.Errorf("a dry run shows values: %s", got.text)
	}
	expect(t, 200, url, "POST", "/api/v1/environments?dry_run=true", `{"name":"a/b"}`)
	expect(t, 404, url, "GET", "/api/v1/environments/a/b", "")
	if got := ask(t, url, "POST", "/api/v1/environments?dry_run=true", `{"name":"payments/production"}`); got.code() != "already_exists" {
		t.Errorf("a dry run of a duplicate: %d %s", got.status, got.text)
	}
	if logins := kit.Fake.Logins(); len(logins) != 0 {
		t.Errorf("a dry run made logins: %v", logins)
	}
}

func TestOutsideSystemDown(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	kit.Fake.Fail(providertest.OpCreate, providertest.FaultUnreachable)
	got := ask(t, url, "POST", issuePath, `{}`)
	if got.status != 503 || got.code() != "connection_unavailable" || got.header.Get("Retry-After") == "" || got.json["connection"] != "orders-db" {
		t.Errorf("issuing while the system is down: %d %s", got.status, got.text)
	}
}

func TestConnectionNeverShowsItsSecretFields(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	expect(t, 200, url, "PATCH", "/api/v1/connections/orders-db", `{"description":"the orders"}`)
	for _, path := range []string{"/api/v1/connections", "/api/v1/connections/orders-db", "/api/v1/events"} {
		if got := expect(t, 200, url, "GET", path, ""); strings.Contains(got.text, apitest.RootPassword) {
			t.Errorf("%s shows the root password: %s", path, got.text)
		}
	}
	got := expect(t, 200, url, "GET", "/api/v1/connections/orders-db", "")
	if got.at("settings", "system") != "main" || got.json["system"] == "" || got.json["description"] != "the orders" {
		t.Errorf("the connection is %s", got.text)
	}
	checked := expect(t, 200, url, "POST", "/api/v1/connections/orders-db/check", "")
	if checked.json["system"] != got.json["system"] {
		t.Errorf("the check found %s", checked.text)
	}
}

func TestVersions(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	path := secretsPath + "/orders-ro"
	tag := expect(t, 200, url, "GET", path, "").header.Get("ETag")
	changed := expect(t, 200, url, "PATCH", path, `{"description":"one","default_ttl":"20m"}`, "If-Match", tag)
	if changed.header.Get("ETag") == tag || changed.json["default_ttl"] != 1200.0 {
		t.Errorf("after a change: ETag %s, %s", changed.header.Get("ETag"), changed.text)
	}
	got := ask(t, url, "PATCH", path, `{"description":"two"}`, "If-Match", tag)
	if got.status != 412 || got.json["version"] == nil {
		t.Errorf("a change of an old version: %d %s", got.status, got.text)
	}
	if got := ask(t, url, "DELETE", path, "", "If-Match", tag); got.status != 412 {
		t.Errorf("deleting an old version: %d %s", got.status, got.text)
	}
	expect(t, 204, url, "DELETE", path, "", "If-Match", changed.header.Get("ETag"))
	expect(t, 404, url, "GET", path, "")
}

func TestPages(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	var want []string
	for range 5 {
		want = append([]string{issue(t, url, `{}`)}, want...) // newest first
	}
	var got []string
	path := "/api/v1/leases?environment=payments/*&state=active&limit=2"
	for cursor, pages := "", 0; ; pages++ {
		page := expect(t, 200, url, "GET", path+"&cursor="+cursor, "")
		for _, one := range page.json["items"].([]any) {
			got = append(got, one.(map[string]any)["id"].(string))
		}
		next, _ := page.json["next_cursor"].(string)
		if next == "" {
			if pages != 2 {
				t.Errorf("there were %d pages before the last, want 2", pages)
			}
			break
		}
		cursor = next
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("pages hold %v, want %v", got, want)
	}

	seen := 0
	for after := "0"; after != ""; {
		page := expect(t, 200, url, "GET", "/api/v1/events?limit=3&after="+after, "")
		seen += len(page.json["items"].([]any))
		after, _ = page.json["next_cursor"].(string)
	}
	if all := len(expect(t, 200, url, "GET", "/api/v1/events?limit=1000", "").json["items"].([]any)); seen != all {
		t.Errorf("pages of events hold %d, all of them are %d", seen, all)
	}
}

func TestSelector(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	one := issue(t, url, `{"labels":{"team":"a"}}`)
	two := issue(t, url, `{"labels":{"team":"b"}}`)
	expect(t, 200, url, "POST", "/api/v1/leases/"+two+"/revoke", "")
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for query, want := range map[string]string{
		"label=team=a":         one,
		"state=revoked":        two,
		"state=active,pending": one,
		"state=revoked&state=active&sort=created_at":       one + " " + two,
		"secret=payments/production/orders-ro":             two + " " + one,
		"secret=payments/production/other":                 "",
		"environment=*&account=admin&connection=orders-db": two + " " + one,
		"account=nobody":                           "",
		"issued_after=" + later:                    "",
		"issued_before=" + later + "&label=team=b": two,
	} {
		var got []string
		for _, item := range expect(t, 200, url, "GET", "/api/v1/leases?"+query, "").json["items"].([]any) {
			got = append(got, item.(map[string]any)["id"].(string))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s selects %v, want %s", query, got, want)
		}
	}
}

func TestPublicRoutes(t *testing.T) {
	kit := apitest.Start(t, nil)
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusOK, "/api/v1/openapi.json": http.StatusOK} {
		if got := ask(t, kit.URL, "GET", path, "", "Authorization", ""); got.status != want {
			t.Errorf("%s: %d %s", path, got.status, got.text)
		}
	}
	kit.Cluster.SetLeader("")
	if got := ask(t, kit.URL, "GET", "/readyz", "", "Authorization", ""); got.status != 503 {
		t.Errorf("/readyz without a leader: %d", got.status)
	}
	kit.Cluster.SetLeader("n1")
	for _, path := range []string{"/docs", "/schemas/Lease.json", "/api/v1/docs"} {
		if got := ask(t, kit.URL, "GET", path, ""); got.status != 404 {
			t.Errorf("%s: %d, want none of the library's own pages", path, got.status)
		}
	}
}

// What a client calls itself is written into the log: bytes that are no text must not stop the cluster.
func TestUserAgentThatIsNoText(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	for name, agent := range map[string]string{"no UTF-8": "agent\xff/1", "cut in the middle of a character": strings.Repeat("x", 255) + "é and more"} {
		if got := ask(t, url, "POST", "/api/v1/environments/payments/production/secrets/orders-ro/leases", "{}", "User-Agent", agent); got.status != 201 {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	expect(t, 200, url, "GET", "/api/v1/leases", "")
}
