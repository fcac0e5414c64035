package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"broker/access"
	"broker/api"
	"broker/api/apitest"
	"broker/fsm"
)

// noToken asks without a token, as whoever signs in.
func noToken(t *testing.T, url, path, body string, headers ...string) answer {
	t.Helper()
	return ask(t, url, "POST", path, body, append([]string{"Authorization", ""}, headers...)...)
}

// bearing asks with another token.
func bearing(t *testing.T, token, url, method, path, body string) answer {
	t.Helper()
	return ask(t, url, method, path, body, "Authorization", "Bearer "+token)
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

const longPassword = "correct horse battery"

func TestAccountsAndGroups(t *testing.T) {
	kit := apitest.Start(t, nil)
	made := expect(t, 201, kit.URL, "POST", "/api/v1/accounts", `{"name":"ci","kind":"service","description":"the pipeline","max_leases":5,"issue_rate":"10/1m"}`)
	if made.at("kind") != "service" || made.at("description") != "the pipeline" || made.at("max_leases") != 5.0 || made.at("issue_rate") != "10/1m" || made.header.Get("ETag") == "" {
		t.Errorf("made %s", made.text)
	}
	for body, want := range map[string]string{
		`{"name":"CI","kind":"service"}`:                     "name",
		`{"name":"x","kind":"robot"}`:                        "kind",
		`{"name":"x","kind":"user","issue_rate":"many"}`:     "issue_rate",
		`{"name":"x","kind":"user","description":"a\u0007"}`: "description",
	} {
		if got := ask(t, kit.URL, "POST", "/api/v1/accounts", body); got.status != 422 || got.field() != want {
			t.Errorf("%s: %d %s", body, got.status, got.text)
		}
	}
	if got := ask(t, kit.URL, "POST", "/api/v1/accounts?dry_run=true", `{"name":"bob","kind":"user"}`); got.status != 200 || got.at("name") != "bob" {
		t.Errorf("dry run: %d %s", got.status, got.text)
	}
	if got := ask(t, kit.URL, "GET", "/api/v1/accounts/bob", ""); got.status != 404 {
		t.Errorf("a dry run made it: %s", got.text)
	}

	expect(t, 201, kit.URL, "POST", "/api/v1/groups", `{"name":"ops","members":["ci","admin"]}`)
	if got := ask(t, kit.URL, "POST", "/api/v1/groups", `{"name":"dev","members":["nobody"]}`); got.status != 404 || got.field() != "members" {
		t.Errorf("a group of nobody: %d %s", got.status, got.text)
	}
	changed := expect(t, 200, kit.URL, "PATCH", "/api/v1/groups/ops", `{"description":"on call","remove":["admin"]}`)
	if fmt.Sprint(changed.at("members")) != "[ci]" || changed.at("description") != "on call" {
		t.Errorf("changed %s", changed.text)
	}
	if got := ask(t, kit.URL, "PATCH", "/api/v1/groups/ops", `{}`, "If-Match", `"1"`); got.status != 412 {
		t.Errorf("an old version: %d %s", got.status, got.text)
	}
	if got := expect(t, 200, kit.URL, "GET", "/api/v1/accounts/ci", ""); fmt.Sprint(got.at("groups")) != "[ops]" {
		t.Errorf("the account shows %s", got.text)
	}
	if list := expect(t, 200, kit.URL, "GET", "/api/v1/groups", "").at("items").([]any); len(list) != 1 {
		t.Errorf("listed %v", list)
	}
	expect(t, 204, kit.URL, "DELETE", "/api/v1/accounts/ci", "")
	if got := expect(t, 200, kit.URL, "GET", "/api/v1/groups/ops", ""); fmt.Sprint(got.at("members")) != "[]" {
		t.Errorf("the group of a deleted account: %s", got.text)
	}
	expect(t, 204, kit.URL, "DELETE", "/api/v1/groups/ops", "")
}

func TestTokens(t *testing.T) {
	kit := apitest.Start(t, nil)
	expect(t, 201, kit.URL, "POST", "/api/v1/accounts", `{"name":"ci","kind":"service"}`)

	made := expect(t, 201, kit.URL, "POST", "/api/v1/tokens", `{"account":"ci","ttl":"1h","description":"runner"}`, "Idempotency-Key", "k1")
	token, accessor := text(made.at("token")), text(made.at("accessor"))
	if access.CheckToken(token) != nil || accessor == "" || made.at("made_by") != "admin" || made.at("account") != "ci" || made.at("parent") != nil {
		t.Errorf("made %s", made.text)
	}
	if got := ask(t, kit.URL, "POST", "/api/v1/tokens", `{"account":"ci","ttl":"1h","description":"runner"}`, "Idempotency-Key", "k1"); got.status != 409 || got.code() != "idempotency_answer_gone" || strings.Contains(got.text, "brk_") {
		t.Errorf("repeated: %d %s", got.status, got.text)
	}
	if got := bearing(t, token, kit.URL, "GET", "/api/v1/tokens/self", ""); got.status != 200 || got.at("accessor") != accessor || got.at("token") != nil {
		t.Errorf("itself: %d %s", got.status, got.text)
	}
	for body, want := range map[string]string{
		`{"account":"ci","ttl":"91d"}`:   "", // no length of time
		`{"account":"ci","ttl":"2161h"}`: "ttl", `{"ttl":"721h"}`: "ttl", `{"account":"ci","ttl":0}`: "ttl",
		`{"account":"ci","cidrs":["10.0.0.1/8"]}`: "cidrs", `{"account":"nobody"}`: "account", `{"uses":1000001}`: "uses",
	} {
		if got := ask(t, kit.URL, "POST", "/api/v1/tokens", body); got.status < 400 || want != "" && got.field() != want {
			t.Errorf("%s: %d %s", body, got.status, got.text)
		}
	}

	// Its children are within its bounds, and go with it.
	child := bearing(t, token, kit.URL, "POST", "/api/v1/tokens", `{"ttl":"24h"}`)
	if child.status != 201 || child.at("parent") != accessor || child.at("account") != "ci" || text(child.at("expires_at")) > text(made.at("expires_at")) {
		t.Errorf("a child: %d %s", child.status, child.text)
	}
	once := bearing(t, token, kit.URL, "POST", "/api/v1/tokens", `{"uses":1}`)
	if got := bearing(t, text(once.at("token")), kit.URL, "POST", "/api/v1/tokens", `{}`); got.status != 403 || got.code() != "token_counted" {
		t.Errorf("with a counted token: %d %s", got.status, got.text)
	}
	if got := bearing(t, text(once.at("token")), kit.URL, "GET", "/api/v1/providers", ""); got.status != 401 || got.code() != "unauthenticated" {
		t.Errorf("used up: %d %s", got.status, got.text)
	}
	near := expect(t, 201, kit.URL, "POST", "/api/v1/tokens", `{"account":"ci","cidrs":["10.0.0.0/8"]}`)
	unknown := bearing(t, token[:len(token)-1], kit.URL, "GET", "/api/v1/providers", "")
	if got := bearing(t, text(near.at("token")), kit.URL, "GET", "/api/v1/providers", ""); got.status != 401 || got.at("detail") != unknown.at("detail") {
		t.Errorf("from another network: %d %s", got.status, got.text)
	}
	if list := expect(t, 200, kit.URL, "GET", "/api/v1/tokens?account=ci", "").at("items").([]any); len(list) != 4 {
		t.Errorf("%d tokens of ci are listed", len(list))
	}
	gone := expect(t, 200, kit.URL, "DELETE", "/api/v1/tokens/"+accessor, "")
	if len(gone.at("items").([]any)) != 3 {
		t.Errorf("gone: %s", gone.text)
	}
	for _, one := range []string{token, text(child.at("token"))} {
		if got := bearing(t, one, kit.URL, "GET", "/api/v1/providers", ""); got.status != 401 {
			t.Errorf("deleted: %d %s", got.status, got.text)
		}
	}
	own := expect(t, 201, kit.URL, "POST", "/api/v1/tokens", `{}`)
	if got := bearing(t, text(own.at("token")), kit.URL, "DELETE", "/api/v1/tokens/self", ""); got.status != 200 {
		t.Errorf("throwing it away: %d %s", got.status, got.text)
	}
	if got := bearing(t, text(own.at("token")), kit.URL, "GET", "/api/v1/tokens/self", ""); got.status != 401 {
		t.Errorf("thrown away: %d %s", got.status, got.text)
	}
}

// Of tokens, everybody sees his own; and others' are not there.
func TestTokensOfOthers(t *testing.T) {
	kit := apitest.Start(t, func(c *api.Config) {
		c.Authorizer = rules(func(r access.Request) access.Decision {
			return allowed(r.Who.Account == "admin" || r.On.Kind == access.KindToken && r.On.Owner == r.Who.Account)
		})
	})
	expect(t, 201, kit.URL, "POST", "/api/v1/accounts", `{"name":"ci","kind":"service"}`)
	made := expect(t, 201, kit.URL, "POST", "/api/v1/tokens", `{"account":"ci"}`)
	ci := text(made.at("token"))
	admins := expect(t, 201, kit.URL, "POST", "/api/v1/tokens", `{}`)
	list := bearing(t, ci, kit.URL, "GET", "/api/v1/tokens", "")
	if items := list.at("items").([]any); len(items) != 1 || items[0].(map[string]any)["accessor"] != made.at("accessor") {
		t.Errorf("listed %s", list.text)
	}
	for method, want := range map[string]int{"GET": 404, "DELETE": 404} {
		if got := bearing(t, ci, kit.URL, method, "/api/v1/tokens/"+text(admins.at("accessor")), ""); got.status != want {
			t.Errorf("%s of another's: %d %s", method, got.status, got.text)
		}
	}
	if got := bearing(t, ci, kit.URL, "POST", "/api/v1/tokens", `{"account":"admin"}`); got.status != 403 {
		t.Errorf("a token for admin: %d %s", got.status, got.text)
	}
	for _, body := range []string{`{}`, `{"account":"ci"}`} {
		if got := bearing(t, ci, kit.URL, "POST", "/api/v1/tokens", body); got.status != 201 {
			t.Errorf("a token for itself: %d %s", got.status, got.text)
		}
	}
	if got := bearing(t, ci, kit.URL, "GET", "/api/v1/tokens/"+text(made.at("accessor")), ""); got.status != 200 {
		t.Errorf("its own: %d %s", got.status, got.text)
	}
}

func TestClientSecretsSignIn(t *testing.T) {
	kit := apitest.Start(t, nil)
	url, _ := kit.Follower(t, "n2", nil) // what strangers ask goes to the leader, too
	expect(t, 201, kit.URL, "POST", "/api/v1/accounts", `{"name":"ci","kind":"service"}`)
	const path = "/api/v1/accounts/ci/client-secrets"
	made := expect(t, 201, url, "POST", path, `{"description":"runner","uses":1,"token_ttl":"10m"}`, "Idempotency-Key", "k1")
	secret := text(made.at("client_secret"))
	if !strings.HasPrefix(secret, access.ClientSecretPrefix) || made.at("client_id") != "ci" || made.at("expires_at") != nil || made.at("wrapping") != nil {
		t.Errorf("made %s", made.text)
	}
	if got := ask(t, url, "POST", path, `{"description":"runner","uses":1,"token_ttl":"10m"}`, "Idempotency-Key", "k1"); got.status != 409 || got.code() != "idempotency_answer_gone" {
		t.Errorf("repeated: %d %s", got.status, got.text)
	}
	proof := `{"client_id":"ci","client_secret":"` + secret + `"}`
	token := noToken(t, url, "/api/v1/auth/client", proof)
	if token.status != 200 || token.at("account") != "ci" || token.at("method") != "client" || token.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("signing in: %d %s", token.status, token.text)
	}
	if life := parsed(t, token.at("expires_at")).Sub(parsed(t, token.at("created_at"))); life.Round(time.Second) != 10*time.Minute {
		t.Errorf("the token lives %s", life)
	}
	if got := bearing(t, text(token.at("token")), url, "GET", "/api/v1/tokens/self", ""); got.status != 200 || got.at("accessor") != token.at("accessor") {
		t.Errorf("the token: %d %s", got.status, got.text)
	}
	replayed := noToken(t, url, "/api/v1/auth/client", proof)
	unknown := noToken(t, url, "/api/v1/auth/client", `{"client_id":"nobody","client_secret":"`+secret+`"}`)
	if replayed.status != 401 || replayed.code() != "sign_in_refused" || replayed.at("detail") != unknown.at("detail") || unknown.status != 401 || unknown.code() != replayed.code() {
		t.Errorf("replayed %s, unknown %s", replayed.text, unknown.text)
	}
	list := expect(t, 200, url, "GET", path, "").at("items").([]any)
	if one := list[0].(map[string]any); len(list) != 1 || one["state"] != "used" || one["client_secret"] != nil {
		t.Errorf("listed %v", list)
	}
	expect(t, 204, url, "DELETE", path+"/"+text(made.at("id")), "")

	for body, want := range map[string]string{`{"wrap_ttl":"25h"}`: "wrap_ttl", `{"ttl":"1s"}`: "ttl", `{"cidrs":["x"]}`: "cidrs", `{"token_ttl":"2161h"}`: "token_ttl"} {
		if got := ask(t, url, "POST", path, body); got.status != 422 || got.field() != want {
			t.Errorf("%s: %d %s", body, got.status, got.text)
		}
	}
}

