package api_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"broker/access"
	"broker/api"
	"broker/api/apitest"
	"broker/broker"
	"broker/fsm"
	"broker/providers/providertest"
)

func quick(c *api.Config) { c.LeaderTimeout = 50 * time.Millisecond }

func TestFollowerForwardsWrites(t *testing.T) {
	kit := apitest.Start(t, nil)
	furnish(t, kit)
	url, _ := kit.Follower(t, "n2", nil)
	issued := expect(t, 201, url, "POST", issuePath, `{}`, "User-Agent", "tester/1", "Broker-Forwarded-For", "6.6.6.6", "Broker-Forwarded-Node", "evil")
	if node := issued.header.Get("Broker-Node"); node != "n1" {
		t.Errorf("Broker-Node is %q, want the node that did it", node)
	}
	id, _ := issued.at("lease", "id").(string)
	index := issued.header.Get("Broker-Index")
	read := expect(t, 200, url, "GET", "/api/v1/leases/"+id+"/events", "", "Broker-Min-Index", index)
	if read.header.Get("Broker-Consistency") != "session" || read.header.Get("Broker-Node") != "n2" {
		t.Errorf("the session read: %v", read.header)
	}
	first := read.json["items"].([]any)[0].(map[string]any)
	if first["node"] != "n2" || first["address"] != "127.0.0.1" || first["actor"] != "admin" || first["user_agent"] != "tester/1" {
		t.Errorf("history tells of the request: %v", first)
	}
	// A refusal travels back unchanged.
	if got := ask(t, url, "POST", issuePath, `{"ttl":"2h"}`); got.status != 422 || got.code() != "lease_ttl_exceeds_max" {
		t.Errorf("a refused request through a follower: %d %s", got.status, got.text)
	}
}

func TestFollowerWithoutLeader(t *testing.T) {
	kit := apitest.Start(t, nil)
	furnish(t, kit)
	url, cluster := kit.Follower(t, "n2", quick)
	cluster.SetLeader("")
	cluster.Transport = nil
	cluster.SetStaleness(7 * time.Second)
	for _, row := range []struct{ method, path, body string }{
		{"POST", issuePath, `{}`},
		{"DELETE", secretsPath + "/orders-ro", ""},
		{"GET", "/api/v1/leases", ""},
	} {
		got := ask(t, url, row.method, row.path, row.body)
		if got.status != 503 || got.code() != "no_leader" || got.header.Get("Retry-After") == "" {
			t.Errorf("%s %s: %d %v %s", row.method, row.path, got.status, got.header, got.text)
		}
	}
	stale := expect(t, 200, url, "GET", secretsPath+"?consistency=stale", "")
	if stale.header.Get("Broker-Staleness-Ms") != "7000" || stale.header.Get("Broker-Consistency") != "stale" || stale.header.Get("Broker-Index") == "" {
		t.Errorf("the stale read: %v", stale.header)
	}
	if got := ask(t, url, "GET", secretsPath+"?consistency=stale&max_stale=5s", ""); got.status != 503 || got.code() != "too_stale" {
		t.Errorf("a read that is too stale: %d %s", got.status, got.text)
	}
	expect(t, 200, url, "GET", secretsPath+"?max_stale=10s", "")
	expect(t, 200, url, "GET", "/api/v1/cluster", "")
	unknown, err := access.NewToken(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, url, "GET", "/api/v1/leases", "", "Authorization", "Bearer "+unknown); got.status != 503 {
		t.Errorf("a token this node cannot judge: %d %s", got.status, got.text)
	}
	if got := ask(t, url, "GET", "/api/v1/leases", "", "Authorization", "Bearer brk_mistyped"); got.status != 401 {
		t.Errorf("a token that nobody can have: %d %s", got.status, got.text)
	}
	cluster.SetLeader("n1")
	if got := ask(t, url, "GET", "/api/v1/leases", "", "Authorization", "Bearer "+unknown); got.status != 401 {
		t.Errorf("an unknown token at a follower: %d %s", got.status, got.text)
	}
	cluster.SetLeader("")
	if got := ask(t, url, "GET", "/api/v1/leases", "", "Broker-Min-Index", "99999999"); got.status != 503 || got.code() != "too_stale" {
		t.Errorf("a session read of the future: %d %s", got.status, got.text)
	}
}

