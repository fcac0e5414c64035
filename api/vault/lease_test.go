package vault_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"broker/api/apitest"
	"broker/providers/providertest"
)

func TestLeaseLife(t *testing.T) {
	kit := apitest.Start(t, nil)
	c := furnish(t, kit)
	got := c.must(200, "GET", creds, "")
	id := got.textAt("lease_id")
	if !strings.HasPrefix(id, creds+"/") || got.at("renewable") != true || got.at("lease_duration") != 600.0 || got.textAt("request_id") == "" {
		t.Errorf("the lease is told as %s", got.text)
	}
	user, password := got.textAt("data", "username"), got.textAt("data", "password")
	if user == "" || password == "" || got.textAt("data", "DB_USER") != user || got.textAt("data", "DB_PAIR") != user+":"+password || got.at("data", "DB_PASSWORD") != password {
		t.Errorf("the values are %v", got.json["data"])
	}
	for _, member := range []string{"wrap_info", "auth", "warnings"} {
		if value, is := got.json[member]; !is || value != nil {
			t.Errorf("%s is %v, there: %t", member, value, is)
		}
	}
	if logins := kit.Fake.Logins(); len(logins) != 1 || string(logins[0].Name) != user {
		t.Fatalf("the outside system has %v", logins)
	}

	looked := c.must(200, "PUT", "sys/leases/lookup", `{"lease_id":"`+id+`"}`)
	if looked.at("data", "id") != id || looked.at("data", "ttl") != 600.0 || looked.at("data", "renewable") != true || looked.at("data", "last_renewal") != nil {
		t.Errorf("looked up: %s", looked.text)
	}
	if _, err := time.Parse(time.RFC3339, looked.textAt("data", "expire_time")); err != nil {
		t.Error(err)
	}
	c.must(204, "PUT", "sys/leases/revoke", `{"lease_id":"`+id+`"}`)
	if logins := kit.Fake.Logins(); len(logins) != 0 {
		t.Errorf("revoked, the outside system has %v", logins)
	}
	c.must(204, "PUT", "sys/leases/revoke", `{"lease_id":"`+id+`"}`)
	if got := c.must(400, "PUT", "sys/leases/lookup", `{"lease_id":"`+id+`"}`); got.errors()[0] != "invalid lease" {
		t.Errorf("an ended lease is told as %s", got.text)
	}
}

// An increment is counted from now on, in whichever way clients write it.
func TestRenewIncrements(t *testing.T) {
	kit := apitest.Start(t, nil)
	c := furnish(t, kit)
	for body, want := range map[string]float64{
		`"increment":1200`: 1200, `"increment":"1200"`: 1200, `"increment":"20m"`: 1200, `"increment":1200.0`: 1200,
		`"increment":null`: 600, `"increment":0`: 600, `"increment":"0"`: 600, `"increment":""`: 600, `"other":1`: 600,
		`"increment":1e30`: 3600, `"increment":"9999h"`: 3600, `"increment":60`: 600, // never to an earlier time
	} {
		id := c.must(200, "PUT", creds, "").textAt("lease_id")
		got := c.must(200, "PUT", "sys/leases/renew", `{"lease_id":"`+id+`",`+body+`}`)
		if got.at("lease_duration") != want || got.at("renewable") != true || got.at("lease_id") != id {
			t.Errorf("%s: %s", body, got.text)
		}
		if capped := got.warned("longest life"); capped != (want == 3600) {
			t.Errorf("%s: warns of its end: %t", body, capped)
		}
	}
	id := c.must(200, "PUT", creds, "").textAt("lease_id")
	for _, path := range []string{"sys/leases/renew/" + id, "sys/renew/" + id} {
		for _, method := range []string{"PUT", "POST"} {
			if got := c.must(200, method, path, ""); got.at("lease_duration") != 600.0 {
				t.Errorf("%s %s: %s", method, path, got.text)
			}
		}
	}
	for _, wrong := range []string{`-1`, `"soon"`, `true`, `1.5`, `[]`} {
		c.must(400, "PUT", "sys/leases/renew", `{"lease_id":"`+id+`","increment":`+wrong+`}`)
	}
	c.must(200, "PUT", "sys/leases/renew", `{"lease_id":"`+id+`","increment":3600}`)
	if got := c.must(200, "PUT", "sys/leases/renew", `{"lease_id":"`+id+`","increment":3600}`); got.at("renewable") != true || got.at("lease_duration") != 3600.0 {
		t.Errorf("at its longest life: %s", got.text)
	}
}

func TestUnknownLeases(t *testing.T) {
	kit := apitest.Start(t, nil)
	c := furnish(t, kit)
	id := c.must(200, "PUT", creds, "").textAt("lease_id")
	c.must(204, "POST", "sys/revoke/"+id, "")
	for _, unknown := range []string{id, creds + "/01HZZZZZZZZZZZZZZZZZZZZZZZ", creds, "nonsense", "auth/token/create/h123", creds + "/x/y", "/"} {
		body := `{"lease_id":"` + unknown + `"}`
		if got := c.must(400, "PUT", "sys/leases/renew", body); len(got.errors()) != 1 || got.errors()[0] != "lease not found" {
			t.Errorf("renewing %q: %s", unknown, got.text)
		}
		c.must(400, "PUT", "sys/leases/lookup", body)
		c.must(204, "PUT", "sys/leases/revoke", body)
	}
	c.must(400, "PUT", "sys/leases/renew", "")
	c.must(400, "PUT", "sys/leases/revoke", "{}")
}

