package console_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"broker/access"
	"broker/api"
	"broker/api/apitest"
	"broker/api/client"
	"broker/api/console"
	"broker/api/types"
)

// desk is a console before an API in memory, and somebody who looks at it without a browser.
type desk struct {
	t    *testing.T
	kit  *apitest.Kit
	http *http.Client
	url  string
}

// newDesk returns one that nobody is signed in at. Changes alter the API's configuration.
func newDesk(t *testing.T, changes ...func(*api.Config)) *desk {
	t.Helper()
	kit := apitest.Start(t, func(c *api.Config) {
		c.Authorizer, c.LeaderTimeout = c.Access.(*access.Decider), 100*time.Millisecond
		c.Snapshot = func() (api.Snapshot, error) { return wholeState{strings.NewReader("all of it")}, nil }
		for _, change := range changes {
			change(c)
		}
	})
	pages, err := console.New(console.Config{
		API: kit.Server, Admit: kit.Server.Admit, Encrypted: kit.Server.Encrypted, ClusterID: func() string { return "01TESTCLUSTER" }, NodeID: "n1", Version: "test", ReadTimeout: 300 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(pages.Handler())
	t.Cleanup(func() { pages.Close(); server.Close() })
	d := &desk{t: t, kit: kit, url: server.URL, http: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	d.forget()
	ctx, c := t.Context(), d.client(apitest.Token)
	d.must2(c.CreateEnvironment(ctx, types.EnvironmentSpec{Name: "payments/production"}))
	d.must2(c.CreateConnection(ctx, types.ConnectionSpec{Name: "orders-db", Provider: "fake", Environments: []string{"*"}, Settings: map[string]any{"password": apitest.RootPassword}}))
	d.must2(c.CreateSecret(ctx, "payments/production", types.SecretSpec{Name: "orders-ro", Connection: "orders-db"}))
	return d
}

func (d *desk) must2(_ any, err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) client(token string) *client.Client {
	d.t.Helper()
	c, err := client.New(client.Config{Addresses: []string{d.kit.URL}, Token: token})
	d.must2(c, err)
	return c
}

// person makes an account and returns a token of it.
func (d *desk) person(name, role, scope string) string {
	d.t.Helper()
	ctx, c := d.t.Context(), d.client(apitest.Token)
	d.must2(c.CreateAccount(ctx, types.AccountSpec{Name: name, Kind: "user"}))
	if role != "" {
		d.must2(c.CreateRoleBinding(ctx, types.RoleBindingSpec{Role: role, Account: name, Scope: scope}))
	}
	made, err := c.CreateToken(ctx, types.TokenSpec{Account: name})
	d.must2(made, err)
	return made.Token
}

// seen is an answer.
type seen struct {
	*http.Response
	text string
}

func (d *desk) ask(method, path string, form url.Values, headers ...string) seen {
	d.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, body)
	d.must2(request, err)
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := d.http.Do(request)
	d.must2(response, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	d.must2(text, err)
	return seen{response, string(text)}
}

func (d *desk) get(path string, headers ...string) seen {
	d.t.Helper()
	return d.ask("GET", path, nil, headers...)
}

func (d *desk) signIn(token string) seen {
	d.t.Helper()
	got := d.ask("POST", "/ui/signin", url.Values{"by": {"token"}, "token": {token}, "next": {"/ui/leases"}})
	if got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/ui/leases" {
		d.t.Fatalf("signing in: %d %s", got.StatusCode, got.text)
	}
	return got
}

// forget has the browser forget whose it was.
func (d *desk) forget() {
	d.t.Helper()
	jar, err := cookiejar.New(nil)
	d.must2(jar, err)
	d.http.Jar = jar
}

// A session is a token of its own: what was typed is not it, it ends when it is idle, and signing out ends it.
func TestSessionsAreTokens(t *testing.T) {
	d := newDesk(t)
	if got := d.get("/ui/leases?state=all"); got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/ui/signin?next=%2Fui%2Fleases%3Fstate%3Dall" {
		t.Errorf("a stranger: %d %s", got.StatusCode, got.Header.Get("Location"))
	}
	token := d.person("alice", "developer", "payments/*")
	cookie := d.signIn(token).Cookies()[0]
	if cookie.Name != "broker-01testcl" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Domain != "" || cookie.Value == token {
		t.Errorf("the cookie is %+v", cookie)
	}
	session, err := d.client(cookie.Value).GetToken(t.Context(), "self")
	d.must2(session, err)
	if session.Description != "console" || session.IdleTTL.Std() != 30*time.Minute || session.Account != "alice" || session.Parent == "" || session.ExpiresAt == nil || time.Until(*session.ExpiresAt) > 12*time.Hour {
		t.Errorf("the session is %+v", session)
	}
	if got := d.get("/ui/leases"); got.StatusCode != 200 || !strings.Contains(got.text, "alice") || strings.Contains(got.text, cookie.Value) {
		t.Errorf("signed in: %d", got.StatusCode)
	}
	// What a person does is done from his address, by his browser.
	d.must2(d.client(token).IssueLease(t.Context(), "payments/production/orders-ro", types.IssueSpec{Name: "one"}))
	leases, err := d.client(token).ListLeases(t.Context(), client.LeaseSelector{}, client.ListOptions{})
	d.must2(leases, err)
	id := leases.Items[0].ID
	if got := d.ask("POST", "/ui/leases/"+id+"/revoke", url.Values{"reason": {"over"}, "idempotency_key": {"k1"}}, "User-Agent", "Ziggy/1.0"); got.StatusCode != http.StatusSeeOther {
		t.Errorf("revoking: %d %s", got.StatusCode, got.text)
	}
	history, err := d.client(token).LeaseEvents(t.Context(), id)
	d.must2(history, err)
	for _, e := range history.Items {
		if e.Type == "lease.revoking" && (e.Actor != "alice" || e.Address != "127.0.0.1" || e.UserAgent != "Ziggy/1.0" || e.Token != session.Accessor) {
			t.Errorf("history says %+v", e)
		}
	}
	if got := d.ask("POST", "/ui/signout", url.Values{}); got.StatusCode != http.StatusSeeOther {
		t.Errorf("signing out: %d %s", got.StatusCode, got.text)
	}
	if _, err := d.client(cookie.Value).GetToken(t.Context(), "self"); client.Code(err) != "unauthenticated" {
		t.Errorf("the session after signing out: %v", err)
	}
	d.must2(d.client(token).GetToken(t.Context(), "self"))
}

func TestSignInByPassword(t *testing.T) {
	d := newDesk(t)
	d.person("alice", "viewer", "*")
	d.must2(nil, d.client(apitest.Token).SetPassword(t.Context(), "alice", types.PasswordChange{Password: "correct horse battery"}))
	got := d.ask("POST", "/ui/signin", url.Values{"username": {"alice"}, "password": {"wrong horse battery"}})
	if got.StatusCode == http.StatusSeeOther || strings.Contains(got.text, "wrong horse") || !strings.Contains(got.text, `value="alice"`) || !strings.Contains(got.text, `role="alert"`) {
		t.Errorf("a wrong password: %d %s", got.StatusCode, got.text)
	}
	if got := d.ask("POST", "/ui/signin", url.Values{"username": {""}, "password": {""}}); got.StatusCode != 422 {
		t.Errorf("nothing at all: %d", got.StatusCode)
	}
	got = d.ask("POST", "/ui/signin", url.Values{"username": {"alice"}, "password": {"correct horse battery"}, "next": {"//elsewhere.example/x"}})
	if got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/ui/" {
		t.Errorf("signed in: %d, to %s", got.StatusCode, got.Header.Get("Location"))
	}
}

