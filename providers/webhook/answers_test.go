package webhook

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"broker/providers"
)

const (
	testSecret = "a-secret-of-more-than-32-characters-0123456789"
	testPrefix = "brk_ab12_"
)

// scripted is a service that answers as it is told.
func scripted(t *testing.T, answer http.HandlerFunc) (providers.Backend, *httptest.Server) {
	t.Helper()
	server := httptest.NewTLSServer(answer)
	t.Cleanup(server.Close)
	return openAt(t, server.URL, server, nil), server
}

func openAt(t *testing.T, url string, server *httptest.Server, overrides map[string]any) providers.Backend {
	t.Helper()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	given := map[string]any{"url": url, "secret": testSecret, "tls_ca": string(authority), "timeout": "5s"}
	for name, value := range overrides {
		given[name] = value
	}
	settings, problems := Provider{}.Describe().ValidateConnection(given)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b, err := Provider{}.Open(settings, providers.Env{ClusterID: "cluster-one", Prefix: testPrefix, Identity: "webhook-system-one"})
	if err != nil {
		t.Fatal(err)
	}
	b = providers.Redacting(b, Provider{}.Describe().Secrets(settings)...)
	t.Cleanup(func() { b.Close() })
	return b
}

func testGrant() providers.Grant {
	return providers.Grant{Login: providers.Login{Name: testPrefix + "x", ExpiresAt: time.Now().Add(time.Hour)}, LeaseID: "lease-one", Deadline: time.Now().Add(time.Minute)}
}

// The password that a service answered is in no error, whatever is wrong with the rest of the answer.
const leaked = "pAssw0rd-that-must-not-leak"

// What each answer means: first of a create, then of a revoke.
func TestAnswers(t *testing.T) {
	good := `{"request_id": "%s", "system": "system-one", "values": {"password": "` + leaked + `"}}`
	for _, test := range []struct {
		name    string
		status  int
		kind    string // content type
		body    string // %s is the request's id
		want    providers.Kind
		notSent bool
		revoked bool // a revoke believes it
	}{
		{name: "another request's id", status: 200, kind: "application/json", body: `{"request_id": "create/other", "system": "system-one", "values": {"password": "` + leaked + `"}}`, want: providers.KindUnknown},
		{name: "another system", status: 200, kind: "application/json", body: strings.Replace(good, "one", "two", 1), want: providers.KindUnavailable},
		{name: "no system", status: 200, kind: "application/json", body: `{"request_id": "%s", "values": {"password": "` + leaked + `"}}`, want: providers.KindUnknown},
		{name: "no values", status: 200, kind: "application/json", body: `{"request_id": "%s", "system": "system-one"}`, want: providers.KindUnknown, revoked: true},
		{name: "another username", status: 200, kind: "application/json", body: strings.Replace(good, `{"password"`, `{"username": "root", "password"`, 1), want: providers.KindUnknown, revoked: true},
		{name: "a name with a line break", status: 200, kind: "application/json", body: strings.Replace(good, `{"password"`, `{"a\nb": "x", "password"`, 1), want: providers.KindUnknown, revoked: true},
		{name: "values that are no strings", status: 200, kind: "application/json", body: strings.Replace(good, `"`+leaked+`"`, `["`+leaked+`"]`, 1), want: providers.KindUnknown, revoked: true},
		{name: "a proxy's page", status: 200, kind: "text/html", body: good, want: providers.KindUnknown},
		{name: "half an answer", status: 200, kind: "application/json", body: `{"request_id": "%s", "sys`, want: providers.KindUnknown},
		{name: "no content", status: 204, want: providers.KindUnknown},
		{name: "an endless answer", status: 200, kind: "application/json", body: good + strings.Repeat(" ", longestAnswer), want: providers.KindUnknown},
		{name: "a redirect", status: 302, want: providers.KindRejected},
		{name: "bad request", status: 400, kind: "application/json", body: `{"message": "no"}`, want: providers.KindRejected},
		{name: "bad signature", status: 401, want: providers.KindRejected, notSent: true},
		{name: "no such page", status: 404, want: providers.KindRejected},
		{name: "timeout", status: 408, want: providers.KindUnknown},
		{name: "exists", status: 409, want: providers.KindExists},
		{name: "another system, said by it", status: 421, want: providers.KindUnavailable, notSent: true},
		{name: "too early", status: 425, want: providers.KindTooEarly},
		{name: "too many", status: 429, want: providers.KindUnavailable},
		{name: "failure", status: 500, kind: "application/json", body: `{"message": "broken"}`, want: providers.KindUnknown},
		{name: "not implemented", status: 501, want: providers.KindUnsupported},
		{name: "bad gateway", status: 502, kind: "text/html", body: "<html>", want: providers.KindUnknown},
		{name: "overloaded", status: 503, want: providers.KindUnavailable},
		{name: "gateway timeout", status: 504, want: providers.KindUnknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, _ := scripted(t, func(w http.ResponseWriter, r *http.Request) {
				var call Call
				if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
					t.Error(err)
				}
				w.Header().Set("Content-Type", test.kind)
				w.Header().Set("Location", "https://127.0.0.1:1/")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, strings.ReplaceAll(test.body, "%s", call.RequestID))
			})
			grant := testGrant()
			_, err := b.Create(t.Context(), grant)
			var e *providers.Error
			if !errors.As(err, &e) || e.Kind != test.want || e.NotSent != test.notSent {
				t.Errorf("creating: got %#v, want %s, not sent %t", err, test.want, test.notSent)
			}
			if strings.Contains(fmt.Sprintf("%v %s", err, e.Hint), leaked) {
				t.Errorf("creating: the error holds the password: %v", err)
			}
			err, answered := b.Revoke(t.Context(), []providers.Login{grant.Login})[grant.Name]
			if !answered || (err == nil) != test.revoked {
				t.Errorf("revoking: got %v, %t, want success %t", err, answered, test.revoked)
			}
		})
	}
}

