package api_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"broker/api"
	"broker/api/apitest"
)

// A path reaches the route that it looks like, or none.
func TestPaths(t *testing.T) {
	kit := apitest.Start(t, nil)
	lease := issue(t, furnish(t, kit), `{}`)
	for _, row := range []struct {
		name, path string
		status     int
		code       string
	}{
		{"plain", "/api/v1/environments/payments/production", 200, ""},
		{"a letter encoded", "/api/v1/environments/payments/%70roduction", 200, ""}, // it reads one way
		{"a colon encoded", "/api/v1/operations/a%3Ab", 404, "not_found"},
		{"plain lease", "/api/v1/leases/" + lease, 200, ""},
		{"a slash at the end", "/api/v1/environments/payments/production/", 404, "no_such_route"},
		{"a list with a slash at the end", "/api/v1/leases/", 404, "no_such_route"},
		{"two slashes", "/api/v1//leases", 400, "malformed_request"},
		{"two slashes at the beginning", "//api/v1/leases", 400, "malformed_request"},
		{"two slashes at the end", "/api/v1/leases//", 400, "malformed_request"},
		{"an empty name", "/api/v1/environments//production", 400, "malformed_request"},
		{"a slash encoded", "/api/v1/environments/payments%2Fproduction", 400, "malformed_request"},
		{"a slash encoded in lower case", "/api/v1%2fleases", 400, "malformed_request"},
		{"a slash encoded twice", "/api/v1/environments/payments%252Fproduction", 404, "no_such_route"},
		{"a slash encoded twice in a name", "/api/v1/leases/a%252Fb", 404, "not_found"},
		{"up", "/api/v1/leases/../environments", 400, "malformed_request"},
		{"up, encoded", "/api/v1/leases/%2e%2e/environments", 400, "malformed_request"},
		{"up, half encoded", "/api/v1/leases/.%2E/environments", 400, "malformed_request"},
		{"up, with its slash encoded", "/api/v1/leases/..%2fenvironments", 400, "malformed_request"},
		{"up at the end", "/api/v1/leases/..", 400, "malformed_request"},
		{"up out of everything", "/../../etc/passwd", 400, "malformed_request"},
		{"here", "/api/v1/./leases", 400, "malformed_request"},
		{"here, encoded", "/api/v1/%2e/leases", 400, "malformed_request"},
		{"three dots", "/api/v1/leases/...", 404, "not_found"},
		{"a backslash", `/api/v1\leases`, 400, "malformed_request"},
		{"a backslash encoded", "/api/v1/leases/a%5Cb", 400, "malformed_request"},
		{"a zero byte", "/api/v1/leases/a%00", 400, "malformed_request"},
		{"a line feed", "/api/v1/leases/a%0Ab", 400, "malformed_request"},
		{"bytes that are no text", "/api/v1/leases/%ff", 400, "malformed_request"},
		{"a slash in too many bytes", "/api/v1/leases/a%c0%afb", 400, "malformed_request"},
		{"upper case", "/API/v1/leases", 404, "no_such_route"},
		{"upper case in a route", "/api/v1/Leases", 404, "no_such_route"},
		{"upper case in a name", "/api/v1/environments/Payments/production", 404, "not_found"},
		{"a wide slash", "/api/v1/environments/payments／production", 404, "no_such_route"},
		{"wide dots", "/api/v1/leases/．．/environments", 404, "no_such_route"},
		{"a letter that folds", "/api/v1/lea\u017fes", 404, "no_such_route"},
		{"a letter with its mark apart", "/api/v1/leases/a\u0301", 404, "not_found"},
		{"a parameter in the path", "/api/v1/leases;x=1", 404, "no_such_route"},
		{"an extension", "/api/v1/leases.json", 404, "no_such_route"},
		{"a blank at the end", "/api/v1/leases%20", 404, "no_such_route"},
		{"a question mark encoded", "/api/v1/leases%3Fx=1", 404, "no_such_route"},
		{"a star", "/api/v1/environments/*/production", 404, "not_found"},
		{"another version", "/api/v2/leases", 404, "no_such_route"},
		{"nothing", "/", 404, "no_such_route"},
		{"health, almost", "/healthz/", 404, "no_such_route"},
		{"health, up from elsewhere", "/api/v1/leases/../../../healthz", 400, "malformed_request"},
		{"description, almost", "/api/v1/openapi.json/x", 404, "no_such_route"},
	} {
		t.Run(row.name, func(t *testing.T) {
			target, err := url.ParseRequestURI(row.path)
			if err != nil {
				t.Fatal(err)
			}
			for _, method := range []string{"GET", "POST"} {
				r := httptest.NewRequest(method, "/", nil)
				r.URL, r.RequestURI = target, row.path
				r.Header.Set("Authorization", "Bearer "+apitest.Token)
				w := httptest.NewRecorder()
				kit.Server.ServeHTTP(w, r)
				if method == "POST" {
					if w.Code < 400 {
						t.Errorf("POST: %d %s", w.Code, w.Body)
					}
					continue
				}
				if w.Code != row.status || codeOf(w) != row.code {
					t.Errorf("%d %s, want %d %s", w.Code, w.Body, row.status, row.code)
				}
				if w.Header().Get("Location") != "" {
					t.Errorf("it is sent to %q", w.Header().Get("Location"))
				}
				// Who has no token learns nothing of what is there.
				r.Header.Del("Authorization")
				w = httptest.NewRecorder()
				kit.Server.ServeHTTP(w, r)
				if w.Code != http.StatusUnauthorized && w.Code != http.StatusBadRequest {
					t.Errorf("without a token: %d %s", w.Code, w.Body)
				}
			}
		})
	}
}

