package api_test

import (
	"strings"
	"testing"

	"broker/api/apitest"
)

// person makes an account, and a token for it.
func person(t *testing.T, url, name, kind, more string) string {
	t.Helper()
	expect(t, 201, url, "POST", "/api/v1/accounts", `{"name":"`+name+`","kind":"`+kind+`"}`)
	return text(expect(t, 201, url, "POST", "/api/v1/tokens", `{"account":"`+name+`"`+more+`}`).json["token"])
}

// A list shows nothing that may not be read by its name.
func TestListsKeepToPolicies(t *testing.T) {
	url := furnish(t, apitest.Start(t, decided))
	forbid(t, url, "hide", `forbid (principal, action in [Action::"connection:list", Action::"connection:get"], resource == Connection::"orders-db");`)
	expect(t, 403, url, "GET", "/api/v1/connections/orders-db", "")
	if got := expect(t, 200, url, "GET", "/api/v1/connections", ""); strings.Contains(got.text, "orders-db") {
		t.Errorf("the list shows what a policy forbids to read: %s", got.text)
	}
}

// A token that is good for little does not become a password that is good for more.
func TestFirstPassword(t *testing.T) {
	url := furnish(t, apitest.Start(t, decided))
	for _, more := range []string{`,"ttl":"1m","uses":1,"cidrs":["127.0.0.1/32"]`, ""} {
		name := "alice" + map[bool]string{true: "-bounded"}[more != ""]
		token := person(t, url, name, "user", more)
		if got := bearing(t, token, url, "POST", "/api/v1/accounts/"+name+"/password", `{"password":"`+longPassword+`"}`); got.status != 403 {
			t.Errorf("%s gave itself a password: %s", name, got.text)
		}
		expect(t, 204, url, "POST", "/api/v1/accounts/"+name+"/password", `{"password":"`+longPassword+`"}`) // an admin does
	}
}

// Who makes an account under the name of one that is gone does not get what that one had.
func TestAccountMadeAnew(t *testing.T) {
	url := furnish(t, apitest.Start(t, decided))
	token := person(t, url, "ci", "service", "")
	expect(t, 201, url, "POST", "/api/v1/role-bindings", `{"role":"service","account":"ci","scope":"*"}`)
	id := text(bearing(t, token, url, "POST", issuePath, `{}`).at("lease", "id"))
	if got := bearing(t, token, url, "GET", "/api/v1/leases/"+id, ""); got.status != 200 {
		t.Fatalf("its own lease: %s", got.text)
	}
	expect(t, 200, url, "POST", "/api/v1/leases/"+id+"/revoke", "")
	expect(t, 204, url, "DELETE", "/api/v1/accounts/ci", "")
	token = person(t, url, "ci", "service", "")
	for _, path := range []string{"/leases/" + id, "/leases/" + id + "/events"} {
		if got := bearing(t, token, url, "GET", "/api/v1"+path, ""); got.status != 404 {
			t.Errorf("%s: %d %s", path, got.status, got.text)
		}
	}
	if got := bearing(t, token, url, "GET", "/api/v1/leases", ""); len(got.json["items"].([]any)) != 0 {
		t.Errorf("its list shows %s", got.text)
	}
}

// How long a lease may live is asked for when it is renewed, too.
func TestPoliciesBoundRenewals(t *testing.T) {
	url := furnish(t, apitest.Start(t, decided))
	forbid(t, url, "short", `forbid (principal, action == Action::"lease:issue", resource) when { context has ttl && context.ttl > 1200 };`)
	expect(t, 403, url, "POST", issuePath, `{"ttl":"1h"}`)
	// An admin may renew the leases of others; the owner may as far as he might issue one that lives so long.
	token := person(t, url, "dev", "user", "")
	expect(t, 201, url, "POST", "/api/v1/role-bindings", `{"role":"developer","account":"dev","scope":"*"}`)
	renew := "/api/v1/leases/" + text(bearing(t, token, url, "POST", issuePath, `{"ttl":"10m"}`).at("lease", "id")) + "/renew"
	for _, row := range []struct {
		body string
		want int
	}{{`{"until":"max"}`, 403}, {`{"ttl":"11m"}`, 403}, {`{"ttl":"9m"}`, 200}, {`{"ttl":"9m"}`, 403}} {
		if got := bearing(t, token, url, "POST", renew, row.body); got.status != row.want {
			t.Errorf("%s: %d %s", row.body, got.status, got.text)
		}
	}
}

// What a counted token asks in vain is counted.
func TestRefusedRequestsAreCounted(t *testing.T) {
	url := furnish(t, apitest.Start(t, decided))
	token := person(t, url, "ann", "service", `,"uses":2`)
	for i, want := range []int{403, 403, 401} {
		if got := bearing(t, token, url, "GET", "/api/v1/accounts/admin", ""); got.status != want {
			t.Errorf("request %d: %d %s", i+1, got.status, got.text)
		}
	}
}
