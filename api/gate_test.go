package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/access"
	"broker/api"
	"broker/api/apitest"
	"broker/broker"
)

// rules is an Authorizer that a test makes up.
type rules func(access.Request) access.Decision

func (r rules) Decide(q access.Request) (access.Decision, error) { return r(q), nil }

func (rules) Reach(api.Identity, api.Action) (access.Reach, error) { return access.Somewhere, nil }

func allowed(yes bool) access.Decision { return access.Decision{Allowed: yes} }

// What limits the decision of the gate sets hold for the lease, also when it is renewed.
func TestDecisionLimitsTheLease(t *testing.T) {
	var asked []time.Duration
	kit := apitest.Start(t, func(c *api.Config) {
		c.Authorizer = rules(func(r access.Request) access.Decision {
			if r.Action == "lease:issue" {
				asked = append(asked, r.TTL)
			}
			return access.Decision{Allowed: true, MaxTTL: 5 * time.Minute}
		})
	})
	url := furnish(t, kit)
	lease := expect(t, 201, url, "POST", issuePath, "").at("lease").(map[string]any)
	created, expires, latest := parsed(t, lease["created_at"]), parsed(t, lease["expires_at"]), parsed(t, lease["max_expires_at"])
	if expires.Sub(created) != 5*time.Minute || latest != expires {
		t.Errorf("made %s, ends %s, %s at the latest: want the default cut to five minutes", created, expires, latest)
	}
	if got := ask(t, url, "POST", issuePath, `{"ttl":"6m"}`); got.status != 422 || got.code() != "lease_ttl_exceeds_max" {
		t.Errorf("more than the decision allows: %d %s", got.status, got.text)
	}
	if got := ask(t, url, "POST", "/api/v1/leases/"+lease["id"].(string)+"/renew", `{"ttl":"1m"}`); got.status != 422 {
		t.Errorf("renewed beyond it: %d %s", got.status, got.text)
	}
	if want := []time.Duration{10 * time.Minute, 6 * time.Minute}; !slices.Equal(asked, want) {
		t.Errorf("the decision was asked for leases of %v, want %v", asked, want)
	}
}