func TestWrappedClientSecret(t *testing.T) {
	kit := apitest.Start(t, nil)
	expect(t, 201, kit.URL, "POST", "/api/v1/accounts", `{"name":"ci","kind":"service"}`)
	made := expect(t, 201, kit.URL, "POST", "/api/v1/accounts/ci/client-secrets", `{"wrap_ttl":"5m"}`)
	wrapping := text(made.at("wrapping", "token"))
	if strings.Contains(made.text, "brks_") || !strings.HasPrefix(wrapping, access.WrappingPrefix) {
		t.Fatalf("made %s", made.text)
	}
	body := `{"token":"` + wrapping + `"}`
	index := kit.Index(t)
	if got := noToken(t, kit.URL, "/api/v1/auth/unwrap", `{"token":"brkw_x"}`); got.status != 410 || got.code() != "wrapped_value_gone" {
		t.Errorf("a wrong token: %d %s", got.status, got.text)
	}
	if kit.Index(t) != index {
		t.Error("a stranger's guess is an entry of the log")
	}
	got := noToken(t, kit.URL, "/api/v1/auth/unwrap", body)
	if got.status != 200 || got.at("about") != "client-secret" || got.at("values", "client_id") != "ci" || got.at("values", "id") != made.at("id") {
		t.Fatalf("unwrapping: %d %s", got.status, got.text)
	}
	if again := noToken(t, kit.URL, "/api/v1/auth/unwrap", body); again.status != 410 || again.code() != "wrapped_value_gone" || strings.Contains(again.text, "brks_") {
		t.Errorf("again: %d %s", again.status, again.text)
	}
	if got := noToken(t, kit.URL, "/api/v1/auth/client", `{"client_id":"ci","client_secret":"`+text(got.at("values", "client_secret"))+`"}`); got.status != 200 {
		t.Errorf("what was wrapped: %d %s", got.status, got.text)
	}
}

