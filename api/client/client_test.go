package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/api/apitest"
	"broker/api/client"
	"broker/api/types"
)

const token = "brk_secret_token"

// node is a server that answers with one script entry per request, the last one for ever.
type node struct {
	*httptest.Server
	mu   sync.Mutex
	seen []*http.Request
	keys []string
}

type reply func(w http.ResponseWriter, r *http.Request)

func start(t *testing.T, script ...reply) *node {
	t.Helper()
	n := &node{}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		step := script[min(len(n.seen), len(script)-1)]
		n.seen = append(n.seen, r)
		n.keys = append(n.keys, r.Header.Get("Idempotency-Key"))
		n.mu.Unlock()
		step(w, r)
	}))
	t.Cleanup(n.Close)
	return n
}

func (n *node) requests() ([]*http.Request, []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*http.Request(nil), n.seen...), append([]string(nil), n.keys...)
}

func refuse(status int, code string) reply {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", types.ProblemContentType)
		if status == 503 {
			w.Header().Set("Retry-After", "0")
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(&types.Problem{Status: status, Code: code, Detail: "about " + code, Extra: map[string]any{"renewable_ttl": 5}})
	}
}

func succeed(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set(types.HeaderIndex, "42")
	fmt.Fprint(w, `{"id":"01X","state":"active"}`)
}

func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// deadAddress returns an address at which nobody listens.
func deadAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func connect(t *testing.T, timeout time.Duration, addresses ...string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Addresses: addresses, Token: token, RetryPause: time.Millisecond, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestRetries(t *testing.T) {
	ctx := context.Background()
	renew := func(c *client.Client) error {
		_, err := c.RenewLease(ctx, "01X", types.RenewSpec{Until: types.UntilMax})
		return err
	}
	get := func(c *client.Client) error { _, err := c.GetLease(ctx, "01X"); return err }
	remove := func(c *client.Client) error { return c.DeleteConnection(ctx, "x") }
	for _, row := range []struct {
		name   string
		script []reply
		call   func(*client.Client) error
		code   string // of the problem that comes back; empty: success
		tries  int
	}{
		{"no leader for a while", []reply{refuse(503, "no_leader"), refuse(503, "no_leader"), succeed}, renew, "", 3},
		{"delete while there is no leader", []reply{refuse(503, "no_leader"), succeed}, remove, "", 2},
		{"asked too often", []reply{refuse(429, "too_many_requests"), succeed}, remove, "", 2},
		{"answer lost", []reply{hangUp, succeed}, renew, "", 2},
		{"read lost", []reply{hangUp, succeed}, get, "", 2},
		{"outcome unknown", []reply{refuse(503, "outcome_unknown"), succeed}, renew, "", 2},
		{"outcome of a delete unknown", []reply{refuse(503, "outcome_unknown"), succeed}, remove, "outcome_unknown", 1},
		{"another try with the key is under way", []reply{refuse(409, "idempotency_key_in_progress"), succeed}, renew, "", 2},
		{"a refusal is final", []reply{refuse(422, "lease_ttl_exceeds_max"), succeed}, renew, "lease_ttl_exceeds_max", 1},
		{"the outside system is down", []reply{refuse(503, "connection_unavailable"), succeed}, renew, "connection_unavailable", 1},
		{"a proxy in between", []reply{func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, succeed}, renew, "", 2},
		{"not a broker", []reply{func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); fmt.Fprint(w, token) }}, get, "not_a_broker", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := start(t, row.script...)
			err := row.call(connect(t, 5*time.Second, n.URL))
			if client.Code(err) != row.code || (err == nil) != (row.code == "") {
				t.Errorf("got %v, want code %q", err, row.code)
			}
			seen, keys := n.requests()
			if len(seen) != row.tries {
				t.Errorf("%d tries, want %d", len(seen), row.tries)
			}
			for _, key := range keys {
				if key != keys[0] || (key == "") != (seen[0].Method != "POST") {
					t.Errorf("the keys are %q", keys)
				}
			}
			if err != nil && strings.Contains(err.Error(), token) {
				t.Errorf("the error holds the token: %v", err)
			}
		})
	}
}

func TestDeleteWithoutAnswerIsNotRepeated(t *testing.T) {
	n := start(t, hangUp, succeed)
	err := connect(t, 5*time.Second, n.URL).DeleteConnection(context.Background(), "x")
	if !errors.Is(err, client.ErrOutcomeUnknown) {
		t.Errorf("got %v", err)
	}
	if seen, _ := n.requests(); len(seen) != 1 {
		t.Errorf("%d tries, want 1", len(seen))
	}
}