func parsed(t *testing.T, text any) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text.(string))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// What the caller may not see is in no list, and what has an id is not there for him at all.
func TestForeignThings(t *testing.T) {
	var foreign func(api.Resource) bool
	kit := apitest.Start(t, func(c *api.Config) {
		c.Authorizer = rules(func(r access.Request) access.Decision { return allowed(foreign == nil || !foreign(r.On)) })
	})
	url := furnish(t, kit)
	expect(t, 201, url, "POST", "/api/v1/environments", `{"name":"other/production"}`)
	expect(t, 201, url, "POST", "/api/v1/locks", `{"scope":{"environment":"payments/production","label":"a=b"},"reason":"x"}`)
	id := issue(t, url, "{}")
	lock := expect(t, 200, url, "GET", "/api/v1/locks", "").at("items").([]any)[0].(map[string]any)["id"].(string)
	op := expect(t, 202, url, "POST", "/api/v1/leases/revoke", `{"selector":{"environment":["payments/*"],"label":["no=such"]}}`).at("id").(string)

	foreign = func(on api.Resource) bool {
		return strings.HasPrefix(string(on.Environment), "payments/") || on.Environment == "" && on.Kind == access.KindEvent
	}
	for path, want := range map[string]int{"/environments": 1, "/secrets": 0, "/leases": 0, "/locks": 0, "/operations": 0} {
		if items := expect(t, 200, url, "GET", "/api/v1"+path, "").at("items").([]any); len(items) != want {
			t.Errorf("%s shows %d, want %d", path, len(items), want)
		}
	}
	for _, one := range expect(t, 200, url, "GET", "/api/v1/events?limit=1000", "").at("items").([]any) {
		if subject := one.(map[string]any)["subject"]; subject != "other/production" {
			t.Errorf("history shows %v", one)
		}
	}
	for _, row := range [][3]string{
		{"GET", "/leases/" + id, ""},
		{"GET", "/leases/" + id + "/events", ""},
		{"POST", "/leases/" + id + "/renew", `{"ttl":"1m"}`},
		{"POST", "/leases/" + id + "/revoke", ""},
		{"POST", "/leases/" + id + "/retry", ""},
		{"POST", "/leases/" + id + "/forget", `{"reason":"x"}`},
		{"GET", "/locks/" + lock, ""},
		{"DELETE", "/locks/" + lock, ""},
		{"GET", "/operations/" + op, ""},
		{"POST", "/operations/" + op + "/cancel", ""},
	} {
		got := ask(t, url, row[0], "/api/v1"+row[1], row[2])
		none := ask(t, url, row[0], "/api/v1"+strings.NewReplacer(id, "01NONE", lock, "01NONE", op, "01NONE").Replace(row[1]), row[2])
		if got.status != 404 || strings.ReplaceAll(got.at("detail").(string), got.named(), "") != strings.ReplaceAll(none.at("detail").(string), none.named(), "") {
			t.Errorf("%s %s: %s, and for what there is not: %s", row[0], row[1], got.text, none.text)
		}
	}
	for _, row := range [][3]string{
		{"GET", "/environments/payments/production", ""},
		{"GET", "/environments/payments/none", ""},
		{"POST", "/environments/payments/production/secrets/orders-ro/leases", ""},
		{"POST", "/leases/revoke", `{"selector":{"environment":["payments/production"]}}`},
		{"POST", "/leases/revoke", `{"selector":{"environment":["*"]}}`},
		{"POST", "/leases/revoke", `{"selector":{"account":"admin"}}`},
		{"POST", "/leases/revoke", `{"all":true}`},
		{"POST", "/locks", `{"scope":{"environment":"*"},"reason":"x"}`},
		{"POST", "/locks", `{"scope":{"account":"admin"},"reason":"x"}`},
	} {
		if got := ask(t, url, row[0], "/api/v1"+row[1], row[2]); got.status != 403 {
			t.Errorf("%s %s %s: %d %s", row[0], row[1], row[2], got.status, got.text)
		}
	}
	foreign = nil
	if state := expect(t, 200, url, "GET", "/api/v1/leases/"+id, "").at("state"); state != "active" {
		t.Errorf("the lease is %v", state)
	}
}