func TestPasswords(t *testing.T) {
	kit := apitest.Start(t, nil)
	expect(t, 201, kit.URL, "POST", "/api/v1/accounts", `{"name":"bob","kind":"user"}`)
	expect(t, 201, kit.URL, "POST", "/api/v1/accounts", `{"name":"ci","kind":"service"}`)
	const path = "/api/v1/accounts/bob/password"
	if got := ask(t, kit.URL, "POST", path, `{"password":"short"}`); got.status != 422 || got.field() != "password" {
		t.Errorf("a short one: %d %s", got.status, got.text)
	}
	if got := ask(t, kit.URL, "POST", "/api/v1/accounts/ci/password", `{"password":"`+longPassword+`"}`); got.status != 422 {
		t.Errorf("of a service: %d %s", got.status, got.text)
	}
	expect(t, 204, kit.URL, "POST", path, `{"password":"`+longPassword+`"}`)
	proof := func(name, password string) answer {
		return noToken(t, kit.URL, "/api/v1/auth/password", `{"username":"`+name+`","password":"`+password+`"}`)
	}
	in := proof("bob", longPassword)
	if in.status != 200 || in.at("account") != "bob" || in.at("method") != "password" {
		t.Fatalf("signing in: %d %s", in.status, in.text)
	}
	if life := parsed(t, in.at("expires_at")).Sub(parsed(t, in.at("created_at"))); life.Round(time.Second) != 12*time.Hour { // the leader's clock names the end, the ledger's the beginning
		t.Errorf("the token lives %s", life)
	}
	bob := text(in.at("token"))
	wrong, unknown := proof("bob", longPassword+"!"), proof("nobody", longPassword)
	if wrong.status != 401 || wrong.at("detail") != unknown.at("detail") || wrong.code() != unknown.code() || unknown.status != 401 {
		t.Errorf("wrong %s, unknown %s", wrong.text, unknown.text)
	}
	// A token alone does not take the account over.
	if got := bearing(t, bob, kit.URL, "POST", path, `{"password":"another long one"}`); got.status != 422 || got.field() != "current_password" {
		t.Errorf("without the present one: %d %s", got.status, got.text)
	}
	if got := bearing(t, bob, kit.URL, "POST", path, `{"password":"another long one","current_password":"wrong"}`); got.status != 401 {
		t.Errorf("with a wrong one: %d %s", got.status, got.text)
	}
	if got := bearing(t, bob, kit.URL, "POST", path, `{"password":"another long one","current_password":"`+longPassword+`"}`); got.status != 204 {
		t.Errorf("with the present one: %d %s", got.status, got.text)
	}
	if got := proof("bob", longPassword); got.status != 401 {
		t.Errorf("the old one: %d %s", got.status, got.text)
	}
	for range 9 {
		proof("bob", "wrong")
		proof("nobody", "wrong")
	}
	for _, name := range []string{"bob", "nobody"} {
		if got := proof(name, "another long one"); got.status != 429 || got.code() != "sign_in_locked" || got.header.Get("Retry-After") == "" {
			t.Errorf("%s after ten failures: %d %s", name, got.status, got.text)
		}
	}
}

