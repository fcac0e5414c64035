package api_test

import (
	"strings"
	"testing"
	"time"

	"broker/access"
	"broker/api"
	"broker/api/apitest"
)

// Leases that are named are asked about one by one: their holder may revoke them, and nobody else those of others.
func TestRevokeNamed(t *testing.T) {
	kit := apitest.Start(t, func(c *api.Config) { c.Authorizer = c.Access.(*access.Decider) })
	url := furnish(t, kit)
	expect(t, 201, url, "POST", "/api/v1/accounts", `{"name":"alice","kind":"user"}`)
	expect(t, 201, url, "POST", "/api/v1/role-bindings", `{"role":"developer","account":"alice","scope":"payments/*"}`)
	made := expect(t, 201, url, "POST", "/api/v1/tokens", `{"account":"alice"}`)
	hers := []string{"Authorization", "Bearer " + made.json["token"].(string)}
	var ids []string
	for range 3 {
		got := expect(t, 201, url, "POST", issuePath, `{}`, hers...)
		ids = append(ids, got.at("lease", "id").(string))
	}
	his := issue(t, url, `{}`)
	both := `{"selector":{"id":["` + ids[0] + `","` + ids[2] + `"]}}`
	if got := expect(t, 200, url, "GET", "/api/v1/leases?id="+ids[2]+"&id="+ids[0], "", hers...); !strings.Contains(got.text, ids[0]) || strings.Contains(got.text, ids[1]) {
		t.Errorf("the list of the named: %s", got.text)
	}
	for _, chosen := range []string{his, ids[0] + `","` + his} {
		if got := ask(t, url, "POST", "/api/v1/leases/revoke", `{"selector":{"id":["`+chosen+`"]}}`, hers...); got.status != 403 {
			t.Errorf("somebody else's lease: %d %s", got.status, got.text)
		}
	}
	if got := ask(t, url, "POST", "/api/v1/leases/revoke", `{"selector":{"account":"alice"}}`, hers...); got.status != 403 {
		t.Errorf("whatever the account has: %d %s", got.status, got.text)
	}
	done := finished(t, url, operationOf(t, expect(t, 202, url, "POST", "/api/v1/leases/revoke", both, hers...)))
	if done.json["total"] != 2.0 || done.json["done"] != 2.0 {
		t.Errorf("the operation: %s", done.text)
	}
	for id, state := range map[string]string{ids[0]: "revoked", ids[1]: "active", ids[2]: "revoked", his: "active"} {
		if got := expect(t, 200, url, "GET", "/api/v1/leases/"+id, ""); got.json["state"] != state {
			t.Errorf("%s is %v, want %s", id, got.json["state"], state)
		}
	}
}

