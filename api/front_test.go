package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/api"
	"broker/api/apitest"
	"broker/api/front"
)

// from asks a server's handler as if the request came from an address, with an account's token; headers are name and
// value in turn.
func from(handler http.Handler, address, method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = address
	r.Header.Set("Authorization", "Bearer "+apitest.Token)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
		if headers[i] == "Authorization" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func codeOf(w *httptest.ResponseRecorder) string {
	var p struct{ Code string }
	_ = json.Unmarshal(w.Body.Bytes(), &p) // what is no problem has no code
	return p.Code
}

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func mustProxies(t *testing.T, list ...string) front.Proxies {
	t.Helper()
	p, err := front.ParseProxies(list)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// statuses asks n times and counts the answers by status.
func statuses(n int, one func() *httptest.ResponseRecorder) map[int]int {
	out := map[int]int{}
	for range n {
		out[one().Code]++
	}
	return out
}

const stale = "/api/v1/leases?consistency=stale"

func TestRateOfAddresses(t *testing.T) {
	now := &clock{now: time.Now()}
	kit := apitest.Start(t, func(c *api.Config) {
		c.Limits.Address, c.Now = front.Rate{PerSecond: 5, Burst: 10}, now.Now
		c.Proxies = mustProxies(t, "10.1.0.0/24")
	})
	for _, row := range []struct {
		name, address, path string
		headers             []string
		served              int
	}{
		{"one address", "203.0.113.9:1", stale, nil, 10},
		{"another", "203.0.113.10:1", stale, nil, 10},
		{"the first again, from another port", "203.0.113.9:2", stale, nil, 0},
		{"an IPv6 network", "[2001:db8::1]:1", stale, nil, 10},
		{"the same", "[2001:db8::2]:1", stale, nil, 0},
		{"this machine", "127.0.0.1:1", stale, nil, 20},
		{"health, whoever asks", "203.0.113.9:1", "/healthz", nil, 20},
		{"a proxy's client", "10.1.0.1:1", stale, []string{"X-Forwarded-For", "203.0.113.11"}, 10},
		{"a proxy's client that asked before", "10.1.0.1:1", stale, []string{"X-Forwarded-For", "203.0.113.10"}, 0},
		{"a proxy for itself", "10.1.0.1:1", stale, nil, 20},
		{"who pretends to be another", "203.0.113.9:1", stale, []string{"X-Forwarded-For", "203.0.113.77"}, 0},
	} {
		got := statuses(20, func() *httptest.ResponseRecorder {
			return from(kit.Server, row.address, "GET", row.path, row.headers...)
		})
		if got[200] != row.served || got[429] != 20-row.served {
			t.Errorf("%s: statuses are %v, want %d served", row.name, got, row.served)
		}
	}
	refused := from(kit.Server, "203.0.113.9:1", "GET", stale)
	if codeOf(refused) != "too_many_requests" || refused.Header().Get("Retry-After") != "1" {
		t.Errorf("%d, Retry-After %q: %s", refused.Code, refused.Header().Get("Retry-After"), refused.Body)
	}
	now.pass(time.Second)
	if got := statuses(20, func() *httptest.ResponseRecorder { return from(kit.Server, "203.0.113.9:1", "GET", stale) }); got[200] != 5 {
		t.Errorf("a second later the statuses are %v", got)
	}
	if limited := kit.Server.Limited(); limited.Address < 60 || limited.Failures != 0 || limited.Account != 0 {
		t.Errorf("counted are %+v", limited)
	}
}

// Who guesses is slowed down, is told the same whatever it guesses, and takes nobody else's turn.
func TestRateOfFailures(t *testing.T) {
	now := &clock{now: time.Now()}
	kit := apitest.Start(t, func(c *api.Config) { c.Limits.Failures, c.Now = front.Rate{PerSecond: 1, Burst: 5}, now.Now })
	unknown := "Bearer " + strings.Replace(apitest.Token, "000", "111", 1)
	for _, row := range []struct {
		name, address, token string
	}{
		{"unknown tokens", "203.0.113.1:1", unknown},
		{"what is no token", "203.0.113.2:1", "Bearer x"},
		{"no token", "203.0.113.3:1", ""},
	} {
		guess := func() *httptest.ResponseRecorder {
			return from(kit.Server, row.address, "GET", stale, "Authorization", row.token)
		}
		if got := statuses(20, guess); got[401] != 5 || got[429] != 15 {
			t.Errorf("%s: statuses are %v", row.name, got)
		}
		if last := guess(); codeOf(last) != "too_many_requests" || last.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %s", row.name, last.Body)
		}
		if good := from(kit.Server, row.address, "GET", stale); good.Code != 200 {
			t.Errorf("%s: a good token from there: %d", row.name, good.Code)
		}
		now.pass(2 * time.Second)
		if got := statuses(5, guess); got[401] != 2 {
			t.Errorf("%s: two seconds later the statuses are %v", row.name, got)
		}
	}
	if got := statuses(20, func() *httptest.ResponseRecorder {
		return from(kit.Server, "127.0.0.1:1", "GET", stale, "Authorization", unknown)
	}); got[401] != 20 {
		t.Errorf("on this machine: %v", got)
	}
	if limited := kit.Server.Limited(); limited.Failures < 45 || limited.Address != 0 {
		t.Errorf("counted are %+v", limited)
	}
}

// The node that takes a request counts it, whatever address it comes from; the leader does not count it again.
func TestRateOfAccounts(t *testing.T) {
	now := &clock{now: time.Now()}
	kit := apitest.Start(t, func(c *api.Config) { c.Limits.Account, c.Now = front.Rate{PerSecond: 1, Burst: 10}, now.Now })
	i := 0
	if got := statuses(30, func() *httptest.ResponseRecorder {
		i++
		return from(kit.Server, []string{"127.0.0.1:1", "203.0.113.1:1", "203.0.113.2:1"}[i%3], "GET", stale)
	}); got[200] != 10 || got[429] != 20 {
		t.Errorf("statuses are %v", got)
	}
	// This account has nothing left at the leader, and everything at another node.
	url, _ := kit.Follower(t, "n2", nil)
	for range 10 {
		if got := ask(t, url, "POST", "/api/v1/environments", `{"name":"a/b"}`); got.status != 201 && got.status != 409 {
			t.Fatalf("forwarded: %d %s", got.status, got.text)
		}
	}
	if got := ask(t, url, "POST", "/api/v1/environments", `{"name":"a/b"}`); got.code() != "too_many_requests" || got.header.Get("Retry-After") != "1" {
		t.Errorf("the eleventh: %d %s", got.status, got.text)
	}
	if limited := kit.Server.Limited(); limited.Account != 20 {
		t.Errorf("the leader counted %+v", limited)
	}
}

// History names the address that is believed, never one that a client made up.
func TestWhoIsRecorded(t *testing.T) {
	kit := apitest.Start(t, func(c *api.Config) { c.Proxies = mustProxies(t, "10.1.0.0/24") })
	furnish(t, kit)
	for i, row := range []struct {
		peer, header, want string
	}{
		{"203.0.113.9:1", "6.6.6.6", "203.0.113.9"},
		{"10.1.0.1:1", "6.6.6.6, 203.0.113.9", "203.0.113.9"},
		{"10.1.0.1:1", "[2001:db8::7]:99", "2001:db8::7"},
		{"10.1.0.1:1", "nonsense", "10.1.0.1"},
		{"127.0.0.1:1", "6.6.6.6", "127.0.0.1"},
	} {
		r := httptest.NewRequest("POST", issuePath, strings.NewReader(`{}`))
		r.RemoteAddr = row.peer
		r.Header.Set("Authorization", "Bearer "+apitest.Token)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Forwarded-For", row.header)
		r.Header.Set("Forwarded", "for=6.6.6.6")
		r.Header.Set("X-Real-Ip", "6.6.6.6")
		w := httptest.NewRecorder()
		kit.Server.ServeHTTP(w, r)
		var issued struct{ Lease struct{ ID string } }
		if err := json.Unmarshal(w.Body.Bytes(), &issued); err != nil || w.Code != 201 {
			t.Fatalf("%d: %d %s", i, w.Code, w.Body)
		}
		read := expect(t, 200, kit.URL, "GET", "/api/v1/leases/"+issued.Lease.ID+"/events", "")
		if first := read.json["items"].([]any)[0].(map[string]any); first["address"] != row.want {
			t.Errorf("%d: history says %v, want %s", i, first["address"], row.want)
		}
	}
}

func TestHeadersOfAnswers(t *testing.T) {
	kit := apitest.Start(t, nil)
	url, _ := kit.Follower(t, "n2", nil)
	want := map[string]string{
		"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "X-Frame-Options": "DENY",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Strict-Transport-Security":    "", "Server": "", "X-Powered-By": "", "Access-Control-Allow-Origin": "",
	}
	for _, row := range []struct{ method, path, body string }{
		{"GET", "/healthz", ""}, {"GET", "/readyz", ""}, {"GET", "/api/v1/openapi.json", ""}, {"GET", "/api/v1/leases", ""},
		{"GET", "/nothing", ""}, {"GET", "//", ""}, {"GET", "/api/v1/leases?x=1", ""}, {"POST", "/api/v1/environments", `{"name":"a/b"}`},
		{"PUT", "/api/v1/leases", "{}"}, {"POST", "/api/v1/environments", "{"}, {"GET", "/api/v1/leases?account=" + apitest.Token, ""},
	} {
		for _, node := range []string{kit.URL, url} {
			got := ask(t, node, row.method, row.path, row.body)
			for name, value := range want {
				if got.header.Get(name) != value {
					t.Errorf("%s %s: %s is %q, want %q", row.method, row.path, name, got.header.Get(name), value)
				}
			}
		}
	}
}

// A page of the web changes nothing here, even one whose name was made to lead to this machine.
func TestOtherOrigins(t *testing.T) {
	kit := apitest.Start(t, func(c *api.Config) { c.Names = []string{"broker.example"} })
	port := kit.URL[strings.LastIndex(kit.URL, ":"):]
	for _, row := range []struct {
		name, method string
		headers      []string
		status       int
		code         string
	}{
		{"no browser", "POST", nil, 201, ""},
		{"the node's own page", "POST", []string{"Origin", kit.URL}, 201, ""},
		{"the node's own page, as the browser says", "POST", []string{"Origin", kit.URL, "Sec-Fetch-Site", "same-origin"}, 201, ""},
		{"typed by somebody", "POST", []string{"Sec-Fetch-Site", "none"}, 201, ""},
		{"another page", "POST", []string{"Origin", "https://evil.example"}, 403, "foreign_origin"},
		{"another port", "POST", []string{"Origin", "http://127.0.0.1:1"}, 403, "foreign_origin"},
		{"a page of no origin", "POST", []string{"Origin", "null"}, 403, "foreign_origin"},
		{"another site, as the browser says", "POST", []string{"Sec-Fetch-Site", "cross-site"}, 403, "foreign_origin"},
		{"a neighbour, as the browser says", "POST", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://other.example"}, 403, "foreign_origin"},
		{"another page that reads", "GET", []string{"Origin", "https://evil.example"}, 200, ""},
		{"before another page asks", "OPTIONS", []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, 405, "method_not_allowed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			body := ""
			if row.method == "POST" {
				body = `{"name":"a/` + strings.ReplaceAll(strings.ToLower(row.name), " ", "-") + `"}`
				body = strings.NewReplacer(",", "", "'", "").Replace(body)
			}
			got := ask(t, kit.URL, row.method, "/api/v1/environments", body, row.headers...)
			if got.status != row.status || got.code() != row.code {
				t.Errorf("%d %s, want %d %s", got.status, got.text, row.status, row.code)
			}
			if got.header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("a page of another origin is let in")
			}
		})
	}
	for host, status := range map[string]int{
		"127.0.0.1" + port: 200, "127.0.0.1": 200, "127.9.9.9": 200, "localhost" + port: 200, "LOCALHOST": 200, "localhost.": 200, "n1.localhost": 200,
		"[::1]" + port: 200, "broker.example": 200, "Broker.Example:443": 200,
		"evil.example": 421, "evil.example" + port: 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "10.0.0.1": 421, "0.0.0.0": 421,
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", kit.URL+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != status {
			t.Errorf("as %s the status is %d, want %d", host, answer.StatusCode, status)
		}
	}
}