func TestNextAddress(t *testing.T) {
	n := start(t, succeed)
	c := connect(t, 5*time.Second, deadAddress(t), n.URL)
	if err := c.DeleteConnection(context.Background(), "x"); err != nil {
		t.Fatal(err)
	}
	if c.Index() != 42 {
		t.Errorf("index is %d, want 42", c.Index())
	}
}

func TestAddressThatAnswersIsPreferred(t *testing.T) {
	first, second := start(t, refuse(503, "no_leader")), start(t, succeed)
	c := connect(t, 5*time.Second, first.URL, second.URL)
	for range 3 {
		if _, err := c.GetLease(context.Background(), "01X"); err != nil {
			t.Fatal(err)
		}
	}
	if seen, _ := first.requests(); len(seen) != 1 {
		t.Errorf("the address without a leader was tried %d times, want once", len(seen))
	}
}

func TestNobodyThere(t *testing.T) {
	dead := deadAddress(t)
	_, err := connect(t, 30*time.Millisecond, dead, dead).GetLease(context.Background(), "01X")
	var unreachable *client.UnreachableError
	if !errors.As(err, &unreachable) || len(unreachable.Failures) != 2 || !strings.Contains(err.Error(), dead) {
		t.Errorf("got %v", err)
	}
}

func TestNoLeaderToTheEnd(t *testing.T) {
	n := start(t, refuse(503, "no_leader"))
	_, err := connect(t, 30*time.Millisecond, n.URL).GetLease(context.Background(), "01X")
	if client.Code(err) != "no_leader" {
		t.Errorf("got %v", err)
	}
}

