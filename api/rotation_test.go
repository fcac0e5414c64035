package api_test

import (
	"strings"
	"testing"

	"broker/api/apitest"
	"broker/providers/providertest"
)

// A root credential is exchanged: the answer tells how far that is, and never which it is.
func TestRotateConnection(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := kit.URL
	furnish(t, kit)
	path := "/api/v1/connections/orders-db"
	if dry := expect(t, 200, url, "POST", path+"/rotate?dry_run=true", ""); dry.at("rotation", "state") != "rotating" {
		t.Errorf("a dry run: %s", dry.text)
	}
	if got := expect(t, 200, url, "GET", path, ""); got.json["rotation"] != nil {
		t.Errorf("a dry run did something: %s", got.text)
	}
	done := expect(t, 200, url, "POST", path+"/rotate", "")
	if done.at("rotation", "state") != "done" || done.at("rotation", "rotated_at") == nil || done.at("rotation", "by") != "admin" {
		t.Errorf("rotated: %s", done.text)
	}
	root := kit.Fake.RootPasswords()
	if len(root) != 1 || root[0] == apitest.RootPassword || strings.Contains(done.text, root[0]) {
		t.Errorf("the outside system accepts %d passwords; %s", len(root), done.text)
	}
	issue(t, url, `{}`)

	kit.Fake.FailTimes(providertest.OpRotate, providertest.FaultRefuse, 1)
	if got := ask(t, url, "POST", path+"/rotate", ""); got.status != 409 || got.code() != "rotation_cancelled" {
		t.Errorf("refused by the outside system: %d %s", got.status, got.text)
	}
	kit.Fake.Fail(providertest.OpRotate, providertest.FaultUnreachable)
	going := expect(t, 202, url, "POST", path+"/rotate", "")
	if going.at("rotation", "state") != "rotating" || going.at("rotation", "error") == nil || going.at("rotation", "next_try_at") == nil {
		t.Errorf("while the system is away: %s", going.text)
	}
	if got := ask(t, url, "POST", path+"/rotate", ""); got.status != 409 || got.code() != "rotation_running" {
		t.Errorf("a second one: %d %s", got.status, got.text)
	}
	if got := ask(t, url, "PATCH", path, `{"settings":{"password":"x"}}`); got.status != 409 || got.code() != "rotation_running" {
		t.Errorf("an update: %d %s", got.status, got.text)
	}
	if got := ask(t, url, "POST", path+"/rotate/cancel", `{}`); got.status != 422 || got.field() != "reason" {
		t.Errorf("without a reason: %d %s", got.status, got.text)
	}
	if got := expect(t, 200, url, "POST", path+"/rotate/cancel", `{"reason":"it takes too long"}`); got.at("rotation", "state") != "cancelled" || got.at("rotation", "reason") != "it takes too long" {
		t.Errorf("given up: %s", got.text)
	}
	if got := ask(t, url, "POST", path+"/rotate/cancel", `{"reason":"again"}`); got.status != 409 || got.code() != "rotation_not_running" {
		t.Errorf("given up twice: %d %s", got.status, got.text)
	}
	expect(t, 404, url, "POST", "/api/v1/connections/nowhere/rotate", "")
}
