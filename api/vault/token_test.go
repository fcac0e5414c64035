package vault_test

import (
	"strings"
	"testing"

	"broker/api/apitest"
)

func TestSignIn(t *testing.T) {
	kit := apitest.Start(t, nil)
	furnish(t, kit)
	native(t, kit.URL, "POST", "/accounts", `{"name":"ci","kind":"service"}`)
	native(t, kit.URL, "POST", "/accounts", `{"name":"ann","kind":"user"}`)
	native(t, kit.URL, "POST", "/accounts/ann/password", `{"password":"correct horse battery staple"}`)
	secret := native(t, kit.URL, "POST", "/accounts/ci/client-secrets", `{}`).textAt("client_secret")
	stranger := client{t, kit.URL, ""}
	for path, body := range map[string]string{
		"auth/approle/login":      `{"role_id":"ci","secret_id":"` + secret + `"}`,
		"auth/userpass/login/ann": `{"password":"correct horse battery staple"}`,
	} {
		got := stranger.must(200, "POST", path, body)
		account := "ann"
		if strings.Contains(path, "approle") {
			account = "ci"
		}
		if got.at("auth", "renewable") != true || got.at("auth", "lease_duration").(float64) < 3600 || got.at("auth", "metadata", "account") != account || got.at("data") != nil {
			t.Errorf("%s: %s", path, got.text)
		}
		self := client{t, kit.URL, got.textAt("auth", "client_token")}
		looked := self.must(200, "GET", "auth/token/lookup-self", "")
		if looked.textAt("data", "id") != self.token || looked.textAt("data", "accessor") != got.textAt("auth", "accessor") || looked.at("data", "ttl") != got.at("auth", "lease_duration") {
			t.Errorf("%s looks itself up: %s", path, looked.text)
		}
		self.must(200, "GET", creds, "")
	}
	for path, body := range map[string]string{
		"auth/approle/login":      `{"role_id":"ci","secret_id":"wrong"}`,
		"auth/userpass/login/ann": `{"password":"wrong"}`,
		"auth/userpass/login/bob": `{"password":"` + strings.Repeat("x", 5000) + `"}`,
	} {
		got := stranger.must(400, "PUT", path, body)
		if !strings.HasPrefix(got.errors()[0], "invalid ") {
			t.Errorf("%s: %s", path, got.text)
		}
	}
}

func TestBadTokens(t *testing.T) {
	kit := apitest.Start(t, nil)
	furnish(t, kit)
	for _, token := range []string{"", "s.aaaaaaaaaaaaaaaaaaaaaaaa", "hvs.x", apitest.Token[:20]} {
		for _, path := range []string{creds, "auth/token/lookup-self", "sys/mounts", "sys/internal/ui/mounts/" + creds} {
			got := client{t, kit.URL, token}.must(403, "GET", path, "")
			if got.errors()[0] != "permission denied" || got.header.Get("WWW-Authenticate") != "" {
				t.Errorf("%q at %s: %s", token, path, got.text)
			}
		}
	}
	if got := (client{t, kit.URL, ""}).do("GET", creds, "", "Authorization", "Bearer "+apitest.Token); got.status != 200 {
		t.Errorf("a token in the other header: %s", got.text)
	}
}

func TestTokens(t *testing.T) {
	kit := apitest.Start(t, nil)
	c := furnish(t, kit)
	made := c.must(200, "POST", "auth/token/create", `{"ttl":"30m","explicit_max_ttl":"1200s","num_uses":20,"display_name":"terraform","renewable":false,"meta":{"a":"b"},"policies":null}`)
	if made.at("auth", "lease_duration") != 1200.0 || made.at("auth", "num_uses") != 20.0 || !made.warned("meta") {
		t.Errorf("made: %s", made.text)
	}
	child := client{t, kit.URL, made.textAt("auth", "client_token")}
	if got := c.must(200, "POST", "auth/token/lookup", `{"token":"`+child.token+`"}`); got.at("data", "id") != child.token || got.at("data", "explicit_max_ttl") != 1200.0 || got.at("data", "num_uses") != 20.0 {
		t.Errorf("looked up: %s", got.text)
	}
	renewed := child.must(200, "PUT", "auth/token/renew-self", `{"increment":7200}`)
	if left := renewed.at("auth", "lease_duration").(float64); left > 1200 || left < 1190 || renewed.textAt("auth", "client_token") != child.token || !renewed.warned("sign in again") {
		t.Errorf("renewed: %s", renewed.text)
	}
	for _, refused := range []string{`{"policies":["read"]}`, `{"period":"1h"}`, `{"no_parent":true}`, `{"id":"mine"}`, `{"ttl":"soon"}`, `{"num_uses":-1}`, `[]`, `{`, `{"ttl":1,"ttl":2}`} {
		c.must(400, "POST", "auth/token/create", refused)
	}
	for _, bad := range []string{"hvs.nobody", "brk_1"} {
		if got := c.must(403, "POST", "auth/token/lookup", `{"token":"`+bad+`"}`); got.errors()[1] != "bad token" {
			t.Errorf("%s: %s", bad, got.text)
		}
	}

	// A token takes with it what was leased with it, and with those made with it.
	child = client{t, kit.URL, c.must(200, "POST", "auth/token/create", `{"ttl":3600}`).textAt("auth", "client_token")}
	id := child.must(200, "PUT", creds, "").textAt("lease_id")
	kept := c.must(200, "PUT", creds, "").textAt("lease_id")
	grandchild := client{t, kit.URL, child.must(200, "POST", "auth/token/create", "").textAt("auth", "client_token")}
	below := grandchild.must(200, "PUT", creds, "").textAt("lease_id")
	child.must(204, "PUT", "auth/token/revoke-self", "")
	child.must(403, "GET", "auth/token/lookup-self", "")
	grandchild.must(403, "GET", "auth/token/lookup-self", "")
	within(t, "the leases of a token that is gone end", func() bool {
		return c.do("PUT", "sys/leases/renew/"+id, "").status == 400 && c.do("PUT", "sys/leases/renew/"+below, "").status == 400
	})
	c.must(200, "PUT", "sys/leases/renew/"+kept, "")
}
