package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
	"broker/providers/postgres/postgrestest"
)

// Each wrong request gets a problem with a stable code that names what is wrong, and changes nothing.
func TestBadInput(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client()
	active, revoked := h.mustIssue(c, time.Hour), h.mustIssue(c, time.Hour)
	must(t)(c.RevokeLease(t.Context(), revoked.Lease.ID, types.RevokeSpec{}))
	must(t)(c.CreateEnvironment(t.Context(), types.EnvironmentSpec{Name: "billing/production"}))
	connection := func(change map[string]any) map[string]any {
		settings := map[string]any{"host": "127.0.0.1", "port": h.pg.Port, "database": postgrestest.Database, "username": postgrestest.RootName, "password": h.rootPassword}
		for k, v := range change {
			if settings[k] = v; v == nil {
				delete(settings, k)
			}
		}
		return map[string]any{"name": "new-db", "provider": "postgres", "environments": []string{"payments/*"}, "settings": settings}
	}
	secret := func(change map[string]any) map[string]any {
		s := map[string]any{"name": "new", "connection": "orders-db", "options": map[string]any{"member_of": []string{"readonly"}}, "outputs": []map[string]string{{"key": "NEW_USER", "source": "username"}}}
		for k, v := range change {
			s[k] = v
		}
		return s
	}
	const (
		secrets = "/environments/payments/production/secrets"
		leases  = secrets + "/orders-ro/leases"
	)
	renew := "/leases/" + active.Lease.ID + "/renew"
	cases := []struct {
		name, path string
		body       any
		status     int
		code, says string
	}{
		{"unknown secret", secrets + "/nope/leases", map[string]any{}, 404, "not_found", "nope"},
		{"unknown environment", "/environments/no/where/secrets", secret(nil), 404, "not_found", "no/where"},
		{"unknown connection", secrets, secret(map[string]any{"connection": "nope"}), 404, "not_found", "nope"},
		{"unknown provider", "/connections", map[string]any{"name": "x", "provider": "oracle", "settings": map[string]any{}}, 422, "unknown_provider", "oracle"},
		{"unknown field of the connection", "/connections", connection(map[string]any{"pasword": "x"}), 422, "invalid_value", "settings.pasword"},
		{"missing field of the connection", "/connections", connection(map[string]any{"host": nil}), 422, "invalid_value", "settings.host"},
		{"port that is none", "/connections", connection(map[string]any{"port": "many"}), 422, "invalid_value", "settings.port"},
		{"missing root password", "/connections", connection(map[string]any{"password": nil}), 422, "invalid_value", "settings.password"},
		{"wrong root password", "/connections", connection(map[string]any{"password": "wrong"}), 422, "connection_check_failed", "password"},
		{"database down", "/connections", connection(map[string]any{"port": 1}), 503, "connection_unavailable", "new-db"},
		{"unknown option", secrets, secret(map[string]any{"options": map[string]any{"member_off": "readonly"}}), 422, "invalid_value", "options.member_off"},
		{"group that is not there", secrets, secret(map[string]any{"options": map[string]any{"member_of": []string{"nobody_here"}}}), 422, "invalid_value", "nobody_here"},
		{"default above max", secrets, secret(map[string]any{"default_ttl": "2h", "max_ttl": "1h"}), 422, "invalid_value", "default_ttl"},
		{"output of no field", secrets, secret(map[string]any{"outputs": []map[string]string{{"key": "A", "source": "usrname"}}}), 422, "invalid_value", "usrname"},
		{"output key of another secret", secrets, secret(map[string]any{"outputs": []map[string]string{{"key": "DB_USER", "source": "username"}}}), 409, "output_key_taken", "DB_USER"},
		{"environment not allowed", "/environments/billing/production/secrets", secret(nil), 422, "environment_not_allowed", "billing/production"},
		{"duplicate environment", "/environments", map[string]any{"name": "payments/production"}, 409, "already_exists", "payments/production"},
		{"duplicate connection", "/connections", func() any { c := connection(nil); c["name"] = "orders-db"; return c }(), 409, "already_exists", "orders-db"},
		{"duplicate secret", secrets, secret(map[string]any{"name": "orders-ro"}), 409, "already_exists", "orders-ro"},
		{"illegal characters", "/environments", map[string]any{"name": "Payments/Production!"}, 422, "invalid_value", "name"},
		{"illegal secret name", secrets, secret(map[string]any{"name": "a/b"}), 422, "invalid_value", "name"},
		{"TTL zero", leases, map[string]any{"ttl": 0}, 422, "invalid_value", "ttl"},
		{"TTL negative", leases, map[string]any{"ttl": "-5m"}, 422, "invalid_value", "ttl"},
		{"TTL above max", leases, map[string]any{"ttl": "25h"}, 422, "lease_ttl_exceeds_max", "24h"},
		{"TTL not a duration", leases, map[string]any{"ttl": "soon"}, 422, "invalid_value", "ttl"},
		{"renewing past max", renew, map[string]any{"ttl": "48h"}, 422, "lease_ttl_exceeds_max", "renewable_ttl"},
		{"renewing by zero", renew, map[string]any{"ttl": 0}, 422, "invalid_value", "ttl"},
		{"renewing by nothing", renew, map[string]any{}, 422, "missing_field", "ttl"},
		{"renewing what is revoked", "/leases/" + revoked.Lease.ID + "/renew", map[string]any{"ttl": "1h"}, 409, "lease_not_active", "revoked"},
		{"renewing what is not there", "/leases/01ABC/renew", map[string]any{"ttl": "1h"}, 404, "not_found", "01ABC"},
		{"revoking what is not there", "/leases/01ABC/revoke", map[string]any{}, 404, "not_found", "01ABC"},
		{"unknown JSON field", leases, map[string]any{"tll": "1h"}, 422, "", "tll"},
		{"not JSON", leases, "{nope", 400, "", ""},
		{"body too large", leases, `{"name":"` + strings.Repeat("x", 2<<20) + `"}`, 413, "", ""},
	}
	index := lastEvent(t, h)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			status, header, body := h.post(t, h.token, tc.path, tc.body)
			var p types.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil || !strings.HasPrefix(header.Get("Content-Type"), "application/problem+json") {
				t.Fatalf("no problem but %d %s", status, body)
			}
			if status != tc.status || tc.code != "" && p.Code != tc.code || !strings.Contains(body, tc.says) || p.Code == "" {
				t.Errorf("got %d %s, want %d %s with %q\n%s", status, p.Code, tc.status, tc.code, tc.says, body)
			}
			if status == 503 && header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			if strings.Contains(body, h.rootPassword) {
				t.Error("the answer holds the root password")
			}
		})
	}
	if after := lastEvent(t, h); after != index {
		t.Errorf("wrong requests wrote history: from %d to %d", index, after)
	}
	status, _, body := h.post(t, h.token, "/leases/"+revoked.Lease.ID+"/revoke", map[string]any{})
	if status != 200 || !strings.Contains(body, "warnings") {
		t.Errorf("revoking again: %d %s", status, body)
	}
	for path, want := range map[string]int{"/internal/join": 404, "/internal/node": 404, "/api/v1/../../internal/join": 400} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.addrs[1]+path, strings.NewReader(`{"node_id":"evil","address":"127.0.0.1:9"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+h.token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s answers %d: the nodes' own questions are open to clients", path, resp.StatusCode)
		}
	}
	for name, token := range map[string]string{"none": "", "wrong": "brk_nope", "mistyped": strings.ToUpper(h.token), "cut": h.token[:len(h.token)-1]} {
		if status, header, body := h.post(t, token, leases, map[string]any{}); status != 401 || header.Get("WWW-Authenticate") == "" {
			t.Errorf("token %s: %d %s", name, status, body)
		}
	}
}

func lastEvent(t *testing.T, h *house) (index uint64) {
	t.Helper()
	page, err := h.client().ListEvents(t.Context(), client.EventQuery{}, client.ListOptions{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Items {
		index = e.Index
	}
	return index
}

// post sends a body as it is when it is a string, else as JSON, to the second node.
func (h *house) post(t *testing.T, token, path string, body any) (int, http.Header, string) {
	t.Helper()
	text, ok := body.(string)
	if !ok {
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(data)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.addrs[1]+"/api/v1"+path, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(fmt.Errorf("reading the answer: %w", err))
	}
	return resp.StatusCode, resp.Header, string(data)
}