// What a request looks like to a service.
func TestRequest(t *testing.T) {
	var got struct {
		method, path string
		header       http.Header
		body         string
	}
	_, server := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		got.method, got.path, got.header, got.body = r.Method, r.URL.EscapedPath(), r.Header, string(content)
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, `{"request_id": "create/brk_ab12_x", "system": "system-one", "unknown": 1, "values": {"password": "p", "client_id": "c"}}`)
	})
	b := openAt(t, server.URL+"/a%20b/", server, nil)
	grant := testGrant()
	grant.ExpiresAt, grant.Options = time.Date(2100, 1, 2, 3, 4, 5, 6_700_000, time.FixedZone("", 3600)), providers.Options{"service_options": "{\n \"role\": \"<reader>\"\n}"}
	grant.Deadline = time.Date(2099, 1, 2, 3, 4, 5, 999_999, time.UTC)
	grant.For = providers.NameParts{App: "payments", Env: "production", Secret: "tickets", Account: "ada"}
	values, err := b.Create(t.Context(), grant)
	if err != nil {
		t.Fatal(err)
	}
	if got.method != "POST" || got.path != "/a%20b/create" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s %s %s", got.method, got.path, got.header.Get("Content-Type"))
	}
	const body = `{"request_id":"create/brk_ab12_x","cluster":"cluster-one","system":"system-one","login":{"name":"brk_ab12_x","expires_at":"2100-01-02T02:04:05.006Z","options":{"role":"\u003creader\u003e"}},"lease":"lease-one","for":{"app":"payments","env":"production","secret":"tickets","account":"ada"},"deadline":"2099-01-02T03:04:05Z"}`
	if got.body != body {
		t.Errorf("got the body\n%s\nwant\n%s", got.body, body)
	}
	if want := sign(providers.NewSecret(testSecret), got.header.Get(HeaderTimestamp), "POST", "/a%20b/create", []byte(body)); got.header.Get(HeaderSignature) != want {
		t.Errorf("the signature is %s, want %s", got.header.Get(HeaderSignature), want)
	}
	for name, want := range map[string]string{"username": "brk_ab12_x", "password": "p", "url": "", "values": `{"client_id":"c","password":"p"}`} {
		if values[name].Reveal() != want {
			t.Errorf("%s is %q, want %q", name, values[name].Reveal(), want)
		}
	}
}

// The page has this example, made with openssl.
func TestSignature(t *testing.T) {
	got := sign(providers.NewSecret("0123456789abcdef0123456789abcdef"), "1767366245", "POST", "/broker/check", []byte(`{"request_id":"check/1","cluster":"c"}`))
	const want = "v1=3ff590d1657f11efd08516cfc3ce22bae04b9361469e3d913ccd431209bcc10d"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if page, err := os.ReadFile("CONTRACT.md"); err != nil || !strings.Contains(string(page), want) {
		t.Errorf("CONTRACT.md lacks the example (%v)", err)
	}
}

// A service that takes its time is waited for no longer than the connection says, and the batch is not tried to its end.
func TestSlowService(t *testing.T) {
	release := make(chan struct{})
	calls := make(chan struct{}, 100)
	_, server := scripted(t, func(_ http.ResponseWriter, r *http.Request) {
		calls <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	b := openAt(t, server.URL, server, map[string]any{"timeout": "200ms", "max_requests": 2})
	var logins []providers.Login
	for i := range 40 {
		logins = append(logins, providers.Login{Name: providers.LoginName(fmt.Sprintf("%s%d", testPrefix, i))})
	}
	began := time.Now()
	answers := b.Revoke(t.Context(), logins)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the batch took %s", took)
	}
	unknown := 0
	for _, login := range logins {
		err, answered := answers[login.Name]
		var e *providers.Error
		if !answered || !errors.As(err, &e) {
			t.Fatalf("%s: got %v, %t", login.Name, err, answered)
		}
		if e.Kind == providers.KindUnknown {
			unknown++
		} else if !e.NotSent {
			t.Errorf("%s: got %v, want unknown or not sent", login.Name, err)
		}
	}
	if sent := len(calls); unknown != sent || unknown > 4 {
		t.Errorf("%d calls were sent and %d answers are unknown", sent, unknown)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Create(ctx, testGrant()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want an error that is context.Canceled", err)
	}
}

func TestListEnds(t *testing.T) {
	b, _ := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		var request ListRequest
		_ = json.NewDecoder(r.Body).Decode(&request)
		w.Header().Set("Content-Type", "application/json")
		reply := ListReply{Reply: Reply{RequestID: request.RequestID, System: "system-one"}, NextCursor: "again",
			Logins: []ListedLogin{{Name: testPrefix + "a", Cluster: "cluster-one"}, {Name: testPrefix + "b", Cluster: "cluster-two"}, {Name: "foreign"}}}
		_ = json.NewEncoder(w).Encode(reply)
	})
	var found []providers.Found
	var err error
	for one, e := range b.List(t.Context(), testPrefix) {
		if err = e; e == nil {
			found = append(found, one)
		}
	}
	if len(found) != 4 || !found[0].Ours || found[1].Ours || err == nil {
		t.Errorf("got %v, %v, want two pages and an error", found, err)
	}
}
