package api_test

import (
	"encoding/json"
	"testing"

	"broker/access"
	"broker/api"
	"broker/api/apitest"
)

// decided has requests decided by roles and policies.
func decided(c *api.Config) { c.Authorizer = c.Access.(*access.Decider) }

// forbid makes a policy.
func forbid(t *testing.T, url, name, rule string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"name": name, "text": rule})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, 201, url, "POST", "/api/v1/policies", string(body))
}

// What a policy forbids for one place is not done by way of all that is around it.
func TestForbiddenWithin(t *testing.T) {
	url := furnish(t, apitest.Start(t, decided))
	lock, _ := expect(t, 201, url, "POST", "/api/v1/locks", `{"scope":{"environment":"payments/*","label":"a=b"},"reason":"x"}`).at("lock", "id").(string)
	op, _ := expect(t, 202, url, "POST", "/api/v1/leases/revoke", `{"selector":{"environment":["payments/*"],"label":["a=b"]}}`).at("id").(string)
	expect(t, 201, url, "POST", "/api/v1/environments", `{"name":"payments/empty"}`)
	forbid(t, url, "secret", `forbid (principal, action == Action::"secret:delete", resource == Secret::"payments/production/orders-ro");`)
	forbid(t, url, "changes", `forbid (principal, action in [Action::"lock:delete", Action::"lock:update", Action::"operation:cancel"], resource in Environment::"payments/production");`)
	forbid(t, url, "empty", `forbid (principal, action == Action::"lock:create", resource in Environment::"payments/empty");`)
	for _, row := range [][3]string{
		{"DELETE", "/environments/payments/production/secrets/orders-ro", ""},
		{"DELETE", "/environments/payments/production?revoke_leases=true", ""},
		{"DELETE", "/connections/orders-db?revoke_leases=true", ""},
		{"PATCH", "/locks/" + lock, `{"reason":"y"}`},
		{"DELETE", "/locks/" + lock, ""},
		{"POST", "/operations/" + op + "/cancel", ""},
		{"POST", "/locks", `{"scope":{"environment":"payments/empty"},"reason":"x"}`},
		{"POST", "/locks", `{"scope":{"environment":"payments/*"},"reason":"x"}`},
	} {
		if got := ask(t, url, row[0], "/api/v1"+row[1], row[2]); got.short() != "403 forbidden" {
			t.Errorf("%s %s %s: %s: %s", row[0], row[1], row[2], got.short(), got.text)
		}
	}
}
