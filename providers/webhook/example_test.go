package webhook_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/webhook"
)

// post calls the example as anybody might; change may spoil what is sent.
func post(t *testing.T, operation string, request any, change func(*http.Request)) (status int, body []byte) {
	t.Helper()
	content, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL()+"/"+operation, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	signAt(r, content, time.Now())
	if change != nil {
		change(r)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(server.Authority))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err = io.ReadAll(answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, body
}

func signAt(r *http.Request, content []byte, at time.Time) {
	stamp := strconv.FormatInt(at.Unix(), 10)
	r.Header.Set(webhook.HeaderTimestamp, stamp)
	r.Header.Set(webhook.HeaderSignature, webhook.Sign(providers.NewSecret(server.Secret), stamp, r.Method, r.URL.EscapedPath(), content))
}

// The example answers nobody but who knows the secret, now, and about what was signed.
func TestExampleRefuses(t *testing.T) {
	request := webhook.CheckRequest{Call: webhook.Call{RequestID: "check/1", Cluster: "c"}}
	content, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := post(t, "check", request, nil); status != 200 {
		t.Fatalf("a good request: %d %s", status, body)
	}
	for name, change := range map[string]func(*http.Request){
		"no signature": func(r *http.Request) { r.Header.Del(webhook.HeaderSignature) },
		"no time":      func(r *http.Request) { r.Header.Del(webhook.HeaderTimestamp) },
		"another time": func(r *http.Request) {
			r.Header.Set(webhook.HeaderTimestamp, strconv.FormatInt(time.Now().Unix()+1, 10))
		},
		"an old request":    func(r *http.Request) { signAt(r, content, time.Now().Add(-6*time.Minute)) },
		"a future request":  func(r *http.Request) { signAt(r, content, time.Now().Add(6*time.Minute)) },
		"another operation": func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "check", "revoke", 1) },
		"another body": func(r *http.Request) {
			other := strings.Replace(string(content), "check/1", "check/2", 1)
			r.Body = io.NopCloser(strings.NewReader(other))
		},
	} {
		if status, body := post(t, "check", request, change); status != http.StatusUnauthorized {
			t.Errorf("%s: got %d %s, want 401", name, status, body)
		}
	}
	request.System = "another"
	if status, _ := post(t, "check", request, nil); status != http.StatusMisdirectedRequest {
		t.Errorf("another system is meant: got %d, want 421", status)
	}
}

// What the example answers is what the schema says, and nothing else.
func TestExampleKeepsTheContract(t *testing.T) {
	call := func(operation string) webhook.Call {
		return webhook.Call{RequestID: operation + "/brk_example_x", Cluster: "c"}
	}
	login := webhook.Login{Name: "brk_example_x", ExpiresAt: time.Now().Add(time.Hour), Options: json.RawMessage(`{"role":"writer"}`)}
	values := map[string]string{"username": login.Name}
	created := &webhook.CreateReply{}
	create := webhook.CreateRequest{Call: call("create"), Login: login, Lease: "l", Deadline: time.Now().Add(time.Minute)}
	for _, step := range []struct {
		operation string
		request   any
		status    int
		reply     any
	}{
		{"check", webhook.CheckRequest{Call: call("check"), Options: json.RawMessage(`{"role":"king"}`)}, 200, &webhook.CheckReply{}},
		{"confirm_absent", webhook.ConfirmRequest{Call: call("confirm_absent"), Login: login, NotBefore: time.Now().Add(time.Minute)}, 425, &webhook.Failure{}},
		{"renew", webhook.LoginRequest{Call: call("renew"), Login: login}, 422, &webhook.Failure{}},
		{"create", create, 200, created},
		{"create", create, 409, &webhook.Failure{}},
		{"confirm_absent", webhook.ConfirmRequest{Call: call("confirm_absent"), Login: login}, 409, &webhook.Failure{}},
		{"renew", webhook.LoginRequest{Call: call("renew"), Login: login}, 200, &webhook.Reply{}},
		{"list", webhook.ListRequest{Call: call("list"), Prefix: "brk_example_"}, 200, &webhook.ListReply{}},
		{"log_in", webhook.LogInRequest{Call: call("log_in"), Values: values}, 200, &webhook.Reply{}},
		{"revoke", webhook.LoginRequest{Call: call("revoke"), Login: login}, 200, &webhook.Reply{}},
		{"revoke", webhook.LoginRequest{Call: call("revoke"), Login: login}, 200, &webhook.Reply{}},
		{"log_in", webhook.LogInRequest{Call: call("log_in"), Values: values}, 403, &webhook.Failure{}},
		{"confirm_absent", webhook.ConfirmRequest{Call: call("confirm_absent"), Login: login, NotBefore: time.Now().Add(-time.Minute)}, 200, &webhook.Reply{}},
	} {
		status, body := post(t, step.operation, step.request, nil)
		if status != step.status {
			t.Fatalf("%s: got %d %s, want %d", step.operation, status, body, step.status)
		}
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(step.reply); err != nil {
			t.Errorf("%s: the answer %s is not of the contract: %v", step.operation, body, err)
		}
		if step.status == 200 && !strings.Contains(string(body), `"request_id":"`+step.operation+`/brk_example_x"`) {
			t.Errorf("%s: the answer %s does not repeat the request's id", step.operation, body)
		}
		values["password"] = created.Values["password"]
	}
	if created.Values["role"] != "writer" {
		t.Errorf("created %v", created.Values)
	}
	kept, err := os.ReadFile(server.Dir + "/logins.json")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(kept), created.Values["password"]) {
		t.Error("the example keeps a password")
	}
}

// Whoever may only look has the service change nothing.
func TestReadOnly(t *testing.T) {
	settings, problems := webhook.Provider{}.Describe().ValidateConnection(server.Connection())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b, err := webhook.Provider{}.Open(settings, providers.Env{ClusterID: "c", Prefix: "brk_drill_", ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Check(t.Context()); err != nil {
		t.Error(err)
	}
	login := providers.Login{Name: "brk_drill_x", ExpiresAt: time.Now().Add(time.Hour)}
	if _, err := b.Create(t.Context(), providers.Grant{Login: login, Deadline: time.Now().Add(time.Minute)}); err == nil {
		t.Error("a login was made")
	}
	for what, answers := range map[string]map[providers.LoginName]error{
		"renew":          b.Renew(t.Context(), []providers.Login{login}),
		"revoke":         b.Revoke(t.Context(), []providers.Login{login}),
		"confirm absent": b.ConfirmAbsent(t.Context(), []providers.Login{login}, time.Now().Add(-time.Minute)),
	} {
		if err, answered := answers[login.Name]; err == nil || !answered {
			t.Errorf("%s: answered %v, %v, want a refusal", what, answered, err)
		}
	}
}