func TestDisabledAccounts(t *testing.T) {
	kit := apitest.Start(t, nil)
	for _, name := range []string{"bob", "ci"} {
		expect(t, 201, kit.URL, "POST", "/api/v1/accounts", `{"name":"`+name+`","kind":"user"}`)
	}
	bob := text(expect(t, 201, kit.URL, "POST", "/api/v1/tokens", `{"account":"bob"}`).at("token"))
	secret := text(expect(t, 201, kit.URL, "POST", "/api/v1/accounts/bob/client-secrets", `{}`).at("client_secret"))
	made := bearing(t, bob, kit.URL, "POST", "/api/v1/tokens", `{"account":"ci"}`)
	if made.status != 201 {
		t.Fatal(made.text)
	}
	got := expect(t, 200, kit.URL, "PATCH", "/api/v1/accounts/bob", `{"disabled":true}`)
	if list, _ := got.at("made_tokens").([]any); len(list) != 1 || list[0].(map[string]any)["accessor"] != made.at("accessor") {
		t.Errorf("disabling answers %s", got.text)
	}
	if got := bearing(t, bob, kit.URL, "GET", "/api/v1/providers", ""); got.status != 401 {
		t.Errorf("its token: %d", got.status)
	}
	if got := noToken(t, kit.URL, "/api/v1/auth/client", `{"client_id":"bob","client_secret":"`+secret+`"}`); got.status != 401 || got.code() != "sign_in_refused" {
		t.Errorf("its client secret: %d %s", got.status, got.text)
	}
	if got := bearing(t, text(made.at("token")), kit.URL, "GET", "/api/v1/providers", ""); got.status != 200 {
		t.Errorf("what it made: %d", got.status)
	}
	expect(t, 200, kit.URL, "PATCH", "/api/v1/accounts/bob", `{"delete_made_tokens":true}`)
	if got := bearing(t, text(made.at("token")), kit.URL, "GET", "/api/v1/providers", ""); got.status != 401 {
		t.Errorf("what it made, deleted: %d", got.status)
	}
}