// A forwarded request is one hop: a node that leads no more sends it back.
func TestForwardedRequestsAreNotForwardedAgain(t *testing.T) {
	kit := apitest.Start(t, nil)
	furnish(t, kit)
	kit.Cluster.SetLeader("n3")
	var asked atomic.Int32
	url, cluster := kit.Follower(t, "n2", nil)
	back := apitest.Forward(kit.Server.Forwarded())
	cluster.Transport = apitest.RoundTrip(func(r *http.Request) (*http.Response, error) {
		if asked.Add(1) == 3 {
			kit.Cluster.SetLeader("n1")
		}
		return back.RoundTrip(r)
	})
	expect(t, 201, url, "POST", issuePath, `{}`)
	if asked.Load() != 3 {
		t.Errorf("the leader was asked %d times, want 3", asked.Load())
	}
}

// A node that leads no more when it is about to carry a forwarded request out sends it back too.
func TestForwardedRequestMeetsTheEndOfALeader(t *testing.T) {
	kit := apitest.Start(t, nil)
	furnish(t, kit)
	var asked atomic.Int32
	url, cluster := kit.Follower(t, "n2", nil)
	back := apitest.Forward(kit.Server.Forwarded())
	cluster.Transport = apitest.RoundTrip(func(r *http.Request) (*http.Response, error) {
		if asked.Add(1) == 1 {
			kit.Cluster.LoseLeadership()
		} else {
			kit.Cluster.SetLeader("n1")
		}
		return back.RoundTrip(r)
	})
	expect(t, 201, url, "POST", issuePath, `{}`)
	if asked.Load() != 2 {
		t.Errorf("the leader was asked %d times, want 2", asked.Load())
	}
}

// Rule: repeated only when it certainly did nothing or carries an idempotency key.
func TestForwardingAgain(t *testing.T) {
	lost := errors.New("connection reset")
	for _, row := range []struct {
		name   string
		before error // of the first try, in place of asking the leader
		after  error // of the first try, when the leader has answered
		key    string
		status int
		code   string
		logins int
		tries  int32
	}{
		{"not sent", apitest.NotSent{}, nil, "", 201, "", 1, 2},
		{"lost on the way", lost, nil, "", 503, "outcome_unknown", 0, 1},
		{"lost on the way, with a key", lost, nil, "k", 201, "", 1, 2},
		{"answer lost", nil, lost, "", 503, "outcome_unknown", 1, 1},
		{"answer lost, with a key", nil, lost, "k", 201, "", 1, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			kit := apitest.Start(t, nil)
			furnish(t, kit)
			url, cluster := kit.Follower(t, "n2", nil)
			back := apitest.Forward(kit.Server.Forwarded())
			var tries atomic.Int32
			cluster.Transport = apitest.RoundTrip(func(r *http.Request) (*http.Response, error) {
				first := tries.Add(1) == 1
				if first && row.before != nil {
					return nil, row.before
				}
				response, err := back.RoundTrip(r)
				if first && row.after != nil {
					return nil, row.after
				}
				return response, err
			})
			got := ask(t, url, "POST", issuePath, `{}`, "Idempotency-Key", row.key)
			if got.status != row.status || got.code() != row.code || tries.Load() != row.tries {
				t.Errorf("got %d %q after %d tries, want %d %q after %d: %s", got.status, got.code(), tries.Load(), row.status, row.code, row.tries, got.text)
			}
			if made := len(kit.Fake.Calls(providertest.OpCreate)); made != row.logins {
				t.Errorf("%d logins were made, want %d", made, row.logins)
			}
		})
	}
}

// stumbling is a broker that answers the first Issue with an error.
type stumbling struct {
	api.Broker
	err   error
	tries atomic.Int32
}