// Secrets in a URL are refused, and are not in the log either.
func TestSecretsInURLs(t *testing.T) {
	var log bytes.Buffer
	kit := apitest.Start(t, func(c *api.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	body := strings.Repeat("0123456789abcdefghjkmnpqrstvwxyz", 2)[:59]
	secret, wrapped, join := "brks_"+body, "brkw_"+body, "brkj_"+strings.Repeat("Ab-_9", 10)
	for _, row := range []struct {
		name, path string
		refused    bool
	}{
		{"a token in a parameter", "/api/v1/leases?account=" + apitest.Token, true},
		{"a token in a parameter with more", "/api/v1/leases?account=Bearer%20" + apitest.Token, true},
		{"a token as a parameter", "/api/v1/leases?" + apitest.Token, true},
		{"a token encoded", "/api/v1/leases?account=%62%72%6b" + apitest.Token[3:], true},
		{"a token in the path", "/api/v1/leases/" + apitest.Token, true},
		{"a token in the path, encoded", "/api/v1/leases/%62rk" + apitest.Token[3:], true},
		{"a token in a path that is no route", "/x/" + apitest.Token + "/y", true},
		{"a token in a query that cannot be read", "/api/v1/leases?%zz=" + apitest.Token, true},
		{"a token behind something like it", "/api/v1/leases?account=brk_brk_" + apitest.Token, true},
		{"a client secret", "/api/v1/leases?account=" + secret, true},
		{"a client secret in the path", "/api/v1/auth/client/" + secret, true},
		{"a wrapping token", "/api/v1/auth/unwrap/" + wrapped, true},
		{"a join token", "/api/v1/leases?token=" + join, true},
		{"a parameter for tokens", "/api/v1/leases?access_token=x", true},
		{"a parameter for secrets", "/api/v1/leases?client_secret=x", true},
		{"a parameter for passwords", "/api/v1/leases?password=x", true},
		{"a login", "/api/v1/leases?username=brk_orders-ro_01jb2v0v6nq0", false},
		{"half a token", "/api/v1/leases?account=" + apitest.Token[:30], false},
		{"half a client secret", "/api/v1/leases?account=" + secret[:40], false},
		{"a token in a path that is not plain", "/api/v1//leases/" + apitest.Token, false},
		{"a token in a path that is too long", "/" + apitest.Token + strings.Repeat("/y", 5<<10), false},
	} {
		log.Reset()
		got := ask(t, kit.URL, "GET", row.path, "")
		if row.refused != (got.status == 400 && got.code() == "token_in_url") {
			t.Errorf("%s: %d %s", row.name, got.status, got.text)
		}
		for _, text := range []string{log.String(), got.text} {
			if row.refused && strings.Contains(text, body) || strings.Contains(text, apitest.Token) || strings.Contains(text, join) {
				t.Errorf("%s: it is repeated in %s", row.name, text)
			}
		}
	}
}