// Strangers make a node hold little, and what they bring is in no URL.
func TestSignInIsBounded(t *testing.T) {
	kit := apitest.Start(t, nil)
	big := `{"username":"bob","password":"` + strings.Repeat("x", 20<<10) + `"}`
	if got := noToken(t, kit.URL, "/api/v1/auth/password", big); got.status != 413 {
		t.Errorf("a large body: %d %s", got.status, got.text)
	}
	if got := ask(t, kit.URL, "GET", "/api/v1/auth/password", "", "Authorization", ""); got.status != 401 {
		t.Errorf("a GET: %d %s", got.status, got.text)
	}
	secret := access.NewCredentials(access.CredentialsConfig{Keyring: kit.Keyring})
	text, _, err := secret.NewClientSecret()
	if err != nil {
		t.Fatal(err)
	}
	if got := noToken(t, kit.URL, "/api/v1/auth/client?client_secret="+text, `{}`); got.status != 400 || got.code() != "token_in_url" {
		t.Errorf("a client secret in the URL: %d %s", got.status, got.text)
	}
	if got := noToken(t, kit.URL, "/api/v1/auth/client", `{"client_id":"a","client_secret":"b","more":1}`); got.status != 422 || got.code() != "unknown_field" {
		t.Errorf("an unknown field: %d %s", got.status, got.text)
	}
}

