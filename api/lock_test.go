package api_test

import (
	"strconv"
	"testing"
	"time"

	"broker/api/apitest"
)

func TestLock(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	lease := issue(t, url, `{}`)
	const body = `{"scope":{"environment":"payments/*"},"reason":"a laptop was stolen","revoke":true}`

	tried := expect(t, 200, url, "POST", "/api/v1/locks?dry_run=true", body)
	if tried.at("operation", "total") != 1.0 || tried.at("lock", "id") != "" {
		t.Errorf("a dry run answers %s", tried.text)
	}
	made := expect(t, 201, url, "POST", "/api/v1/locks", body)
	id, _ := made.at("lock", "id").(string)
	operation, _ := made.at("operation", "id").(string)
	if made.at("lock", "in_force") != true || made.at("lock", "by") != "admin" || made.at("lock", "scope", "environment") != "payments/*" {
		t.Errorf("the lock is %s", made.text)
	}
	finished(t, url, operation)
	if got := expect(t, 200, url, "GET", "/api/v1/leases/"+lease, ""); got.json["state"] != "revoked" {
		t.Errorf("the lease that the lock covers: %s", got.text)
	}
	got := ask(t, url, "POST", issuePath, `{}`)
	if got.status != 423 || got.code() != "locked" || got.json["lock_id"] != id {
		t.Errorf("issuing behind a lock: %d %s", got.status, got.text)
	}

	tag := expect(t, 200, url, "GET", "/api/v1/locks/"+id, "").header.Get("ETag")
	changed := expect(t, 200, url, "PATCH", "/api/v1/locks/"+id, `{"reason":"found again","ttl":"1h"}`, "If-Match", tag)
	if changed.json["until"] == nil || changed.json["reason"] != "found again" {
		t.Errorf("the changed lock is %s", changed.text)
	}
	if got := ask(t, url, "DELETE", "/api/v1/locks/"+id, "", "If-Match", tag); got.status != 412 {
		t.Errorf("deleting an old version: %d %s", got.status, got.text)
	}
	if endless := expect(t, 200, url, "PATCH", "/api/v1/locks/"+id, `{"no_end":true}`); endless.json["until"] != nil {
		t.Errorf("a lock without an end is %s", endless.text)
	}
	if items := expect(t, 200, url, "GET", "/api/v1/locks", "").json["items"].([]any); len(items) != 1 {
		t.Errorf("%d locks, want 1", len(items))
	}
	expect(t, 204, url, "DELETE", "/api/v1/locks/"+id, "")
	expect(t, 404, url, "GET", "/api/v1/locks/"+id, "")
	issue(t, url, `{}`)
}

// A label of a secret counts for its leases; the repeated request tells of the same lock and operation.
func TestLockOfLabelledSecret(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	expect(t, 200, url, "PATCH", secretsPath+"/orders-ro", `{"labels":{"pci":"yes"}}`)
	lease := issue(t, url, `{}`)
	const body = `{"scope":{"label":"pci=yes"},"reason":"a laptop was stolen","revoke":true}`

	if tried := expect(t, 200, url, "POST", "/api/v1/locks?dry_run=true", body); tried.at("operation", "total") != 1.0 {
		t.Errorf("a dry run answers %s", tried.text)
	}
	made := expect(t, 201, url, "POST", "/api/v1/locks", body, "Idempotency-Key", "k")
	again := expect(t, 201, url, "POST", "/api/v1/locks", body, "Idempotency-Key", "k")
	operation, _ := made.at("operation", "id").(string)
	if again.at("operation", "id") != operation || again.at("lock", "id") != made.at("lock", "id") {
		t.Errorf("asked again: %s, want as before: %s", again.text, made.text)
	}
	if done := finished(t, url, operation); done.json["total"] != 1.0 || done.json["done"] != 1.0 || done.json["reason"] != "locked: a laptop was stolen" {
		t.Errorf("the operation is %s", done.text)
	}
	if got := expect(t, 200, url, "GET", "/api/v1/leases/"+lease, ""); got.json["state"] != "revoked" {
		t.Errorf("the lease of the secret: %s", got.text)
	}
	if items := expect(t, 200, url, "GET", "/api/v1/operations", "").json["items"].([]any); len(items) != 1 {
		t.Errorf("%d operations, want 1", len(items))
	}
}

