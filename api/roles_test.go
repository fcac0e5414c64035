package api_test

import (
	"strconv"
	"strings"
	"testing"

	"broker/api/apitest"
)

func TestRoles(t *testing.T) {
	url := apitest.Start(t, nil).URL
	roles := expect(t, 200, url, "GET", "/api/v1/roles", "").json["items"].([]any)
	if len(roles) != 6 || roles[0].(map[string]any)["name"] != "admin" {
		t.Errorf("the roles are %v", roles)
	}
	if got := expect(t, 200, url, "GET", "/api/v1/roles/service", ""); !strings.Contains(got.text, `"lease:issue"`) || got.json["help"] == "" {
		t.Errorf("a role is %s", got.text)
	}
	expect(t, 404, url, "GET", "/api/v1/roles/king", "")
}

func TestRoleBindings(t *testing.T) {
	url := apitest.Start(t, nil).URL
	const path = "/api/v1/role-bindings"
	tried := expect(t, 200, url, "POST", path+"?dry_run=true", `{"role":"developer","account":"admin","scope":"payments/*"}`)
	if tried.json["id"] != "" || tried.json["scope"] != "payments/*" {
		t.Errorf("a dry run answers %s", tried.text)
	}
	made := expect(t, 201, url, "POST", path, `{"role":"developer","account":"admin","scope":"payments/*"}`, "Idempotency-Key", "k")
	id, _ := made.json["id"].(string)
	if again := expect(t, 201, url, "POST", path, `{"role":"developer","account":"admin","scope":"payments/*"}`, "Idempotency-Key", "k"); again.json["id"] != id {
		t.Errorf("asked again: %s", again.text)
	}
	for body, want := range map[string]string{
		`{"role":"developer","account":"admin","scope":"payments/*"}`:              "409 already_exists",
		`{"role":"viewer","account":"admin","scope":"*"}`:                          "403 self_grant",
		`{"role":"viewer","account":"nobody","scope":"*"}`:                         "404 not_found",
		`{"role":"viewer","group":"nobody","scope":"*"}`:                           "404 not_found",
		`{"role":"king","account":"admin","scope":"*"}`:                            "422 invalid_value",
		`{"role":"viewer","account":"admin","group":"x","scope":"*"}`:              "422 invalid_value",
		`{"role":"viewer","account":"admin","scope":"payments"}`:                   "422 invalid_value",
		`{"role":"viewer","account":"admin"}`:                                      "422 missing_field",
		`{"role":"viewer","account":"admin","scope":"*","environment":"payments"}`: "422 unknown_field",
	} {
		if got := ask(t, url, "POST", path, body); got.short() != want {
			t.Errorf("%s: %s, want %s: %s", body, got.short(), want, got.text)
		}
	}
	for query, want := range map[string]int{"": 3, "?role=developer": 2, "?account=admin&scope=*": 2, "?group=x": 0, "?role=developer&limit=1": 1} {
		if items := expect(t, 200, url, "GET", path+query, "").json["items"].([]any); len(items) != want {
			t.Errorf("%s chooses %d bindings, want %d", query, len(items), want)
		}
	}
	first := expect(t, 200, url, "GET", path+"?limit=2", "")
	next, _ := first.json["next_cursor"].(string)
	if rest := expect(t, 200, url, "GET", path+"?limit=2&cursor="+next, "").json["items"].([]any); next == "" || len(rest) != 1 {
		t.Errorf("the second page has %v", rest)
	}
	tag := expect(t, 200, url, "GET", path+"/"+id, "").header.Get("ETag")
	expect(t, 412, url, "DELETE", path+"/"+id, "", "If-Match", `"1"`)
	expect(t, 204, url, "DELETE", path+"/"+id, "", "If-Match", tag)
	expect(t, 404, url, "GET", path+"/"+id, "")

	admin := expect(t, 200, url, "GET", path+"?role=admin", "").json["items"].([]any)[0].(map[string]any)["id"].(string)
	if got := ask(t, url, "DELETE", path+"/"+admin, ""); got.short() != "409 last_admin" || got.json["hint"] == nil {
		t.Errorf("the last admin's binding: %s", got.text)
	}
}