// Neither the log nor the history has what somebody could sign in with, or a hash that one could guess it by.
func TestNoCredentialIsInTheLog(t *testing.T) {
	kit := apitest.Start(t, nil)
	expect(t, 201, kit.URL, "POST", "/api/v1/accounts", `{"name":"bob","kind":"user"}`)
	expect(t, http.StatusNoContent, kit.URL, "POST", "/api/v1/accounts/bob/password", `{"password":"`+longPassword+`"}`, "Idempotency-Key", "k1")
	in := noToken(t, kit.URL, "/api/v1/auth/password", `{"username":"bob","password":"`+longPassword+`"}`, "Idempotency-Key", "k2")
	secret := expect(t, 201, kit.URL, "POST", "/api/v1/accounts/bob/client-secrets", `{}`)
	canaries := []string{longPassword, text(in.at("token")), text(secret.at("client_secret")), apitest.Token, "argon2id"}
	for i, entry := range kit.Entries() {
		for _, canary := range canaries {
			if canary == "" || strings.Contains(string(entry), canary) {
				t.Errorf("entry %d holds %.6s…", i+1, canary)
			}
		}
		c, err := fsm.DecodeCommand(entry)
		if err != nil {
			t.Fatal(err)
		}
		if c.Key != nil && (c.Type == fsm.TypeSetPassword || c.Type == fsm.TypeSignIn) {
			t.Errorf("entry %d has a hash of a request with a password", i+1)
		}
	}
	if len(kit.Entries()) < 4 {
		t.Error("the log was not looked at")
	}
}

