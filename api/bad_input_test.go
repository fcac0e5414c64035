package api_test

import (
	"strings"
	"testing"

	"broker/api/apitest"
)

func TestBadInput(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	lease := issue(t, url, `{"ttl":"30m"}`)
	ended := issue(t, url, `{}`)
	expect(t, 200, url, "POST", "/api/v1/leases/"+ended+"/revoke", "")
	before := kit.Index(t)

	const connection = `{"name":"%","provider":"fake"}`
	huge := `{"description":"` + strings.Repeat("x", 1<<20) + `","name":"payments/big"}`
	for _, row := range []struct {
		name, method, path, body string
		status                   int
		code, field              string
		headers                  []string
	}{
		{"no token", "GET", "/api/v1/leases", "", 401, "unauthenticated", "", []string{"Authorization", ""}},
		{"wrong token", "GET", "/api/v1/leases", "", 401, "unauthenticated", "", []string{"Authorization", "Bearer brk_wrong"}},
		{"wrong kind of token", "GET", "/api/v1/leases", "", 401, "unauthenticated", "", []string{"Authorization", "Bearer hello"}},
		{"wrong scheme", "GET", "/api/v1/leases", "", 401, "unauthenticated", "", []string{"Authorization", "Basic YTpi"}},
		{"no token, and a body", "POST", "/api/v1/environments", huge[:100_000], 401, "unauthenticated", "", []string{"Authorization", ""}},
		{"token in the URL", "GET", "/api/v1/leases?access_token=x", "", 400, "token_in_url", "", nil},
		{"token in another parameter", "GET", "/api/v1/leases?account=" + apitest.Token, "", 400, "token_in_url", "", nil},
		{"no such route", "GET", "/api/v1/nothing", "", 404, "no_such_route", "", nil},
		{"no text in the path", "POST", "/api/v1/leases/%ff/revoke", "", 400, "malformed_request", "", nil},
		{"no such method", "PUT", "/api/v1/leases", "{}", 405, "method_not_allowed", "", nil},

		{"not JSON", "POST", "/api/v1/environments", `{"name":`, 400, "malformed_request", "", nil},
		{"two values", "POST", "/api/v1/environments", `{"name":"a/b"}{}`, 400, "malformed_request", "", nil},
		{"member twice", "POST", "/api/v1/environments", `{"name":"a/b","name":"c/d"}`, 400, "malformed_request", "", nil},
		{"member in another case", "POST", "/api/v1/environments", `{"name":"a/b","Description":"x"}`, 422, "unknown_field", "Description", nil},
		{"not an object", "POST", "/api/v1/environments", `[]`, 422, "invalid_value", "", nil},
		{"no body", "POST", "/api/v1/environments", ``, 400, "malformed_request", "", nil},
		{"not application/json", "POST", "/api/v1/environments", `name=x`, 415, "unsupported_media_type", "", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{"body too large", "POST", "/api/v1/environments", huge, 413, "body_too_large", "", nil},
		{"unknown field", "POST", "/api/v1/environments", `{"name":"a/b","colour":"red"}`, 422, "unknown_field", "colour", nil},
		{"unknown nested field", "POST", secretsPath, `{"name":"x","connection":"orders-db","outputs":[{"key":"A","source":"username","hue":1}]}`, 422, "unknown_field", "outputs[0].hue", nil},
		{"missing field", "POST", "/api/v1/environments", `{}`, 422, "missing_field", "name", nil},
		{"wrong type", "POST", "/api/v1/environments", `{"name":7}`, 422, "invalid_value", "name", nil},
		{"unknown parameter", "GET", "/api/v1/leases?colour=red", "", 422, "unknown_parameter", "colour", nil},

		{"illegal characters", "POST", "/api/v1/environments", `{"name":"Pay ments/production"}`, 422, "invalid_value", "name", nil},
		{"duplicate environment", "POST", "/api/v1/environments", `{"name":"payments/production"}`, 409, "already_exists", "name", nil},
		{"unknown environment", "GET", "/api/v1/environments/a/b", "", 404, "not_found", "", nil},
		{"secrets of an unknown environment", "GET", "/api/v1/environments/a/b/secrets", "", 404, "not_found", "", nil},
		{"environment in use", "DELETE", "/api/v1/environments/payments/production", "", 409, "in_use", "", nil},

		{"duplicate connection", "POST", "/api/v1/connections", strings.Replace(connection, "%", "orders-db", 1), 409, "already_exists", "name", nil},
		{"connection of an illegal name", "POST", "/api/v1/connections", strings.Replace(connection, "%", "../x", 1), 422, "invalid_value", "name", nil},
		{"unknown provider", "POST", "/api/v1/connections", `{"name":"x","provider":"nosql"}`, 422, "unknown_provider", "provider", nil},
		{"unknown connection", "GET", "/api/v1/connections/nowhere", "", 404, "not_found", "", nil},
		{"unknown setting", "POST", "/api/v1/connections", `{"name":"x","provider":"fake","settings":{"colour":"red"}}`, 422, "invalid_value", "settings.colour", nil},
		{"wrong root password", "POST", "/api/v1/connections", `{"name":"x","provider":"fake","settings":{"password":"canary-wrong-password"}}`, 422, "connection_check_failed", "", nil},
		{"connection in use", "DELETE", "/api/v1/connections/orders-db", "", 409, "in_use", "", nil},
		{"what a change of system means", "PATCH", "/api/v1/connections/orders-db", `{"system":"bent"}`, 422, "invalid_value", "system", nil},

		{"secret of an unknown connection", "POST", secretsPath, `{"name":"x","connection":"nowhere"}`, 404, "not_found", "connection", nil},
		{"secret in an unknown environment", "POST", "/api/v1/environments/a/b/secrets", `{"name":"x","connection":"orders-db"}`, 404, "not_found", "environment", nil},
		{"secret of an illegal name", "POST", secretsPath, `{"name":"a/b","connection":"orders-db"}`, 422, "invalid_value", "name", nil},
		{"unknown option", "POST", secretsPath, `{"name":"x","connection":"orders-db","options":{"colour":"red"}}`, 422, "invalid_value", "options.colour", nil},
		{"default above max", "POST", secretsPath, `{"name":"x","connection":"orders-db","default_ttl":"2h","max_ttl":"1h"}`, 422, "invalid_value", "default_ttl", nil},
		{"default of zero", "POST", secretsPath, `{"name":"x","connection":"orders-db","default_ttl":0}`, 422, "invalid_value", "default_ttl", nil},
		{"secret with live leases", "DELETE", secretsPath + "/orders-ro", "", 409, "secret_has_active_leases", "", nil},
		{"wrong version", "PATCH", secretsPath + "/orders-ro", `{"description":"x"}`, 412, "version_mismatch", "", []string{"If-Match", `"1"`}},
		{"version that is none", "PATCH", secretsPath + "/orders-ro", `{"description":"x"}`, 422, "invalid_value", "If-Match", []string{"If-Match", `"abc"`}},

		{"unknown secret", "POST", secretsPath + "/nothing/leases", `{}`, 404, "not_found", "secret", nil},
		{"TTL zero", "POST", issuePath, `{"ttl":0}`, 422, "invalid_value", "ttl", nil},
		{"TTL negative", "POST", issuePath, `{"ttl":"-5m"}`, 422, "invalid_value", "ttl", nil},
		{"TTL negative number", "POST", issuePath, `{"ttl":-5}`, 422, "invalid_value", "ttl", nil},
		{"TTL above max", "POST", issuePath, `{"ttl":"2h"}`, 422, "lease_ttl_exceeds_max", "ttl", nil},
		{"TTL no duration", "POST", issuePath, `{"ttl":"soon"}`, 422, "invalid_value", "ttl", nil},
		{"TTL no whole seconds", "POST", issuePath, `{"ttl":1.5}`, 422, "invalid_value", "ttl", nil},
		{"TTL beyond all bounds", "POST", issuePath, `{"ttl":1e300}`, 422, "invalid_value", "", nil},
		{"key with blanks", "POST", issuePath, `{}`, 422, "invalid_value", "Idempotency-Key", []string{"Idempotency-Key", "a b"}},

		{"unknown lease", "GET", "/api/v1/leases/01NOTHING", "", 404, "not_found", "", nil},
		{"history of an unknown lease", "GET", "/api/v1/leases/01NOTHING/events", "", 404, "not_found", "", nil},
		{"renewing an unknown lease", "POST", "/api/v1/leases/01NOTHING/renew", `{"ttl":"1m"}`, 404, "not_found", "", nil},
		{"revoking an unknown lease", "POST", "/api/v1/leases/01NOTHING/revoke", "", 404, "not_found", "", nil},
		{"renewing by nothing", "POST", "/api/v1/leases/" + lease + "/renew", `{}`, 422, "missing_field", "ttl", nil},
		{"renewing by both", "POST", "/api/v1/leases/" + lease + "/renew", `{"ttl":"1m","until":"max"}`, 422, "invalid_value", "until", nil},
		{"renewing until no time", "POST", "/api/v1/leases/" + lease + "/renew", `{"until":"tomorrow"}`, 422, "invalid_value", "until", nil},
		{"renewing past max", "POST", "/api/v1/leases/" + lease + "/renew", `{"ttl":"45m"}`, 422, "lease_ttl_exceeds_max", "ttl", nil},
		{"renewing an ended lease", "POST", "/api/v1/leases/" + ended + "/renew", `{"ttl":"1m"}`, 409, "lease_not_active", "", nil},

		{"no state", "GET", "/api/v1/leases?state=happy", "", 422, "invalid_value", "state", nil},
		{"no pattern", "GET", "/api/v1/leases?environment=payments", "", 422, "invalid_value", "environment", nil},
		{"no label", "GET", "/api/v1/leases?label=x", "", 422, "invalid_value", "label", nil},
		{"no time", "GET", "/api/v1/leases?issued_after=then", "", 422, "invalid_value", "issued_after", nil},
		{"no cursor", "GET", "/api/v1/leases?cursor=%21", "", 422, "invalid_value", "cursor", nil},
		{"limit of zero", "GET", "/api/v1/leases?limit=-1", "", 422, "invalid_value", "limit", nil},
		{"no consistency", "GET", "/api/v1/leases?consistency=vague", "", 422, "invalid_value", "consistency", nil},
		{"no index", "GET", "/api/v1/leases", "", 422, "invalid_value", "Broker-Min-Index", []string{"Broker-Min-Index", "x"}},
		{"no age", "GET", "/api/v1/leases?max_stale=x", "", 422, "invalid_value", "max_stale", nil},
		{"unknown description", "GET", "/api/v1/providers/nosql", "", 404, "not_found", "", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := ask(t, url, row.method, row.path, row.body, row.headers...)
			if got.status != row.status || got.code() != row.code || got.field() != row.field {
				t.Errorf("got %d %q field %q, want %d %q field %q: %s", got.status, got.code(), got.field(), row.status, row.code, row.field, got.text)
			}
			if kind := got.header.Get("Content-Type"); kind != "application/problem+json" {
				t.Errorf("Content-Type is %q", kind)
			}
			if strings.Contains(got.text, "canary") {
				t.Errorf("the answer echoes a secret: %s", got.text)
			}
			if detail, _ := got.json["detail"].(string); detail == "" || strings.HasSuffix(detail, ":") {
				t.Errorf("the detail is %q", detail)
			}
			if row.status == 401 && !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer") {
				t.Error("401 without WWW-Authenticate")
			}
		})
	}
	if after := kit.Index(t); after != before {
		// A refusal is committed too, so the index may grow; what is there may not.
		t.Logf("log grew from %d to %d", before, after)
	}
	for path, want := range map[string]int{"/api/v1/environments": 1, "/api/v1/connections": 1, "/api/v1/secrets": 1, "/api/v1/leases": 2} {
		if items := expect(t, 200, url, "GET", path, "").json["items"].([]any); len(items) != want {
			t.Errorf("%s holds %d after the refused requests, want %d", path, len(items), want)
		}
	}
}

