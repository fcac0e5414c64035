package vault_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"broker/access"
	"broker/api"
	"broker/api/apitest"
)

// within waits until something holds.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestHealth(t *testing.T) {
	kit := apitest.Start(t, func(c *api.Config) { c.Version = "v1.2.3-rc.1" })
	leader := client{t, kit.URL, ""}
	got := leader.must(200, "GET", "sys/health", "")
	if got.at("standby") != false || got.at("sealed") != false || got.at("initialized") != true || got.at("version") != "1.2.3-rc.1" || got.textAt("cluster_id") == "" {
		t.Errorf("health: %s", got.text)
	}
	leader.must(200, "HEAD", "sys/health", "")
	follower, cluster := kit.Follower(t, "n2", nil)
	other := client{t, follower, ""}
	if got := other.must(200, "GET", "sys/health", ""); got.at("standby") != true {
		t.Errorf("a follower: %s", got.text)
	}
	other.must(299, "GET", "sys/health?standbycode=299", "")
	strict, _ := kit.Follower(t, "n3", func(c *api.Config) { c.VaultStandby = 429 })
	client{t, strict, ""}.must(429, "GET", "sys/health", "")
	client{t, strict, ""}.must(200, "GET", "sys/health?standbyok=true", "")
	cluster.SetDiverged(errors.New("bad"))
	other.must(503, "GET", "sys/health", "")
	other.must(299, "GET", "sys/health?haunhealthycode=299&standbycode=299", "")
	other.must(400, "GET", "sys/health?standbycode=99", "")

	if got := leader.must(200, "GET", "sys/leader", ""); got.at("is_self") != true || got.at("leader_address") != kit.URL {
		t.Errorf("leader: %s", got.text)
	}
	if got := leader.must(200, "GET", "sys/seal-status", ""); got.at("sealed") != false || got.at("version") != "1.2.3-rc.1" {
		t.Errorf("seal: %s", got.text)
	}
	leader.must(200, "GET", "sys/init", "")
	_, dev := kit.Another(t, func(c *api.Config) { c.Version = "" })
	if got := (client{t, dev, ""}).must(200, "GET", "sys/seal-status", ""); got.at("version") != "0.0.0" {
		t.Errorf("a version that is none: %s", got.text)
	}
}

func TestMounts(t *testing.T) {
	kit := apitest.Start(t, nil)
	c := furnish(t, kit)
	got := c.must(200, "GET", "sys/mounts", "")
	if got.at("payments/production/", "type") != "database" || got.at("data", "payments/production/", "type") != "database" {
		t.Errorf("mounts: %s", got.text)
	}
	if got := c.must(200, "GET", "sys/internal/ui/mounts/"+creds, ""); got.at("data", "path") != "payments/production/" || got.at("data", "options") != nil {
		t.Errorf("the mount: %s", got.text)
	}
	for _, nowhere := range []string{"other/staging/creds/x", "other", ""} {
		c.must(403, "GET", "sys/internal/ui/mounts/"+nowhere, "")
	}
}

func TestWhatIsNotServed(t *testing.T) {
	kit := apitest.Start(t, nil)
	c := furnish(t, kit)
	for _, one := range []struct {
		status       int
		method, path string
		headers      []string
	}{
		{404, "GET", "secret/data/app", nil},
		{404, "GET", "payments/production/creds/nothing", nil},
		{404, "PUT", "sys/wrapping/unwrap", nil},
		{404, "GET", "auth/token/roles/creds/x", nil},
		{404, "GET", "sys/auth/creds/x", nil},
		{405, "DELETE", creds, nil},
		{405, "GET", "sys/leases/renew", nil},
		{400, "GET", creds, []string{"X-Vault-Wrap-TTL", "60"}},
		{400, "GET", creds, []string{"X-Vault-Namespace", "team"}},
		{200, "GET", creds, []string{"X-Vault-Namespace", "root/", "X-Vault-Wrap-TTL", "0"}},
		{400, "GET", creds + "?ttl=-5", nil},
		{400, "GET", creds + "?ttl=2h", nil},
		{400, "GET", creds + "?tttl=2m", nil}, // a mistake is none of the default's
		{400, "GET", "payments//production/creds/orders-ro", nil},
		{400, "GET", "payments/production/creds/" + apitest.Token, nil},
		{200, "GET", creds + "/", nil},
	} {
		got := c.do(one.method, one.path, "", one.headers...)
		if got.status != one.status || got.status > 299 && len(got.errors()) == 0 {
			t.Errorf("%s %s %v: %d %s", one.method, one.path, one.headers, got.status, got.text)
		}
	}
}