// Names are the business of those who listen in clear on this machine, and of nobody behind a proxy that is trusted.
func TestHostsElsewhere(t *testing.T) {
	loopback, outside := net.ParseIP("127.0.0.1"), net.ParseIP("192.0.2.1")
	for _, row := range []struct {
		name, peer string
		local      net.IP
		proxies    []string
		status     int
	}{
		{"on loopback", "127.0.0.1:1", loopback, nil, 421},
		{"behind a proxy on this machine", "127.0.0.1:1", loopback, []string{"127.0.0.1"}, 200},
		{"as a proxy's header says, from elsewhere", "203.0.113.9:1", loopback, nil, 200},
		{"off loopback", "203.0.113.9:1", outside, nil, 200},
	} {
		kit := apitest.Start(t, func(c *api.Config) { c.Proxies = mustProxies(t, row.proxies...) })
		r := httptest.NewRequest("GET", "/healthz", nil)
		r.RemoteAddr, r.Host = row.peer, "broker.example"
		w := httptest.NewRecorder()
		kit.Server.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: row.local, Port: 8420})))
		if w.Code != row.status {
			t.Errorf("%s: %d, want %d", row.name, w.Code, row.status)
		}
	}
}

// What is refused for coming too often fills no log.
func TestFloodsAreNotLogged(t *testing.T) {
	var log bytes.Buffer
	kit := apitest.Start(t, func(c *api.Config) {
		c.Limits.Address = front.Rate{PerSecond: 0.001, Burst: 1}
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	statuses(100, func() *httptest.ResponseRecorder { return from(kit.Server, "203.0.113.9:1", "GET", stale) })
	if lines := strings.Count(log.String(), "msg=request"); lines != 1 {
		t.Errorf("%d lines for 100 requests:\n%s", lines, &log)
	}
}