func TestLockOfBadScope(t *testing.T) {
	kit := apitest.Start(t, nil)
	before := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	for body, field := range map[string]string{
		`{"scope":{},"reason":"x"}`:                                                          "scope",
		`{"scope":{"environment":"payments"},"reason":"x"}`:                                  "scope.environment",
		`{"scope":{"secret":"orders"},"reason":"x"}`:                                         "scope.secret",
		`{"scope":{"label":"x"},"reason":"x"}`:                                               "scope.label",
		`{"scope":{"environment":"*"}}`:                                                      "reason",
		`{"scope":{"environment":"*"},"reason":" "}`:                                         "reason",
		`{"scope":{"environment":"*"},"reason":"x","until":"` + before + `"}`:                "until",
		`{"scope":{"environment":"*"},"reason":"x","until":"2100-01-01T00:00:00Z","ttl":60}`: "until",
		`{"scope":{"environment":"*"},"reason":"x","ttl":0}`:                                 "ttl",
	} {
		if got := ask(t, kit.URL, "POST", "/api/v1/locks", body); got.status != 422 || got.field() != field {
			t.Errorf("%s: %d, field %q: %s", body, got.status, got.field(), got.text)
		}
	}
}

// wait returns the seconds that a problem asks to wait, in header and body alike.
func wait(t *testing.T, got answer) int {
	t.Helper()
	header, err := strconv.Atoi(got.header.Get("Retry-After"))
	body, _ := got.json["retry_after"].(float64)
	if err != nil || int(body) != header {
		t.Errorf("Retry-After is %q, retry_after %v: %s", got.header.Get("Retry-After"), got.json["retry_after"], got.text)
	}
	return header
}

func TestLimits(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	changed := expect(t, 200, url, "PATCH", secretsPath+"/orders-ro", `{"max_leases":1,"issue_rate":"100/m"}`)
	if changed.json["max_leases"] != 1.0 || changed.json["issue_rate"] != "100/1m" {
		t.Errorf("the secret is %s", changed.text)
	}
	issue(t, url, `{}`)
	got := ask(t, url, "POST", issuePath, `{}`)
	if got.status != 429 || got.code() != "quota_exceeded" || got.json["max_leases"] != 1.0 || wait(t, got) != 10 {
		t.Errorf("beyond the quota of a secret: %d %s", got.status, got.text)
	}
	expect(t, 200, url, "PATCH", secretsPath+"/orders-ro", `{"max_leases":0,"issue_rate":"1/1h"}`)
	if got := ask(t, url, "POST", issuePath, `{}`); got.status == 201 {
		got = ask(t, url, "POST", issuePath, `{}`) // the first one was within the new rate
		if got.status != 429 || got.code() != "rate_limited" || wait(t, got) < 60 {
			t.Errorf("beyond the rate of a secret: %d %s", got.status, got.text)
		}
	}
	if got := expect(t, 200, url, "PATCH", secretsPath+"/orders-ro", `{"issue_rate":""}`); got.json["issue_rate"] != nil {
		t.Errorf("the secret without limits is %s", got.text)
	}
	expect(t, 200, url, "PATCH", "/api/v1/accounts/admin", `{"max_leases":2,"issue_rate":"1000/1s"}`)
	ask(t, url, "POST", issuePath, `{}`)
	if got := ask(t, url, "POST", issuePath, `{}`); got.status != 429 || got.code() != "quota_exceeded" {
		t.Errorf("beyond the quota of an account: %d %s", got.status, got.text)
	}
	for body, field := range map[string]string{`{"issue_rate":"10"}`: "issue_rate", `{"issue_rate":"1/1ms"}`: "issue_rate", `{"max_leases":-1}`: "max_leases"} {
		if got := ask(t, url, "PATCH", secretsPath+"/orders-ro", body); got.status != 422 || got.field() != field {
			t.Errorf("%s: %d, field %q: %s", body, got.status, got.field(), got.text)
		}
	}
}

func TestAccounts(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	issue(t, url, `{}`)
	got := expect(t, 200, url, "GET", "/api/v1/accounts/admin", "")
	if got.json["live_leases"] != 1.0 || got.json["kind"] == "" || got.json["disabled"] != false {
		t.Errorf("the account is %s", got.text)
	}
	if items := expect(t, 200, url, "GET", "/api/v1/accounts", "").json["items"].([]any); len(items) != 1 {
		t.Errorf("%d accounts, want 1", len(items))
	}
	for _, row := range []struct{ method, path, body string }{
		{"PATCH", "/api/v1/accounts/admin", `{"disabled":true}`},
		{"DELETE", "/api/v1/accounts/admin", ""},
		{"DELETE", "/api/v1/accounts/admin?revoke_leases=true", ""},
	} {
		if got := ask(t, url, row.method, row.path, row.body); got.status != 422 {
			t.Errorf("%s %s %s of oneself: %d %s", row.method, row.path, row.body, got.status, got.text)
		}
	}
	expect(t, 404, url, "GET", "/api/v1/accounts/nobody", "")
	expect(t, 404, url, "PATCH", "/api/v1/accounts/nobody", `{"max_leases":1}`)
}
