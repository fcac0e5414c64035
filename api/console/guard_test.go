package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"broker/api"
	"broker/api/apitest"
	"broker/api/client"
	"broker/api/console"
	"broker/api/front"
	"broker/api/types"
)

// behindProxy has this machine's word about who asks be believed.
func behindProxy(c *api.Config) { c.Proxies, _ = front.ParseProxies([]string{"127.0.0.1"}) }

// Where the browser's connection is encrypted the cookie goes over no other, and nobody else's page can set it: at a node
// that speaks TLS, and behind a proxy that does for it.
func TestCookiesOverTLS(t *testing.T) {
	d := newDesk(t, behindProxy)
	pages, err := console.New(console.Config{API: d.kit.Server, ClusterID: func() string { return "01TESTCLUSTER" }})
	d.must2(pages, err)
	t.Cleanup(pages.Close)
	encrypted := httptest.NewTLSServer(pages.Handler())
	t.Cleanup(encrypted.Close)
	plain := newDesk(t)
	form := url.Values{"by": {"token"}, "token": {apitest.Token}}
	for _, row := range []struct {
		name, url string
		at        *http.Client
		headers   []string
		secure    bool
	}{
		{"TLS", encrypted.URL, encrypted.Client(), nil, true},
		{"behind a proxy that says https", d.url, d.http, []string{"X-Forwarded-Proto", "https", "Host", "console.example"}, true},
		{"behind two", d.url, d.http, []string{"X-Forwarded-Proto", "HTTPS, http"}, true},
		{"behind a proxy that says http", d.url, d.http, []string{"X-Forwarded-Proto", "http"}, false},
		{"behind a proxy that says nothing", d.url, d.http, nil, false},
		{"anybody who says https", plain.url, plain.http, []string{"X-Forwarded-Proto", "https"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			at := &desk{t: t, url: row.url, http: &http.Client{Transport: row.at.Transport, CheckRedirect: d.http.CheckRedirect}}
			got := at.ask("POST", "/ui/signin", form, row.headers...)
			if len(got.Cookies()) != 1 {
				t.Fatalf("%d %s", got.StatusCode, got.text)
			}
			one := got.Cookies()[0]
			if prefixed := strings.HasPrefix(one.Name, "__Host-broker-"); one.Secure != row.secure || prefixed != row.secure || one.Path != "/" || one.Domain != "" || !one.HttpOnly || one.SameSite != http.SameSiteStrictMode {
				t.Errorf("the cookie is %s", one)
			}
			if forever := got.Header.Get("Strict-Transport-Security") != ""; forever != row.secure {
				t.Errorf("Strict-Transport-Security: %v", forever)
			}
			if got := at.get("/ui/leases", append(row.headers, "Cookie", one.Name+"="+one.Value)...); got.StatusCode != 200 {
				t.Errorf("signed in: %d", got.StatusCode)
			}
			if got := at.get("/ui/leases", append(row.headers, "Cookie", strings.TrimPrefix(one.Name, "__Host-")+"="+one.Value)...); row.secure && got.StatusCode != http.StatusSeeOther {
				t.Errorf("a cookie that another page can set is taken: %d", got.StatusCode)
			}
		})
	}
}

// Pages pass what stands before the API: rates by address, names of the host, the form of paths.
func TestPagesPassTheFrontDoor(t *testing.T) {
	d := newDesk(t, behindProxy, func(c *api.Config) { c.Limits.Address = front.Rate{PerSecond: 0.001, Burst: 5} })
	codes := map[int]int{}
	for range 8 {
		codes[d.get("/ui/signin", "X-Forwarded-For", "203.0.113.7").StatusCode]++
	}
	if codes[200] != 5 || codes[429] != 3 {
		t.Errorf("one address was answered %v", codes)
	}
	if got := d.get("/ui/signin", "X-Forwarded-For", "203.0.113.8"); got.StatusCode != 200 {
		t.Errorf("another address: %d", got.StatusCode)
	}
	plain := newDesk(t)
	for _, path := range []string{"/ui/signin", "/ui/events", "/ui/", "/"} {
		if got := plain.get(path, "Host", "evil.example"); got.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s by a foreign name: %d", path, got.StatusCode)
		}
	}
	plain.signIn(apitest.Token)
	for _, path := range []string{"/ui/environments/a%2Fb/c", "/ui/leases/..%2Fcluster", "/ui//leases"} {
		if got := plain.get(path); got.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
}

// A page that takes too long for its own reasons has others be no worse for it.
func TestASlowPageIsNoLackOfALeader(t *testing.T) {
	d := newDesk(t)
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/v1/connections") {
			<-r.Context().Done()
		}
		d.kit.Server.ServeHTTP(w, r)
	})
	pages, err := console.New(console.Config{API: slow, ClusterID: func() string { return "01TESTCLUSTER" }, ReadTimeout: 300 * time.Millisecond})
	d.must2(pages, err)
	server := httptest.NewServer(pages.Handler())
	t.Cleanup(func() { pages.Close(); server.Close() })
	d.url = server.URL
	d.signIn(apitest.Token)
	if got := d.get("/ui/connections"); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the slow page: %d", got.StatusCode)
	}
	// Not a page that a loaded machine makes too slowly: it says so by itself.
	if got := d.get("/ui/styleguide"); got.StatusCode != 200 || strings.Contains(got.text, "data-stale") {
		t.Errorf("another page: %d %s", got.StatusCode, got.text)
	}
}