func (s *stumbling) Issue(ctx context.Context, r broker.Request, spec broker.IssueSpec) (broker.Issued, error) {
	if s.tries.Add(1) == 1 {
		return broker.Issued{}, s.err
	}
	return s.Broker.Issue(ctx, r, spec)
}

func TestLeaderThatStumbles(t *testing.T) {
	for _, row := range []struct {
		name   string
		err    error
		status int
		code   string
		tries  int32
	}{
		{"leads no more", fmt.Errorf("preparing: %w", broker.ErrNotLeader), 201, "", 2},
		{"outcome unknown", fmt.Errorf("preparing: %w", broker.ErrOutcomeUnknown), 503, "outcome_unknown", 1},
		{"unavailable", &broker.UnavailableError{Connection: "orders-db", Lease: "01X", RetryAfter: 3 * time.Second, Err: errors.New("refused")}, 503, "connection_unavailable", 1},
		{"refusal", (&fsm.Refusal{Code: fsm.CodeTTLExceedsMax, Message: "too long"}).With("renewable_ttl", "5"), 422, "lease_ttl_exceeds_max", 1},
		{"time over", context.DeadlineExceeded, 503, "timeout", 1},
		{"a bug", errors.New("canary"), 500, "internal_error", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			broken := &stumbling{err: row.err}
			kit := apitest.Start(t, func(c *api.Config) { broken.Broker, c.Broker = c.Broker, broken })
			furnish(t, kit)
			got := ask(t, kit.URL, "POST", issuePath, `{}`)
			if got.status != row.status || got.code() != row.code || broken.tries.Load() != row.tries {
				t.Errorf("got %d %q after %d tries, want %d %q after %d: %s", got.status, got.code(), broken.tries.Load(), row.status, row.code, row.tries, got.text)
			}
			if strings.Contains(got.text, "canary") {
				t.Errorf("the answer tells the cause of an internal error: %s", got.text)
			}
			if row.code == "connection_unavailable" && (got.header.Get("Retry-After") != "3" || got.json["lease_id"] != "01X") {
				t.Errorf("the answer is %v %s", got.header, got.text)
			}
		})
	}
}

// panicking is a broker with a bug.
type panicking struct{ api.Broker }

func (panicking) Issue(context.Context, broker.Request, broker.IssueSpec) (broker.Issued, error) {
	panic("canary")
}

// denying is an Authorizer that lets nobody issue.
type denying struct {
	api.AllowAll
	asked chan api.Resource
}

func (d denying) Decide(r access.Request) (access.Decision, error) {
	if r.Action != "lease:issue" {
		return access.Decision{Allowed: true}, nil
	}
	d.asked <- r.On
	return access.Decision{}, nil
}

func TestPanicIsAnAnswer(t *testing.T) {
	kit := apitest.Start(t, func(c *api.Config) { c.Broker = panicking{c.Broker} })
	furnish(t, kit)
	got := ask(t, kit.URL, "POST", issuePath, `{}`)
	if got.status != 500 || got.code() != "internal_error" || strings.Contains(got.text, "canary") || strings.Contains(got.text, "goroutine") {
		t.Errorf("%d %s", got.status, got.text)
	}
}

func TestAuthorizerIsAsked(t *testing.T) {
	denied := denying{asked: make(chan api.Resource, 1)}
	kit := apitest.Start(t, func(c *api.Config) { c.Authorizer = denied })
	furnish(t, kit)
	got := ask(t, kit.URL, "POST", issuePath, `{}`)
	if got.status != 403 || got.code() != "forbidden" || len(kit.Fake.Logins()) != 0 {
		t.Errorf("%d %s", got.status, got.text)
	}
	want := api.Resource{Kind: access.KindSecret, Environment: "payments/production", Secret: "orders-ro", Connection: "orders-db"}
	if on := <-denied.asked; on != want {
		t.Errorf("asked about %v, want %v", on, want)
	}
}