// Whatever is asked for in the words of Vault passes the gate of the native routes, and is audited.
func TestSameGate(t *testing.T) {
	recorded := &record{}
	kit := apitest.Start(t, func(c *api.Config) { c.Audit = recorded })
	c := furnish(t, kit)
	native(t, kit.URL, "POST", "/accounts", `{"name":"svc","kind":"service"}`)
	native(t, kit.URL, "POST", "/accounts", `{"name":"other","kind":"service"}`)
	native(t, kit.URL, "POST", "/accounts", `{"name":"nobody","kind":"service"}`)
	for _, account := range []string{"svc", "other"} {
		native(t, kit.URL, "POST", "/role-bindings", `{"role":"service","account":"`+account+`","scope":"payments/*"}`)
	}
	tokenOf := func(account string) string {
		return native(t, kit.URL, "POST", "/tokens", `{"account":"`+account+`"}`).textAt("token")
	}
	decider, err := access.New(access.DeciderConfig{State: kit.State})
	if err != nil {
		t.Fatal(err)
	}
	_, url := kit.Another(t, func(c *api.Config) { c.Authorizer = decider })
	svc, other, nobody := client{t, url, tokenOf("svc")}, client{t, url, tokenOf("other")}, client{t, url, tokenOf("nobody")}

	id := svc.must(200, "GET", creds, "").textAt("lease_id")
	short := id[strings.LastIndex(id, "/")+1:]
	last := recorded.last()
	if last.Action != "lease:issue" || last.Account != "svc" || last.Path != "/v1/"+creds || last.On.Secret != "orders-ro" || !last.Allowed {
		t.Errorf("audited: %+v", last)
	}
	svc.must(200, "PUT", "sys/leases/renew/"+id, "")
	if last := recorded.last(); last.Action != "lease:renew" || last.On.Name != short {
		t.Errorf("audited: %+v", last)
	}
	if got := nobody.must(403, "GET", creds, ""); got.errors()[0] != "permission denied" {
		t.Errorf("who may not: %s", got.text)
	}
	if last := recorded.last(); last.Allowed || last.Account != "nobody" {
		t.Errorf("audited: %+v", last)
	}
	// A lease of somebody else is not there.
	if got := other.must(400, "PUT", "sys/leases/renew/"+id, ""); got.errors()[0] != "lease not found" {
		t.Errorf("somebody else's lease: %s", got.text)
	}
	other.must(400, "PUT", "sys/leases/lookup", `{"lease_id":"`+id+`"}`)
	other.must(404, "LIST", "sys/leases/lookup/"+creds, "")
	other.must(204, "PUT", "sys/leases/revoke/"+id, "")
	svc.must(200, "PUT", "sys/leases/renew/"+id, "")
	if got := svc.must(200, "LIST", "sys/leases/lookup/"+creds, ""); fmt.Sprint(got.at("data", "keys")) != "["+short+"]" {
		t.Errorf("one's own leases: %s", got.text)
	}
	other.must(403, "PUT", "sys/leases/revoke-prefix/"+creds, "")
	other.must(403, "PUT", "sys/leases/revoke-force/"+creds, "")
	other.must(403, "POST", "auth/token/lookup", `{"token":"`+svc.token+`"}`)
	nobody.must(403, "GET", "sys/internal/ui/mounts/"+creds, "")
	if got := nobody.must(200, "GET", "sys/mounts", ""); len(got.at("data").(map[string]any)) != 0 {
		t.Errorf("mounts of who sees none: %s", got.text)
	}
	svc.must(204, "PUT", "sys/leases/revoke/"+id, "")
	for _, secret := range []string{svc.token, c.token} {
		if strings.Contains(fmt.Sprint(recorded.all()), secret) {
			t.Error("a token is in the audit log")
		}
	}
}

// Nothing of the front door is open by another way.
func TestFrontDoor(t *testing.T) {
	kit := apitest.Start(t, nil)
	c := furnish(t, kit)
	c.must(403, "GET", creds, "", "Origin", "https://elsewhere.example", "Sec-Fetch-Site", "cross-site")
	c.must(431, "GET", creds, "", "X-Long", strings.Repeat("x", 40<<10))
	c.must(413, "PUT", "sys/leases/renew", `{"lease_id":"`+strings.Repeat("x", 2<<20)+`"}`)
	c.must(400, "PUT", "sys/leases/renew", strings.Repeat("[", 100)+strings.Repeat("]", 100))
	uses := client{t, kit.URL, c.must(200, "POST", "auth/token/create", `{"num_uses":2}`).textAt("auth", "client_token")}
	uses.must(200, "GET", creds, "")
	uses.must(200, "GET", "auth/token/lookup-self", "")
	uses.must(403, "GET", "auth/token/lookup-self", "")
	response, err := http.Get(kit.URL + "/v1/" + creds)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 403 || response.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a stranger: %d %v", response.StatusCode, response.Header)
	}
}