func TestPolicies(t *testing.T) {
	url := apitest.Start(t, nil).URL
	const path = "/api/v1/policies"
	const body = `{"name":"team","description":"what the team may","text":"permit (principal in Group::\"team\", action == Action::\"lease:issue\", resource in App::\"payments\");"}`
	expect(t, 200, url, "POST", path+"?dry_run=true", body)
	expect(t, 404, url, "GET", path+"/team", "")
	expect(t, 201, url, "POST", path, body)
	for body, want := range map[string]string{
		body:                           "409 already_exists",
		`{"name":"x","text":"permit"}`: "422 invalid_value",
		`{"name":"x","text":"permit (principal, action == Action::\"fly\", resource);\npermit (principal in Team::\"x\", action, resource);"}`: "422 invalid_value",
		`{"name":"x","text":"forbid (principal, action, resource);"}`:                                                                          "409 policy_locks_out",
		`{"name":"X","text":"permit (principal, action, resource);"}`:                                                                          "422 invalid_value",
	} {
		if got := ask(t, url, "POST", path, body); got.short() != want {
			t.Errorf("%s: %s, want %s: %s", body, got.short(), want, got.text)
		}
	}
	wrong := ask(t, url, "POST", path, `{"name":"x","text":"permit (principal, action == Action::\"fly\", resource);\npermit (principal in Team::\"x\", action, resource);"}`)
	if all, _ := wrong.json["errors"].([]any); len(all) != 2 || !strings.Contains(wrong.text, "line 2, column 1: rule 2: there is no type Team") {
		t.Errorf("two rules are wrong: %s", wrong.text)
	}
	got := expect(t, 200, url, "GET", path+"/team", "")
	tag := got.header.Get("ETag")
	changed := expect(t, 200, url, "PATCH", path+"/team", `{"description":"less"}`, "If-Match", tag)
	if changed.json["description"] != "less" || changed.json["text"] != got.json["text"] {
		t.Errorf("the changed policy is %s", changed.text)
	}
	expect(t, 412, url, "PATCH", path+"/team", `{"text":"permit (principal, action, resource);"}`, "If-Match", tag)
	if got := ask(t, url, "PATCH", path+"/team", `{"text":"forbid (principal, action == Action::\"policy:update\", resource);"}`); got.short() != "409 policy_locks_out" {
		t.Errorf("a change that locks its author out: %s", got.text)
	}
	if items := expect(t, 200, url, "GET", path, "").json["items"].([]any); len(items) != 1 {
		t.Errorf("%d policies", len(items))
	}
	expect(t, 204, url, "DELETE", path+"/team", "")
	expect(t, 404, url, "DELETE", path+"/team", "")
}

func TestAccess(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	lease := issue(t, url, `{}`)
	const explain = "/api/v1/access/explain"
	got := expect(t, 200, url, "POST", explain, `{"account":"admin","action":"lease:issue","resource":"payments/production/orders-ro"}`)
	if got.json["allowed"] != true || !strings.Contains(got.text, "role developer in * allows it, given directly") {
		t.Errorf("explained: %s", got.text)
	}
	got = expect(t, 200, url, "POST", explain, `{"account":"admin","action":"lease:renew","resource":"lease/`+lease+`"}`)
	if got.json["allowed"] != true || !strings.Contains(got.text, "it belongs to the account itself") {
		t.Errorf("explained for a lease: %s", got.text)
	}
	expect(t, 201, url, "POST", "/api/v1/policies", `{"name":"office","text":"@id(\"hours\") forbid (principal, action == Action::\"lease:issue\", resource) unless { context has address && context.address.isInRange(ip(\"10.0.0.0/8\")) && context has ttl && context.ttl <= 3600 };"}`)
	got = expect(t, 200, url, "POST", explain, `{"account":"admin","action":"lease:issue","resource":"payments/production/orders-ro"}`)
	if got.json["allowed"] != false || !strings.Contains(got.text, "policy office, rule hours, forbids it") {
		t.Errorf("forbidden: %s", got.text)
	}
	got = expect(t, 200, url, "POST", explain, `{"account":"admin","action":"lease:issue","resource":"payments/production/orders-ro","address":"10.1.2.3","ttl":"1h"}`)
	if got.json["allowed"] != true {
		t.Errorf("from the office: %s", got.text)
	}
	for body, want := range map[string]string{
		`{"account":"admin","action":"lease:isue","resource":"*"}`:                  "did you mean lease:issue?",
		`{"account":"nobody","action":"lease:issue","resource":"*"}`:                `there is no account`,
		`{"account":"admin","action":"lease:issue","resource":"payments"}`:          "resource: ",
		`{"account":"admin","action":"lease:get","resource":"lease/L1"}`:            "there is no lease",
		`{"account":"admin","action":"lease:issue","resource":"*","address":"x"}`:   "address: must be an IP address",
		`{"account":"admin","action":"lease:issue","resource":"*","ttl":"-1h"}`:     "ttl",
		`{"account":"admin","action":"lease:issue","resource":"*","unknown":"-1h"}`: "unknown",
	} {
		if got := ask(t, url, "POST", explain, body); got.status != 422 || !strings.Contains(got.text, want) {
			t.Errorf("%s: %d %s, want %s", body, got.status, got.text, want)
		}
	}
	who := expect(t, 200, url, "POST", "/api/v1/access/who-can", `{"action":"secret:get","resource":"payments/production/orders-ro"}`)
	if holders := who.json["holders"].([]any); len(holders) != 1 || holders[0].(map[string]any)["account"] != "admin" {
		t.Errorf("who can: %s", who.text)
	}
	report := expect(t, 200, url, "GET", "/api/v1/access/report", "")
	if !strings.Contains(report.text, `"place":"payments/production","action":"secret:create"`) || !strings.Contains(report.text, `"used_at"`) {
		t.Errorf("the report: %.500s", report.text)
	}
}

// short is the status and code of an answer.
func (a answer) short() string { return strconv.Itoa(a.status) + " " + a.code() }