// A page of another origin changes nothing, whatever cookies the browser would send.
func TestForeignPagesChangeNothing(t *testing.T) {
	d := newDesk(t)
	d.signIn(apitest.Token)
	for path, headers := range map[string][]string{ // to load something, as a frame, and by a link
		"/ui/leases": {"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "empty"}, "/ui/events": {"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
		"/ui/history": {"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, "/ui/locks": {"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
	} {
		want := map[bool]int{true: 200, false: 403}[path == "/ui/locks"]
		for _, site := range []string{"same-site", "cross-site"} { // the first has our cookies sent, from another port
			if got := d.get(path, append(headers, "Sec-Fetch-Site", site)...); got.StatusCode != want {
				t.Errorf("%s from a page that is %s, %v: %d", path, site, headers, got.StatusCode)
			}
		}
	}
	for _, header := range []string{"Sec-Fetch-Site cross-site", "Sec-Fetch-Site same-site", "Origin http://elsewhere.example"} {
		name, value, _ := strings.Cut(header, " ")
		if got := d.ask("POST", "/ui/signout", url.Values{}, name, value); got.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", header, got.StatusCode)
		}
	}
	if got := d.get("/ui/leases"); got.StatusCode != 200 {
		t.Errorf("still signed in? %d", got.StatusCode)
	}
}

// Without a leader pages show what the node has, and say so; nothing is changed, and that is said too.
func TestWithoutALeader(t *testing.T) {
	d := newDesk(t)
	d.signIn(apitest.Token)
	issued, err := d.client(apitest.Token).IssueLease(t.Context(), "payments/production/orders-ro", types.IssueSpec{Name: "stays"})
	d.must2(issued, err)
	d.kit.Cluster.SetLeader("")
	d.kit.Cluster.SetStaleness(42 * time.Second)
	got := d.get("/ui/leases")
	if got.StatusCode != 200 || !strings.Contains(got.text, "data-stale") || !strings.Contains(got.text, "stays") {
		t.Errorf("%d %s", got.StatusCode, got.text)
	}
	got = d.ask("POST", "/ui/leases/"+issued.Lease.ID+"/revoke", url.Values{}, "Console-Part", "dialog")
	if got.StatusCode != 503 || got.Header.Get("Console-Problem") != "no_leader" || !strings.Contains(got.text, "Nothing was done") {
		t.Errorf("revoking: %d %s", got.StatusCode, got.text)
	}
	d.kit.Cluster.SetLeader("n1")
	d.kit.Cluster.SetStaleness(0)
}

// Whatever people and outside systems call things is text.
func TestHostileNamesAreText(t *testing.T) {
	d := newDesk(t)
	d.signIn(apitest.Token)
	hostile := `"><script>alert(1)</script><img src=x onerror=alert(2)>{{.}}javascript:alert(3)`
	issued, err := d.client(apitest.Token).IssueLease(t.Context(), "payments/production/orders-ro", types.IssueSpec{Name: hostile, Labels: map[string]string{"k": "<b>v</b>"}})
	d.must2(issued, err)
	for _, path := range []string{"/ui/leases", "/ui/leases/" + issued.Lease.ID + "/revoke", "/ui/leases?account=" + url.QueryEscape(hostile), "/ui/" + url.PathEscape(hostile), "/ui/signin?next=" + url.QueryEscape(hostile)} {
		got := d.get(path)
		if strings.Contains(got.text, "<script>") || strings.Contains(got.text, "<img") || strings.Contains(got.text, "<b>v") {
			t.Errorf("%s: %s", path, got.text)
		}
	}
	if got := d.get("/ui/leases"); !strings.Contains(got.text, "&lt;script&gt;alert(1)") {
		t.Errorf("the name is not shown: %s", got.text)
	}
}

// A page per error tells what is wrong, and what can be done.
func TestProblems(t *testing.T) {
	d := newDesk(t)
	d.signIn(d.person("alice", "viewer", "other/*"))
	issued, err := d.client(apitest.Token).IssueLease(t.Context(), "payments/production/orders-ro", types.IssueSpec{})
	d.must2(issued, err)
	for _, row := range []struct {
		path   string
		status int
		text   string
	}{
		{"/ui/nowhere", 404, "There is no such page"},
		{"/ui/leases/" + issued.Lease.ID + "/revoke", 404, "It is not there"}, // for who may not see it
		{"/ui/cluster/transfer", 403, "cluster:transfer on cluster"},
		{"/ui/cluster/nodes/n1/remove", 403, "cluster:remove-member on cluster/n1"},
		{"/ui/leases?expires=soon", 422, "must be a duration"},
		{"/ui/leases?label=x", 422, "key=value"},
		{"/ui/leases?secret=x", 422, "must be a full name"},
	} {
		if got := d.get(row.path); got.StatusCode != row.status || !strings.Contains(got.text, row.text) || strings.Contains(got.text, "hears of no leader") {
			t.Errorf("%s: %d, want %d %q, and a leader: %s", row.path, got.StatusCode, row.status, row.text, got.text)
		}
	}
	// What one may not do is refused in words, also to who knows the address of the form.
	if got := d.ask("POST", "/ui/cluster/transfer", url.Values{}); got.StatusCode != 403 || !strings.Contains(got.text, "cluster:transfer on cluster") {
		t.Errorf("not permitted: %d %s", got.StatusCode, got.text)
	}
	if got := d.get("/ui/cluster/snapshot"); got.StatusCode != 403 || !strings.Contains(got.text, "You may not do that") || strings.Contains(got.text, "all of it") {
		t.Errorf("not permitted: %d %s", got.StatusCode, got.text)
	}
	// A session that ends leads to where one signs in, and from there back.
	admin := d.client(apitest.Token)
	d.must2(admin.UpdateAccount(t.Context(), "alice", types.AccountChange{Disabled: new(true)}))
	got := d.get("/ui/leases?state=all")
	if at := got.Header.Get("Location"); got.StatusCode != http.StatusSeeOther || at != "/ui/signin?ended=1&next=%2Fui%2Fleases%3Fstate%3Dall" {
		t.Errorf("the session's end: %d %s", got.StatusCode, at)
	} else if got = d.get(at); !strings.Contains(got.text, "The session has ended") {
		t.Errorf("the session's end: %s", got.text)
	}
	// A part of a page is told where to go, rather than led there.
	stranger := newDesk(t)
	if got := stranger.get("/ui/leases", "Console-Part", "content"); got.StatusCode != 401 || !strings.HasPrefix(got.Header.Get("Console-Go"), "/ui/signin?") {
		t.Errorf("a part for a stranger: %d %v", got.StatusCode, got.Header)
	}
}

func TestAnswersAreForBrowsersOnly(t *testing.T) {
	d := newDesk(t)
	d.signIn(apitest.Token)
	page := d.get("/ui/leases")
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	} {
		if got := page.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	sum := len(page.text)
	for _, path := range regexp.MustCompile(`/ui/static/[^"#]+`).FindAllString(page.text, -1) {
		request, err := http.NewRequestWithContext(t.Context(), "GET", d.url+path, nil)
		d.must2(request, err)
		request.Header.Set("Accept-Encoding", "gzip")
		response, err := http.DefaultTransport.RoundTrip(request)
		d.must2(response, err)
		data, err := io.ReadAll(response.Body)
		d.must2(data, err)
		response.Body.Close()
		if response.StatusCode != 200 || response.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || response.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %s %v", path, response.Status, response.Header)
		}
		if !strings.Contains(path, "icons") { // which is named often and loaded once
			sum += len(data)
		}
	}
	if sum > 150_000 {
		t.Errorf("a first page costs %d bytes", sum)
	}
	if got := d.get("/api/v1/leases"); got.StatusCode != 401 {
		t.Errorf("the cookie is no token of the API: %d", got.StatusCode)
	}
	if got := d.get("/"); got.Header.Get("Location") != "/ui/" {
		t.Errorf("/ leads to %q", got.Header.Get("Location"))
	}
}

// A block that is not closed takes what comes after it along.
func TestStylesheetClosesItsBlocks(t *testing.T) {
	text, err := os.ReadFile("static/console.css")
	if err != nil {
		t.Fatal(err)
	}
	open := 0
	for n, line := range strings.Split(string(text), "\n") {
		if open != 0 && strings.HasPrefix(line, "/*") {
			t.Fatalf("line %d: %s: a block before it is not closed", n+1, line)
		}
		if open += strings.Count(line, "{") - strings.Count(line, "}"); open < 0 {
			t.Fatalf("line %d closes what is not open", n+1)
		}
	}
	if open != 0 {
		t.Error("the last block is not closed")
	}
}

// The policy has no exception, so nothing may stand in a page that it forbids.
func TestTemplatesHoldNothingInline(t *testing.T) {
	forbidden := regexp.MustCompile(`(?i)<script>|<style|\sstyle=|\son[a-z]+=|javascript:|https?://`)
	err := filepath.WalkDir("templates", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if found := forbidden.Find(text); found != nil {
			t.Errorf("%s holds %q", path, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