// Who signs out where there is no leader is signed out of this browser, and told what is left of the session.
func TestSignOutWithoutALeader(t *testing.T) {
	d := newDesk(t)
	d.signIn(apitest.Token)
	d.kit.Cluster.SetLeader("")
	got := d.ask("POST", "/ui/signout", url.Values{})
	if at := got.Header.Get("Location"); got.StatusCode != http.StatusSeeOther || at != "/ui/signin?left=1" {
		t.Fatalf("%d %s %s", got.StatusCode, at, got.text)
	}
	if got = d.get("/ui/signin?left=1"); !strings.Contains(got.text, "within 30 min") {
		t.Errorf("%d %s", got.StatusCode, got.text)
	}
	if got = d.get("/ui/leases"); got.StatusCode != http.StatusSeeOther {
		t.Errorf("the browser is still signed in: %d", got.StatusCode)
	}
	d.kit.Cluster.SetLeader("n1")
}

// What strangers send is not read beyond what signing in takes, and a form that is not whole does nothing.
func TestFormsThatAreTooLarge(t *testing.T) {
	d := newDesk(t)
	if got := d.ask("POST", "/ui/signin", url.Values{"username": {"x"}, "password": {strings.Repeat("x", 17<<10)}}); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.text, "too large") {
		t.Errorf("%d %s", got.StatusCode, got.text)
	}
	d.signIn(apitest.Token)
	issued, err := d.client(apitest.Token).IssueLease(t.Context(), "payments/production/orders-ro", types.IssueSpec{})
	d.must2(issued, err)
	got := d.ask("POST", "/ui/leases/"+issued.Lease.ID+"/revoke", url.Values{"reason": {strings.Repeat("x", 1<<20)}})
	lease, err := d.client(apitest.Token).GetLease(t.Context(), issued.Lease.ID)
	d.must2(lease, err)
	if got.StatusCode != http.StatusBadRequest || lease.State != "active" {
		t.Errorf("half a form: %d, and the lease is %s", got.StatusCode, lease.State)
	}
}

// Signing in anew ends the session that the browser had; where it goes then is a page of the console.
func TestSignInAnew(t *testing.T) {
	d := newDesk(t)
	before := d.signIn(apitest.Token).Cookies()[0].Value
	now := d.signIn(apitest.Token).Cookies()[0].Value
	if _, err := d.client(before).GetToken(t.Context(), "self"); client.Code(err) != "unauthenticated" {
		t.Errorf("the session before: %v", err)
	}
	d.must2(d.client(now).GetToken(t.Context(), "self"))
	for next, want := range map[string]string{
		"/ui/leases?state=all": "/ui/leases?state=all", "//evil.example/ui/": "/ui/", `/\evil.example`: "/ui/", `/ui/\evil.example`: "/ui/", "javascript:alert(1)": "/ui/",
		"https:/ui/leases": "/ui/", "/ui/../api/v1/leases": "/ui/", "/ui/%2e%2e//evil.example": "/ui/", "/ui/signout": "/ui/", "/api/v1/leases": "/ui/", "/uix": "/ui/",
	} {
		got := d.ask("POST", "/ui/signin", url.Values{"by": {"token"}, "token": {apitest.Token}, "next": {next}})
		if at := got.Header.Get("Location"); got.StatusCode != http.StatusSeeOther || at != want {
			t.Errorf("next=%s leads to %d %q", next, got.StatusCode, at)
		}
	}
}

// What a person does keeps a session alive, at most once a minute; pages that refresh themselves do not.
func TestOnlyPeopleKeepSessionsAlive(t *testing.T) {
	d := newDesk(t)
	var renewed, ahead atomic.Int64
	counting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/tokens/self/renew" {
			renewed.Add(1)
		}
		d.kit.Server.ServeHTTP(w, r)
	})
	pages, err := console.New(console.Config{
		API: counting, ClusterID: func() string { return "01TESTCLUSTER" }, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
	})
	d.must2(pages, err)
	server := httptest.NewServer(pages.Handler())
	t.Cleanup(func() { pages.Close(); server.Close() })
	d.url = server.URL
	d.signIn(apitest.Token)
	for _, step := range []struct {
		live  string
		after time.Duration
		want  int64
	}{{"", 0, 1}, {"", 0, 1}, {"7", 2 * time.Minute, 1}, {"0", 0, 1}, {"", 0, 2}} {
		ahead.Add(int64(step.after))
		var headers []string
		if step.live != "" {
			headers = []string{"Console-Live", step.live}
		}
		if got := d.get("/ui/leases", headers...); got.StatusCode != 200 || renewed.Load() != step.want {
			t.Errorf("%+v: %d, renewed %d times", step, got.StatusCode, renewed.Load())
		}
	}
}