// Clients that hear 400 take a lease for ended and ask for another one: what passes by itself must be told otherwise.
func TestTransientFaults(t *testing.T) {
	kit := apitest.Start(t, nil)
	c := furnish(t, kit)
	id := c.must(200, "PUT", creds, "").textAt("lease_id")
	renew := func() reply { return c.do("PUT", "sys/leases/renew", `{"lease_id":"`+id+`","increment":1200}`) }

	native(t, kit.URL, "POST", "/connections/orders-db/pause", `{"ttl":"1h","reason":"maintenance"}`)
	if got := c.must(503, "PUT", creds, ""); got.header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After: %s", got.text)
	}
	native(t, kit.URL, "POST", "/connections/orders-db/resume", "")

	kit.Fake.Fail(providertest.OpRenew, providertest.FaultUnreachable)
	if got := renew(); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("the outside system is away: %d %s", got.status, got.text)
	}
	kit.Fake.Heal()

	kit.Cluster.SetLeader("")
	if got := renew(); got.status != 503 || got.header.Get("Retry-After") == "" || len(got.errors()) == 0 {
		t.Errorf("no leader: %d %s", got.status, got.text)
	}
	kit.Cluster.SetLeader("n1")

	lock := native(t, kit.URL, "POST", "/locks", `{"scope":{"environment":"payments/production"},"reason":"incident"}`)
	if got := renew(); got.status != 423 {
		t.Errorf("locked: %d %s", got.status, got.text)
	}
	native(t, kit.URL, "DELETE", "/locks/"+lock.textAt("lock", "id"), "")
}

func TestPrefixes(t *testing.T) {
	kit := apitest.Start(t, nil)
	c := furnish(t, kit)
	native(t, kit.URL, "POST", "/environments/payments/production/secrets", `{"name":"orders-rw","connection":"orders-db"}`)
	other := "payments/production/creds/orders-rw"
	lease := func(path string) string { return c.must(200, "POST", path, "").textAt("lease_id") }
	one, two, three := lease(creds), lease(creds), lease(other)
	keys := func(prefix, method string) string {
		got := c.do(method, "sys/leases/lookup/"+prefix, "")
		if got.status == 404 && len(got.errors()) == 0 {
			return "-"
		}
		return fmt.Sprint(got.at("data", "keys"))
	}
	last := func(id string) string { return id[strings.LastIndex(id, "/")+1:] }
	for prefix, want := range map[string]string{
		"": "[payments/]", "payments": "[production/]", "payments/": "[production/]", "payments/production/": "[creds/]",
		"payments/production/creds/": "[orders-ro/ orders-rw/]", creds + "/": "[" + last(one) + " " + last(two) + "]", "other/": "-", "payments/staging": "-", "payments/production/keys": "-",
	} {
		if got := keys(prefix, "LIST"); got != want {
			t.Errorf("below %q: %s, want %s", prefix, got, want)
		}
	}
	if got := c.do("GET", "sys/leases/lookup/"+creds+"?list=true", ""); got.at("data", "keys") == nil {
		t.Errorf("GET with list=true: %s", got.text)
	}
	c.must(204, "PUT", "sys/leases/revoke-prefix/"+creds, "")
	c.must(400, "PUT", "sys/leases/renew/"+one, "")
	c.must(400, "PUT", "sys/leases/renew/"+two, "")
	c.must(200, "PUT", "sys/leases/renew/"+three, "")
	c.must(400, "PUT", "sys/revoke-prefix/payments/production/cre", "") // half a segment is a mistake
	c.must(200, "PUT", "sys/leases/renew/"+three, "")
	c.must(204, "POST", "sys/revoke-prefix/payments/", "")
	c.must(400, "PUT", "sys/leases/renew/"+three, "")
	c.must(400, "PUT", "sys/leases/revoke-prefix/", "")
	c.must(400, "PUT", "sys/leases/revoke-prefix/auth/token", "")
	if got := keys("", "LIST"); got != "-" {
		t.Errorf("left: %s", got)
	}
}

// What cannot be removed is given up by force, and only then.
func TestRevokeForce(t *testing.T) {
	kit := apitest.Start(t, nil)
	c := furnish(t, kit)
	id := c.must(200, "POST", creds, "").textAt("lease_id")
	kit.Fake.Stick(kit.Fake.Logins()[0].Name, "it owns a table")
	short := id[strings.LastIndex(id, "/")+1:]
	c.must(204, "PUT", "sys/leases/revoke/"+id, "")
	for deadline := time.Now().Add(10 * time.Second); native(t, kit.URL, "GET", "/leases/"+short, "").textAt("state") != "stuck"; {
		if time.Now().After(deadline) {
			t.Fatal("the lease does not get stuck")
		}
		<-time.After(10 * time.Millisecond)
	}
	c.must(204, "PUT", "sys/leases/revoke-prefix/"+creds, "")
	if state := native(t, kit.URL, "GET", "/leases/"+short, "").textAt("state"); state != "stuck" {
		t.Errorf("without force it is %s", state)
	}
	c.must(204, "PUT", "sys/leases/revoke-force/"+creds, "")
	for deadline := time.Now().Add(10 * time.Second); native(t, kit.URL, "GET", "/leases/"+short, "").textAt("state") != "forgotten"; {
		if time.Now().After(deadline) {
			t.Fatal("by force it is not given up")
		}
		<-time.After(10 * time.Millisecond)
	}
}