func TestTheClusterWarnsOfHostTokens(t *testing.T) {
	kit := apitest.Start(t, nil)
	const warning = "a token that came with the cluster"
	if got := expect(t, 200, kit.URL, "GET", "/api/v1/cluster", ""); !strings.Contains(got.text, warning) {
		t.Errorf("no warning in %s", got.text)
	}
	own := text(expect(t, 201, kit.URL, "POST", "/api/v1/tokens", `{"account":"admin"}`).at("parent"))
	expect(t, 201, kit.URL, "POST", "/api/v1/accounts", `{"name":"bob","kind":"user"}`)
	bob := text(expect(t, 201, kit.URL, "POST", "/api/v1/tokens", `{"account":"bob"}`).at("token"))
	expect(t, 200, kit.URL, "DELETE", "/api/v1/tokens/"+own, "")
	if got := bearing(t, bob, kit.URL, "GET", "/api/v1/cluster", ""); got.status != 200 || strings.Contains(got.text, warning) {
		t.Errorf("still a warning in %s", got.text)
	}
}

// Whoever asks learns what he may do himself, and nothing about others.
func TestWhatOneMayDo(t *testing.T) {
	kit := apitest.Start(t, func(c *api.Config) { c.Authorizer = c.Access.(*access.Decider) })
	furnish(t, kit)
	expect(t, 201, kit.URL, "POST", "/api/v1/accounts", `{"name":"alice","kind":"user"}`)
	expect(t, 201, kit.URL, "POST", "/api/v1/role-bindings", `{"role":"developer","account":"alice","scope":"payments/*"}`)
	token := text(expect(t, 201, kit.URL, "POST", "/api/v1/tokens", `{"account":"alice"}`).at("token"))
	got := bearing(t, token, kit.URL, "GET", "/api/v1/access/can?question=lease:issue+payments/production/orders-ro&question=account:create+account&question=connection:list+connection&question=account:get+account/alice", "")
	var allowed []string
	for _, one := range got.at("items").([]any) {
		allowed = append(allowed, fmt.Sprint(one.(map[string]any)["action"], " ", one.(map[string]any)["allowed"]))
	}
	if want := "lease:issue true, account:create false, connection:list false, account:get true"; strings.Join(allowed, ", ") != want {
		t.Errorf("%d %v, want %s", got.status, allowed, want)
	}
	for _, question := range []string{"lease:isue+payments/production/orders-ro", "lease:issue+a/b/c/d", "lease:issue"} {
		if got := bearing(t, token, kit.URL, "GET", "/api/v1/access/can?question="+question, ""); got.status != 422 || got.field() != "question" {
			t.Errorf("%s: %d %s", question, got.status, got.text)
		}
	}
}

// A token that ends when it is idle is told so, and goes on while it is renewed.
func TestIdleTokens(t *testing.T) {
	kit := apitest.Start(t, nil)
	expect(t, 201, kit.URL, "POST", "/api/v1/accounts", `{"name":"alice","kind":"user"}`)
	expect(t, 204, kit.URL, "POST", "/api/v1/accounts/alice/password", `{"password":"`+longPassword+`"}`)
	in := noToken(t, kit.URL, "/api/v1/auth/password", `{"username":"alice","password":"`+longPassword+`","description":"console","idle_ttl":"30m"}`)
	if in.status != 200 || in.at("idle_ttl") != 1800.0 || in.at("idle_ends_at") == nil || in.at("description") != "console" {
		t.Fatalf("signing in: %d %s", in.status, in.text)
	}
	token := text(in.at("token"))
	if got := bearing(t, token, kit.URL, "POST", "/api/v1/tokens/self/renew", ""); got.status != 200 || got.at("accessor") != in.at("accessor") {
		t.Errorf("renewing: %d %s", got.status, got.text)
	}
	if got := bearing(t, token, kit.URL, "POST", "/api/v1/tokens", `{"ttl":"1h","idle_ttl":"1h"}`); got.status != 201 || got.at("idle_ttl") != 1800.0 {
		t.Errorf("a token made with it: %d %s", got.status, got.text)
	}
	if got := noToken(t, kit.URL, "/api/v1/auth/password", `{"username":"alice","password":"`+longPassword+`","idle_ttl":"0s"}`); got.status != 422 || got.field() != "idle_ttl" {
		t.Errorf("idle for no time: %d %s", got.status, got.text)
	}
}
