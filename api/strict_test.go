package api_test

import (
	"strconv"
	"strings"
	"testing"

	"broker/api/apitest"
)

func TestStrictJSON(t *testing.T) {
	kit := apitest.Start(t, nil)
	nested := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	arrays := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat("]", n) }
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`,"m` + strconv.Itoa(i) + `":1`)
		}
		return `{` + b.String()[1:] + `}`
	}
	const connection = `{"name":"x","provider":"fake","settings":`
	for _, row := range []struct {
		name, path, body string
		status           int
		code, detail     string
		headers          []string
	}{
		{"as deep as it may be", "connections", connection + nested(30) + "}", 422, "invalid_value", "", nil},
		{"too deep", "connections", connection + nested(32) + "}", 400, "malformed_request", "nested", nil},
		{"too deep in arrays", "connections", connection + arrays(32) + "}", 400, "malformed_request", "nested", nil},
		{"very deep", "connections", connection + arrays(100_000) + "}", 400, "malformed_request", "nested", nil},
		{"too deep and never closed", "connections", strings.Repeat("[", 100_000), 400, "malformed_request", "nested", nil},
		{"many members", "connections", connection + many(9_000) + "}", 422, "invalid_value", "", nil},
		{"too many members", "connections", connection + many(10_000) + "}", 400, "malformed_request", "values", nil},
		{"too many items", "connections", connection + "[" + strings.Repeat("0,", 10_000) + "0]}", 400, "malformed_request", "values", nil},
		{"a member twice", "environments", `{"name":"a/b","name":"a/c"}`, 400, "malformed_request", `"name" twice`, nil},
		{"a member twice, deeper", "connections", connection + `{"password":"x","password":"y"}}`, 400, "malformed_request", `"password" twice`, nil},
		{"a member twice, in an array", "connections", connection + `{"a":[{"b":1,"b":1}]}}`, 400, "malformed_request", `"b" twice`, nil},
		{"a member twice, once escaped", "environments", `{"name":"a/b","\u006eame":"a/c"}`, 400, "malformed_request", `"name" twice`, nil},
		{"a member twice, apart", "environments", `{"name":"a/b","description":"x","name":"a/c"}`, 400, "malformed_request", `"name" twice`, nil},
		{"two values", "environments", `{"name":"a/b"} {"name":"a/c"}`, 400, "malformed_request", "behind", nil},
		{"something behind", "environments", `{"name":"a/b"} x`, 400, "malformed_request", "", nil},
		{"a bracket behind", "environments", `{"name":"a/b"}]`, 400, "malformed_request", "", nil},
		{"a comment", "environments", `{"name":"a/b"/**/}`, 400, "malformed_request", "", nil},
		{"a comma too many", "environments", `{"name":"a/b",}`, 400, "malformed_request", "", nil},
		{"cut off", "environments", `{"name":"a/`, 400, "malformed_request", "", nil},
		{"cut off at a value", "environments", `{"name":`, 400, "malformed_request", "", nil},
		{"blanks only", "environments", "  \n", 400, "malformed_request", "", nil},
		{"a mark of byte order", "environments", "\ufeff{}", 400, "malformed_request", "", nil},
		{"no type", "environments", `{"name":"a/b"}`, 415, "unsupported_media_type", "", []string{"Content-Type", ""}},
		{"a form", "environments", `{"name":"a/b"}`, 415, "unsupported_media_type", "", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{"plain text", "environments", `{"name":"a/b"}`, 415, "unsupported_media_type", "", []string{"Content-Type", "text/plain"}},
		{"almost JSON", "environments", `{"name":"a/b"}`, 415, "unsupported_media_type", "", []string{"Content-Type", "application/jsonp"}},
		{"another alphabet", "environments", `{"name":"a/b"}`, 415, "unsupported_media_type", "", []string{"Content-Type", "application/json; charset=utf-16"}},
		{"no type that can be read", "environments", `{"name":"a/b"}`, 415, "unsupported_media_type", "", []string{"Content-Type", "json;;"}},
		{"a body that no route wants, of no type", "leases/x/revoke", `x=1`, 415, "unsupported_media_type", "", []string{"Content-Type", "text/plain"}},
		{"JSON", "environments", `{"name":"a/b"}`, 201, "", "", []string{"Content-Type", "Application/JSON; charset=UTF-8"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := ask(t, kit.URL, "POST", "/api/v1/"+row.path, row.body, row.headers...)
			detail, _ := got.json["detail"].(string)
			if got.status != row.status || got.code() != row.code || !strings.Contains(detail, row.detail) {
				t.Errorf("%d %q, want %d %q: %s", got.status, got.code(), row.status, row.code, got.text)
			}
		})
	}
}