func TestHangingNodeLeavesTimeForOthers(t *testing.T) {
	hang := start(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	n := start(t, succeed)
	if _, err := connect(t, 400*time.Millisecond, hang.URL, n.URL).GetLease(context.Background(), "01X"); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	n := start(t, succeed)
	c := connect(t, 5*time.Second, n.URL)
	ctx := context.Background()
	calls := []func() error{
		func() error {
			_, err := c.GetLease(ctx, "01X", client.WithConsistency(types.Stale), client.MaxStale(5*time.Second))
			return err
		},
		func() error {
			_, err := c.GetLease(ctx, "01X", client.WithConsistency(types.Session))
			return err
		},
		func() error { return c.DeleteConnection(ctx, "x", client.IfVersion(7), client.DryRun()) },
		func() error {
			_, err := c.RenewLease(ctx, "a/b", types.RenewSpec{}, client.WithIdempotencyKey("mine"))
			return err
		},
	}
	for _, call := range calls {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
	seen, keys := n.requests()
	for i, want := range []string{
		"/api/v1/leases/01X?consistency=stale&max_stale=5s",
		"/api/v1/leases/01X?consistency=session",
		"/api/v1/connections/x?dry_run=true",
		"/api/v1/leases/a%2Fb/renew",
	} {
		if got := seen[i].URL.RequestURI(); got != want {
			t.Errorf("request %d went to %s, want %s", i, got, want)
		}
	}
	if seen[1].Header.Get("Broker-Min-Index") != "42" || seen[2].Header.Get("If-Match") != `"7"` || keys[3] != "mine" {
		t.Errorf("headers: %v %v %v", seen[1].Header, seen[2].Header, keys)
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:8420":             "http://127.0.0.1:8420",
		"localhost:8420":             "http://localhost:8420",
		"[::1]:8420":                 "http://[::1]:8420",
		"broker.example:8420":        "https://broker.example:8420",
		"https://broker.example/":    "https://broker.example",
		"http://127.0.0.1:1/x/":      "http://127.0.0.1:1/x",
		"http://broker.example":      "",
		"https://u:p@broker.example": "",
		"https://broker.example?a=b": "",
		"ftp://broker.example":       "",
		"broker.example":             "",
		"":                           "",
	} {
		got, err := client.NormalAddress(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q becomes %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestConfigPrintsNoToken(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		if got := fmt.Sprintf(verb, client.Config{Token: token}); strings.Contains(got, token) {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

// Every method against the real API.
func TestEveryRoute(t *testing.T) {
	kit := apitest.Start(t, nil)
	c, err := client.New(client.Config{Addresses: []string{kit.URL}, Token: apitest.Token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx := context.Background()
	const env, full = "payments/production", "payments/production/orders-ro"
	text, minute := "x", types.Duration(time.Minute)
	var lease types.Issued
	var binding types.RoleBinding
	for _, step := range []struct {
		name string
		call func() error
	}{
		{"CreateEnvironment", func() error {
			_, err := c.CreateEnvironment(ctx, types.EnvironmentSpec{Name: env})
			return err
		}},
		{"GetEnvironment", func() error { _, err := c.GetEnvironment(ctx, env); return err }},
		{"UpdateEnvironment", func() error {
			_, err := c.UpdateEnvironment(ctx, env, types.EnvironmentChange{Description: &text})
			return err
		}},
		{"ListEnvironments", func() error { _, err := c.ListEnvironments(ctx, client.ListOptions{Limit: 5}); return err }},
		{"CreateConnection", func() error {
			_, err := c.CreateConnection(ctx, types.ConnectionSpec{
				Name: "db", Provider: "fake", Environments: []string{"*"}, Settings: map[string]any{"password": apitest.RootPassword},
			})
			return err
		}},
		{"GetConnection", func() error { _, err := c.GetConnection(ctx, "db"); return err }},
		{"UpdateConnection", func() error {
			_, err := c.UpdateConnection(ctx, "db", types.ConnectionChange{Description: &text})
			return err
		}},
		{"ListConnections", func() error { _, err := c.ListConnections(ctx, client.ListOptions{}); return err }},
		{"CheckConnection", func() error { _, err := c.CheckConnection(ctx, "db"); return err }},
		{"RotateConnection", func() error { _, err := c.RotateConnection(ctx, "db", client.DryRun()); return err }},
		{"CreateSecret", func() error {
			_, err := c.CreateSecret(ctx, env, types.SecretSpec{Name: "orders-ro", Connection: "db", DefaultTTL: &minute})
			return err
		}},
		{"GetSecret", func() error { _, err := c.GetSecret(ctx, full); return err }},
		{"UpdateSecret", func() error {
			_, err := c.UpdateSecret(ctx, full, types.SecretChange{Description: &text})
			return err
		}},
		{"ListSecrets", func() error { _, err := c.ListSecrets(ctx, env, client.ListOptions{}); return err }},
		{"ListSecrets of all", func() error { _, err := c.ListSecrets(ctx, "", client.ListOptions{}); return err }},
		{"IssueLease", func() (err error) { lease, err = c.IssueLease(ctx, full, types.IssueSpec{TTL: &minute}); return err }},
		{"GetLease", func() error { _, err := c.GetLease(ctx, lease.Lease.ID); return err }},
		{"ListLeases", func() error {
			page, err := c.ListLeases(ctx, client.LeaseSelector{
				Environments: []string{"payments/*"}, Secret: full, Connection: "db", Account: "admin", Username: lease.Lease.Username,
				States: []string{"active"}, IssuedAfter: time.Now().Add(-time.Hour), ExpiresBefore: time.Now().Add(time.Hour), Sort: "created_at",
			}, client.ListOptions{})
			if err == nil && len(page.Items) != 1 {
				return fmt.Errorf("%d leases, want 1", len(page.Items))
			}
			return err
		}},
		{"RenewLease", func() error {
			_, err := c.RenewLease(ctx, lease.Lease.ID, types.RenewSpec{TTL: &minute})
			return err
		}},
		{"RevokeLease", func() error {
			_, err := c.RevokeLease(ctx, lease.Lease.ID, types.RevokeSpec{Reason: "done"})
			return err
		}},
		{"LeaseEvents", func() error { _, err := c.LeaseEvents(ctx, lease.Lease.ID); return err }},
		{"ListEvents", func() error {
			_, err := c.ListEvents(ctx, client.EventQuery{Last: 10}, client.ListOptions{})
			return err
		}},
		{"ListProviders", func() error { _, err := c.ListProviders(ctx); return err }},
		{"GetProvider", func() error { _, err := c.GetProvider(ctx, "fake"); return err }},
		{"GetCluster", func() error { _, err := c.GetCluster(ctx); return err }},
		{"GetClusterAt", func() error { _, err := c.GetClusterAt(ctx, kit.URL); return err }},
		{"ListRoles", func() error { _, err := c.ListRoles(ctx); return err }},
		{"GetRole", func() error { _, err := c.GetRole(ctx, "service"); return err }},
		{"CreateRoleBinding", func() (err error) {
			binding, err = c.CreateRoleBinding(ctx, types.RoleBindingSpec{Role: "admin", Account: "admin", Scope: env})
			return err
		}},
		{"GetRoleBinding", func() error { _, err := c.GetRoleBinding(ctx, binding.ID); return err }},
		{"ListRoleBindings", func() error {
			found, err := c.ListRoleBindings(ctx, client.BindingFilter{Role: "admin", Account: "admin", Scope: env}, client.ListOptions{})
			if err == nil && len(found.Items) != 1 {
				err = fmt.Errorf("%d bindings were chosen, not one", len(found.Items))
			}
			return err
		}},
		{"DeleteRoleBinding", func() error { return c.DeleteRoleBinding(ctx, binding.ID) }},
		{"CreatePolicy", func() error {
			_, err := c.CreatePolicy(ctx, types.PolicySpec{Name: "p", Text: `permit (principal, action == Action::"secret:get", resource);`})
			return err
		}},
		{"GetPolicy", func() error { _, err := c.GetPolicy(ctx, "p"); return err }},
		{"ListPolicies", func() error { _, err := c.ListPolicies(ctx, client.ListOptions{}); return err }},
		{"UpdatePolicy", func() error {
			_, err := c.UpdatePolicy(ctx, "p", types.PolicyChange{Description: &text})
			return err
		}},
		{"Explain", func() error {
			got, err := c.Explain(ctx, types.ExplainSpec{Account: "admin", Action: "lease:issue", Resource: full, TTL: &minute, Address: "10.0.0.1"})
			if err == nil && !got.Allowed {
				err = fmt.Errorf("not allowed: %v", got.Why)
			}
			return err
		}},
		{"WhoCan", func() error {
			_, err := c.WhoCan(ctx, types.WhoCanSpec{Action: "lease:issue", Resource: full})
			return err
		}},
		{"AccessReport", func() error { _, err := c.AccessReport(ctx, client.ListOptions{Limit: 1}); return err }},
		{"DeletePolicy", func() error { return c.DeletePolicy(ctx, "p") }},
		{"DeleteSecret", func() error { return c.DeleteSecret(ctx, full) }},
		{"DeleteConnection", func() error { return c.DeleteConnection(ctx, "db") }},
		{"DeleteEnvironment", func() error { return c.DeleteEnvironment(ctx, env) }},
	} {
		if err := step.call(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
	}
	if user, ok := lease.Values.Get("USERNAME"); !ok || user != lease.Lease.Username {
		t.Errorf("the values have the keys %v", lease.Values.Keys())
	}
	if c.Index() == 0 {
		t.Error("no index was seen")
	}
}

// A call asks whether to go on: after each round without an answer, and while a node keeps it waiting.
func TestOnWait(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent := listener.Addr().String()
	t.Run("refused", func(t *testing.T) {
		c, err := client.New(client.Config{Addresses: []string{"127.0.0.1:1"}})
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		ctx := client.OnWait(t.Context(), func(_ time.Duration, unanswered error) bool {
			asked++
			return asked < 3 || !client.Refused(unanswered)
		})
		begun := time.Now()
		_, err = c.GetEnvironment(ctx, "a/b")
		if !client.Refused(err) || asked != 3 || time.Since(begun) > 20*time.Second {
			t.Errorf("got %v, asked %d times", err, asked)
		}
		if want := "getting environment a/b: no node of the broker answered: http://127.0.0.1:1: connection refused"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	})
	t.Run("silent", func(t *testing.T) {
		defer listener.Close()
		c, err := client.New(client.Config{Addresses: []string{silent}})
		if err != nil {
			t.Fatal(err)
		}
		ctx := client.OnWait(t.Context(), func(waited time.Duration, unanswered error) bool { return waited < time.Second })
		begun := time.Now()
		_, err = c.GetEnvironment(ctx, "a/b")
		if err == nil || client.Refused(err) || time.Since(begun) > 20*time.Second {
			t.Errorf("got %v", err)
		}
	})
}

// Versions are indexes of the log, which have seven digits before long.
func TestPresentVersion(t *testing.T) {
	for body, want := range map[string]uint64{
		`{"status": 412, "code": "version_mismatch", "version": 12345678}`: 12345678,
		`{"status": 412, "code": "version_mismatch"}`:                      0,
		`{"status": 409, "code": "already_exists", "version": 3}`:          0,
	} {
		problem := &types.Problem{}
		if err := json.Unmarshal([]byte(body), problem); err != nil {
			t.Fatal(err)
		}
		if got := client.PresentVersion(fmt.Errorf("changing it: %w", problem)); got != want {
			t.Errorf("%s: %d", body, got)
		}
	}
}