func TestRenewingPastMaxTellsWhatIsLeft(t *testing.T) {
	kit := apitest.Start(t, nil)
	url := furnish(t, kit)
	lease := issue(t, url, `{"ttl":"30m"}`)
	got := ask(t, url, "POST", "/api/v1/leases/"+lease+"/renew", `{"ttl":"45m"}`)
	if left, _ := got.json["renewable_ttl"].(float64); left != 1800 {
		t.Errorf("renewable_ttl is %v, want 1800: %s", got.json["renewable_ttl"], got.text)
	}
}

func TestValidationEchoesNoValue(t *testing.T) {
	kit := apitest.Start(t, nil)
	for _, body := range []string{
		`{"name":"x","provider":"fake","settings":"canary"}`,
		`{"name":"x","provider":["canary"],"settings":{"password":"canary"}}`,
		`{"name":"x","provider":"fake","settings":{"password":"canary"}`,
		`{"name":"x","provider":"fake","settings":{"password":{"a":"canary"}}}`,
		`{"name":"x","provider":"fake","skip_check":"canary","settings":{"system":["canary"]}}`,
		`canary`,
	} {
		got := ask(t, kit.URL, "POST", "/api/v1/connections", body)
		if got.status < 400 || strings.Contains(got.text, "canary") {
			t.Errorf("%s: %d %s", body, got.status, got.text)
		}
	}
}