// finished waits until an operation runs no more, and returns it.
func finished(t *testing.T, url, id string) answer {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		got := expect(t, 200, url, "GET", "/api/v1/operations/"+id, "")
		if got.json["state"] != "running" {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("operation %s still runs: %s", id, got.text)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// operationOf returns the id of the operation that an answer began.
func operationOf(t *testing.T, got answer) string {
	t.Helper()
	id, _ := got.json["id"].(string)
	if id == "" || got.header.Get("Location") != "/api/v1/operations/"+id {
		t.Fatalf("no operation, Location %q: %s", got.header.Get("Location"), got.text)
	}
	return id
}

// stuck issues a lease whose login cannot be removed, and has its end begun.
func stuck(t *testing.T, kit *apitest.Kit) (id, username string) {
	t.Helper()
	issued := expect(t, 201, kit.URL, "POST", issuePath, `{}`)
	id, _ = issued.at("lease", "id").(string)
	username, _ = issued.at("lease", "username").(string)
	for _, login := range kit.Fake.Logins() {
		if string(login.Name) == username {
			kit.Fake.Stick(login.Name, "it owns a table")
		}
	}
	if got := expect(t, 202, kit.URL, "POST", "/api/v1/leases/"+id+"/revoke", ""); got.json["state"] != "stuck" {
		t.Fatalf("the lease is not stuck: %s", got.text)
	}
	return id, username
}

func TestRevokeMany(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	for range 5 {
		issue(t, url, `{"labels":{"team":"a"}}`)
	}
	kept := issue(t, url, `{}`)
	const chosen = `{"selector":{"environment":["payments/*"],"label":["team=a"]},"reason":"leaked"`

	tried := expect(t, 200, url, "POST", "/api/v1/leases/revoke?dry_run=true", chosen+`}`)
	if tried.json["total"] != 5.0 || tried.json["id"] != nil || tried.json["created_at"] != nil || tried.header.Get("Location") != "" {
		t.Errorf("a dry run answers %s", tried.text)
	}
	if got := ask(t, url, "POST", "/api/v1/leases/revoke", chosen+`,"max":4}`); got.status != 409 || got.code() != "too_many_leases" || got.json["leases"] != 5.0 {
		t.Errorf("more than the most: %d %s", got.status, got.text)
	}
	begun := expect(t, 202, url, "POST", "/api/v1/leases/revoke", chosen+`,"max":5}`, "Idempotency-Key", "k")
	id := operationOf(t, begun)
	if again := expect(t, 202, url, "POST", "/api/v1/leases/revoke", chosen+`,"max":5}`, "Idempotency-Key", "k"); again.json["id"] != id {
		t.Errorf("the repeated request began another operation: %s", again.text)
	}
	done := finished(t, url, id)
	for field, want := range map[string]any{"kind": "revoke", "state": "done", "total": 5.0, "begun": 5.0, "done": 5.0, "stuck": 0.0, "reason": "leaked", "by": "admin"} {
		if done.json[field] != want {
			t.Errorf("%s is %v, want %v", field, done.json[field], want)
		}
	}
	if label, _ := done.at("selector", "label").([]any); len(label) != 1 || label[0] != "team=a" {
		t.Errorf("the selector is %v", done.json["selector"])
	}
	ended := expect(t, 200, url, "GET", "/api/v1/leases?operation="+id, "")
	for _, one := range ended.json["items"].([]any) {
		if lease := one.(map[string]any); lease["operation"] != id || lease["state"] != "revoked" || lease["reason"] != "leaked" {
			t.Errorf("a lease of the operation is %v", lease)
		}
	}
	if n := len(ended.json["items"].([]any)); n != 5 {
		t.Errorf("the operation has %d leases, want 5", n)
	}
	if got := expect(t, 200, url, "GET", "/api/v1/leases/"+kept, ""); got.json["state"] != "active" {
		t.Errorf("a lease that was not chosen: %s", got.text)
	}
	if got := ask(t, url, "POST", "/api/v1/operations/"+id+"/cancel", ""); got.status != 409 || got.code() != "operation_ended" {
		t.Errorf("cancelling what is done: %d %s", got.status, got.text)
	}
}

// A selector that chooses everything is a mistake unless it is said to be meant.
func TestEverythingMustBeSaid(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	lease := issue(t, url, `{}`)
	for body, field := range map[string]string{
		`{}`:                                          "selector",
		`{"selector":{}}`:                             "selector",
		`{"selector":{"state":[]}}`:                   "selector",
		`{"selector":{"environment":[""]}}`:           "selector.environment",
		`{"selector":{"state":["happy"]}}`:            "selector.state",
		`{"selector":{"label":["x"]}}`:                "selector.label",
		`{"selector":{"secret":"x"}}`:                 "selector.secret",
		`{"selector":{"account":"admin"},"all":true}`: "all",
		`{"selector":{"colour":"red"}}`:               "selector.colour",
	} {
		if got := ask(t, url, "POST", "/api/v1/leases/revoke", body); got.status != 422 || got.field() != field {
			t.Errorf("%s: %d, field %q: %s", body, got.status, got.field(), got.text)
		}
	}
	if got := expect(t, 200, url, "GET", "/api/v1/leases/"+lease, ""); got.json["state"] != "active" {
		t.Fatalf("a refused request ended a lease: %s", got.text)
	}
	id := operationOf(t, expect(t, 202, url, "POST", "/api/v1/leases/revoke", `{"all":true}`))
	if done := finished(t, url, id); done.json["done"] != 1.0 {
		t.Errorf("revoking all: %s", done.text)
	}
}

func TestStuckRetryForget(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	one, user := stuck(t, kit)
	shown := expect(t, 200, url, "GET", "/api/v1/leases?state=stuck", "").json["items"].([]any)
	if len(shown) != 1 {
		t.Fatalf("%d leases are stuck, want 1", len(shown))
	}
	if lease := shown[0].(map[string]any); lease["id"] != one || lease["last_error"] == nil || lease["next_try_at"] == nil || lease["attempts"] == nil {
		t.Errorf("the stuck lease is %v", lease)
	}
	if got := expect(t, 202, url, "POST", "/api/v1/leases/"+one+"/retry", ""); got.json["state"] != "stuck" {
		t.Errorf("retrying in vain: %s", got.text)
	}
	if got := ask(t, url, "POST", "/api/v1/leases/"+one+"/forget", `{}`); got.status != 422 || got.field() != "reason" {
		t.Errorf("forgetting without a reason: %d %s", got.status, got.text)
	}
	forgotten := expect(t, 200, url, "POST", "/api/v1/leases/"+one+"/forget", `{"reason":"the host is gone"}`)
	if forgotten.json["state"] != "forgotten" || forgotten.json["forgotten"] != true || !strings.Contains(forgotten.text, "may still exist") {
		t.Errorf("the forgotten lease is %s", forgotten.text)
	}
	// Who had a login is told of ended leases too.
	if items := expect(t, 200, url, "GET", "/api/v1/leases?username="+user, "").json["items"].([]any); len(items) != 1 {
		t.Errorf("%d leases had the login, want 1", len(items))
	}
	if items := expect(t, 200, url, "GET", "/api/v1/leases?state=forgotten", "").json["items"].([]any); len(items) != 1 {
		t.Errorf("%d leases are forgotten, want 1", len(items))
	}
	if got := ask(t, url, "POST", "/api/v1/leases/"+one+"/retry", ""); got.status != 409 || got.code() != "lease_not_revoking" {
		t.Errorf("retrying what has ended: %d %s", got.status, got.text)
	}

	two, _ := stuck(t, kit)
	for _, login := range kit.Fake.Logins() {
		kit.Fake.Unstick(login.Name)
	}
	id := operationOf(t, expect(t, 202, url, "POST", "/api/v1/leases/retry", `{"selector":{"state":["stuck","revoking"]}}`))
	finished(t, url, id)
	for deadline := time.Now().Add(time.Minute); expect(t, 200, url, "GET", "/api/v1/leases/"+two, "").json["state"] != "revoked"; {
		if time.Now().After(deadline) {
			t.Fatal("the retried lease does not end")
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestDeleteWithLeases(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	expect(t, 201, url, "POST", secretsPath, `{"name":"orders-rw","connection":"orders-db"}`)
	id, username := stuck(t, kit)
	issue(t, url, `{}`)
	const path = "/api/v1/environments/payments/production"

	if got := ask(t, url, "DELETE", path+"?reason=x", ""); got.status != 422 || got.field() != "reason" {
		t.Errorf("a reason without leases to revoke: %d %s", got.status, got.text)
	}
	tried := expect(t, 200, url, "DELETE", path+"?revoke_leases=true&dry_run=true", "")
	if tried.json["total"] != 1.0 || tried.json["secrets"] != 2.0 || tried.at("target", "name") != "payments/production" || tried.json["warnings"] == nil {
		t.Errorf("a dry run answers %s", tried.text)
	}
	expect(t, 200, url, "GET", path, "")
	if got := ask(t, url, "DELETE", path+"?revoke_leases=true", "", "If-Match", `"1"`); got.status != 412 {
		t.Errorf("with a wrong version: %d %s", got.status, got.text)
	}
	operation := operationOf(t, expect(t, 202, url, "DELETE", path+"?revoke_leases=true&reason=over", ""))

	// The stuck lease holds it up.
	if got := expect(t, 200, url, "GET", path, ""); got.json["being_deleted_by"] != operation {
		t.Errorf("the environment is %s", got.text)
	}
	if got := ask(t, url, "POST", issuePath, `{}`); got.status != 409 || got.code() != "being_deleted" || got.json["operation_id"] != operation {
		t.Errorf("issuing meanwhile: %d %s", got.status, got.text)
	}
	expect(t, 200, url, "POST", "/api/v1/operations/"+operation+"/cancel", "")
	if got := expect(t, 200, url, "GET", path, ""); got.json["being_deleted_by"] != nil {
		t.Errorf("after cancelling the environment is %s", got.text)
	}

	for _, login := range kit.Fake.Logins() {
		if string(login.Name) == username {
			kit.Fake.Unstick(login.Name)
		}
	}
	// The broker's own next try may have come first.
	if got := ask(t, url, "POST", "/api/v1/leases/"+id+"/retry", ""); got.status != 200 && got.code() != "lease_not_revoking" {
		t.Fatalf("trying again: %d %s", got.status, got.text)
	}
	operation = operationOf(t, expect(t, 202, url, "DELETE", "/api/v1/connections/orders-db?revoke_leases=true", ""))
	if done := finished(t, url, operation); done.json["state"] != "done" || done.json["kind"] != "delete" {
		t.Errorf("the operation is %s", done.text)
	}
	expect(t, 404, url, "GET", "/api/v1/connections/orders-db", "")
	expect(t, 404, url, "GET", secretsPath+"/orders-ro", "")
	expect(t, 204, url, "DELETE", path, "")
}

func TestOperationsList(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	var want []string
	for range 3 {
		id := operationOf(t, expect(t, 202, url, "POST", "/api/v1/leases/revoke", `{"all":true}`))
		finished(t, url, id)
		want = append([]string{id}, want...) // newest first
	}
	for _, query := range []string{"?limit=2", "?state=done&limit=2"} {
		var got []string
		for cursor := ""; ; {
			page := expect(t, 200, url, "GET", "/api/v1/operations"+query+"&cursor="+cursor, "")
			for _, one := range page.json["items"].([]any) {
				got = append(got, one.(map[string]any)["id"].(string))
			}
			if cursor, _ = page.json["next_cursor"].(string); cursor == "" {
				break
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s lists %v, want %v", query, got, want)
		}
	}
	if items := expect(t, 200, url, "GET", "/api/v1/operations?state=running", "").json["items"].([]any); len(items) != 0 {
		t.Errorf("operations run: %v", items)
	}
	expect(t, 404, url, "GET", "/api/v1/operations/01NOTHING", "")
	expect(t, 404, url, "POST", "/api/v1/operations/01NOTHING/cancel", "")
}