// named is what a problem quotes.
func (a answer) named() string {
	detail, _ := a.at("detail").(string)
	_, rest, _ := strings.Cut(detail, `"`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}

// Making a secret needs the use of its connection, and statements of one's own another permission.
func TestSecretsNeedTheirConnection(t *testing.T) {
	var denied api.Action
	kit := apitest.Start(t, func(c *api.Config) {
		c.Authorizer = rules(func(r access.Request) access.Decision { return allowed(r.Action != denied) })
	})
	url := furnish(t, kit)
	denied = "connection:use"
	if got := ask(t, url, "POST", secretsPath, `{"name":"other","connection":"orders-db"}`); got.status != 403 || got.at("action") != "connection:use" {
		t.Errorf("without the use of the connection: %s", got.text)
	}
	denied = "lease:revoke"
	issue(t, url, "{}")
	for _, path := range []string{secretsPath + "/orders-ro", "/api/v1/environments/payments/production", "/api/v1/connections/orders-db"} {
		if got := ask(t, url, "DELETE", path+"?revoke_leases=true", ""); got.status != 403 || got.at("action") != "lease:revoke" {
			t.Errorf("deleting %s with the leases of others: %s", path, got.text)
		}
	}
}

// A request is judged by the state that it reads: a token that was deleted while the request waited for a newer state is
// good no more.
func TestIdentifiedByTheStateThatIsRead(t *testing.T) {
	var gone bool
	kit := apitest.Start(t, func(c *api.Config) {
		c.Authenticator = authenticator{c.Authenticator, func() error {
			if gone {
				return api.ErrUnauthenticated
			}
			return nil
		}}
	})
	url, cluster := kit.Follower(t, "n2", nil)
	cluster.WhileWaiting(func() {
		gone = true
		_, err := kit.Broker.CreateEnvironment(context.Background(), broker.Request{}, broker.EnvironmentSpec{Name: "a/b"})
		if err != nil {
			t.Error(err)
		}
	})
	if got := ask(t, url, "GET", "/api/v1/environments", ""); got.status != 401 {
		t.Errorf("%d %s", got.status, got.text)
	}
}

// The same idempotency key is another one for another account: nobody gets what somebody else's request brought.
func TestKeysAreOfTheirAccount(t *testing.T) {
	kit := apitest.Start(t, func(c *api.Config) { c.Authenticator = anyone{} })
	as := func(account string) []string {
		return []string{"Authorization", "Bearer " + account, "Idempotency-Key", "the-same"}
	}
	admin := []string{"Authorization", "Bearer admin"}
	expect(t, 201, kit.URL, "POST", "/api/v1/environments", `{"name":"payments/production"}`, admin...)
	expect(t, 201, kit.URL, "POST", "/api/v1/connections", `{"name":"orders-db","provider":"fake","environments":["*"],"settings":{"password":"`+apitest.RootPassword+`"}}`, admin...)
	expect(t, 201, kit.URL, "POST", secretsPath, `{"name":"orders-ro","connection":"orders-db"}`, admin...)
	answers := map[string]answer{}
	for _, account := range []string{"alice", "bob"} {
		expect(t, 201, kit.URL, "POST", "/api/v1/accounts", `{"name":"`+account+`","kind":"user"}`, admin...)
		answers[account] = expect(t, 201, kit.URL, "POST", issuePath, `{}`, as(account)...)
	}
	if answers["alice"].at("lease", "id") == answers["bob"].at("lease", "id") || answers["bob"].at("lease", "account") != "bob" {
		t.Errorf("bob got %s", answers["bob"].text)
	}
	if again := expect(t, 201, kit.URL, "POST", issuePath, `{}`, as("alice")...); again.at("lease", "id") != answers["alice"].at("lease", "id") {
		t.Errorf("alice asked twice and got another lease: %s", again.text)
	}
}

// journalist is a Recorder that a test looks into.
type journalist struct {
	mu       sync.Mutex
	lines    []string
	failing  error
	onServed func()
}

func (j *journalist) Request(_ context.Context, r access.RequestRecord) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failing != nil {
		return j.failing
	}
	verdict := "allowed"
	if !r.Allowed && r.Stage == access.StageServed {
		verdict = "denied"
	}
	j.lines = append(j.lines, strings.Join([]string{"request", string(r.Stage), string(r.Account), string(r.Action), r.On.String(), verdict}, " "))
	if j.onServed != nil && r.Stage == access.StageServed {
		j.onServed()
	}
	return nil
}

func (j *journalist) Outcome(_ context.Context, r access.OutcomeRecord) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, strings.Join([]string{"outcome", string(r.Stage), r.Code}, " "))
}

func (*journalist) Call(context.Context, access.CallRecord) {}

func (j *journalist) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

// Every request is recorded before it is acted on, where it is passed on and where it is served; what cannot be
// recorded is not done.
func TestRequestsAreRecorded(t *testing.T) {
	var deny bool
	var spared string // a lease that nobody may touch
	there, here := &journalist{}, &journalist{}
	kit := apitest.Start(t, func(c *api.Config) {
		c.Audit = there
		c.Authorizer = rules(func(r access.Request) access.Decision {
			return allowed(!deny && (spared == "" || r.On.Name != spared))
		})
	})
	furnish(t, kit)
	url, _ := kit.Follower(t, "n2", func(c *api.Config) { c.Audit = here })
	there.take()

	there.onServed = func() {
		if n := len(kit.Fake.Logins()); n != 0 {
			t.Errorf("%d logins were made before the request was recorded", n)
		}
	}
	issue(t, url, "{}")
	there.onServed = nil
	same := func(what string, j *journalist, want ...string) {
		t.Helper()
		if got := j.take(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	same("at the leader", there, "request served admin lease:issue payments/production/orders-ro allowed", "outcome served ")
	same("where it was taken", here, "request forwarded admin   allowed", "outcome forwarded ")

	deny = true
	ask(t, url, "POST", issuePath, "{}")
	same("denied", there, "request served admin lease:issue payments/production/orders-ro denied", "outcome served forbidden")
	deny = false
	one, other := issue(t, url, "{}"), issue(t, url, "{}")
	spared = other
	there.take()
	ask(t, kit.URL, "POST", "/api/v1/leases/revoke", `{"selector": {"id": ["`+one+`", "`+other+`"]}}`)
	same("denied for one of several", there, "request served admin lease:revoke lease/"+other+" denied", "outcome served not_found")
	spared = ""
	here.take()
	ask(t, url, "GET", "/api/v1/secrets", "", "Authorization", "")
	same("nobody", here, "outcome refused unauthenticated")
	ask(t, url, "GET", "/api/v1/secrets", "")
	same("read", here, "request served admin secret:list secret allowed", "outcome served ")

	made := len(kit.Fake.Logins())
	here.failing = errors.New("no space")
	for _, row := range [][2]string{{"POST", issuePath}, {"GET", "/api/v1/secrets"}} {
		if got := ask(t, url, row[0], row[1], ""); got.status != 503 || got.code() != "audit_unavailable" {
			t.Errorf("%s %s while nothing can be recorded where it is taken: %d %s", row[0], row[1], got.status, got.text)
		}
	}
	here.failing, there.failing = nil, errors.New("no space")
	if got := ask(t, url, "POST", issuePath, ""); got.status != 503 || got.code() != "audit_unavailable" {
		t.Errorf("while the leader cannot record: %d %s", got.status, got.text)
	}
	if n := len(kit.Fake.Logins()); n != made {
		t.Errorf("%d logins were made without a record", n-made)
	}
	there.failing = nil
	if id := issue(t, url, ""); id == "" {
		t.Error("it does not go on")
	}
}

// A client that goes away before its request was recorded is no failure of the audit log.
func TestGoneBeforeRecorded(t *testing.T) {
	var log bytes.Buffer
	there := &journalist{failing: fmt.Errorf("waiting for the audit log: %w", context.Canceled)}
	kit := apitest.Start(t, func(c *api.Config) {
		c.Audit, c.Logger = there, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	r := httptest.NewRequest("GET", "/api/v1/secrets", nil)
	r.Header.Set("Authorization", "Bearer "+apitest.Token)
	w := httptest.NewRecorder()
	kit.Server.ServeHTTP(w, r)
	if strings.Contains(w.Body.String(), "audit_unavailable") || !strings.Contains(w.Body.String(), `"timeout"`) {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
	if said := log.String(); strings.Contains(said, "level=ERROR") || !strings.Contains(said, "gone away") {
		t.Errorf("log:\n%s", said)
	}
}

// A node that has heard of no leader for long tells only how it sees the cluster.
func TestKnowledgeOfTokensGetsOld(t *testing.T) {
	kit := apitest.Start(t, nil)
	furnish(t, kit)
	url, cluster := kit.Follower(t, "n2", func(c *api.Config) { c.TokenStaleness = time.Minute })
	cluster.SetLeader("")
	for age, want := range map[time.Duration]int{59 * time.Second: 200, 61 * time.Second: 503} {
		cluster.SetStaleness(age)
		if got := ask(t, url, "GET", "/api/v1/secrets?consistency=stale", ""); got.status != want {
			t.Errorf("after %s: %d %s", age, got.status, got.text)
		}
		expect(t, 200, url, "GET", "/api/v1/cluster", "")
	}
}

// A route whose action nobody knows stops the start; so none is without a permission.
func TestEveryRouteHasAPermission(t *testing.T) {
	kit := apitest.Start(t, nil)
	for _, one := range kit.Server.Routes() {
		if _, known := access.Actions[one.Action]; !known && !one.Public {
			t.Errorf("%s needs %q, which is no action", one.ID, one.Action)
		}
	}
}
