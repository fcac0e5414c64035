package vault_test

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broker/api"
	"broker/api/apitest"
	"broker/providers/providertest"
)

// shifted is a clock that a test sets ahead.
type shifted struct{ ahead atomic.Int64 }

func (s *shifted) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

// A GET that mints is the same as the one just before it: by token, address, path and what it asks for.
func TestReplayWindow(t *testing.T) {
	clock := &shifted{}
	kit := apitest.Start(t, func(c *api.Config) { c.Now = clock.now })
	c := furnish(t, kit)
	get := func(c client, path string, headers ...string) string {
		t.Helper()
		return c.must(200, "GET", path, "", headers...).textAt("lease_id")
	}
	first := c.must(200, "GET", creds, "")
	id := first.textAt("lease_id")
	again := c.must(200, "GET", creds, "")
	if again.textAt("lease_id") != id || again.textAt("data", "password") != first.textAt("data", "password") || !again.warned("earlier request") {
		t.Errorf("asked again: %s", again.text)
	}
	if first.warned("earlier request") {
		t.Error("the first is told as repeated")
	}
	seen := map[string]bool{id: true}
	other := func(what, id string) {
		t.Helper()
		if seen[id] {
			t.Errorf("%s is answered with a lease that somebody has", what)
		}
		seen[id] = true
	}
	other("POST", c.must(200, "POST", creds, "").textAt("lease_id"))
	other("PUT", c.must(200, "PUT", creds, "{}").textAt("lease_id"))
	other("another ttl", get(c, creds+"?ttl=5m"))
	other("a key of one's own", get(c, creds, "Idempotency-Key", "mine"))
	if got := get(c, creds, "Idempotency-Key", "mine"); !seen[got] {
		t.Error("a key of one's own is not kept to")
	}
	token := c.must(200, "POST", "auth/token/create", "").textAt("auth", "client_token")
	other("another token", get(client{t, kit.URL, token}, creds))
	if got := get(c, creds); got != id {
		t.Error("what others ask for ends the window")
	}

	follower, _ := kit.Follower(t, "n2", func(c *api.Config) { c.Now = clock.now })
	if got := get(client{t, follower, apitest.Token}, creds); got != id {
		t.Error("another node mints another one")
	}

	c.must(200, "PUT", "sys/leases/renew/"+id, "")
	renewed := get(c, creds)
	other("a lease that was renewed", renewed)
	c.must(204, "PUT", "sys/leases/revoke/"+renewed, "")
	revoked := get(c, creds)
	other("a lease that was revoked", revoked)
	clock.ahead.Store(int64(14 * time.Second))
	if got := get(c, creds); got != revoked {
		t.Error("within the window it is another one")
	}
	clock.ahead.Store(int64(16 * time.Second))
	other("a lease of before the window", get(c, creds))
	clock.ahead.Store(int64(2 * time.Minute))
	other("a lease of long ago", get(c, creds))
}

// A lease that is nearly over is no answer to who asks for one now.
func TestReplayOfShortLeases(t *testing.T) {
	clock := &shifted{}
	kit := apitest.Start(t, func(c *api.Config) { c.Now = clock.now })
	c := furnish(t, kit)
	id := c.must(200, "GET", creds+"?ttl=20", "").textAt("lease_id")
	clock.ahead.Store(int64(11 * time.Second))
	if got := c.must(200, "GET", creds+"?ttl=20", "").textAt("lease_id"); got == id {
		t.Error("a lease of 20 s is told again after 11 s")
	}
}

// However many ask at once, and however the first try went, one login is made.
func TestReplayOfConcurrentRequests(t *testing.T) {
	kit := apitest.Start(t, nil)
	c := furnish(t, kit)
	follower, _ := kit.Follower(t, "n2", nil)
	ids := make([]string, 12)
	var all sync.WaitGroup
	for i := range ids {
		asking := c
		if i%2 == 1 {
			asking.url = follower
		}
		all.Go(func() { ids[i] = asking.do("GET", creds, "").textAt("lease_id") })
	}
	all.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("the leases are %v", ids)
		}
	}
	if n := len(kit.Fake.Logins()); n != 1 {
		t.Errorf("%d logins were made", n)
	}
	c.must(204, "PUT", "sys/leases/revoke/"+ids[0], "")

	kit.Fake.FailTimes(providertest.OpCreate, providertest.FaultLoseAnswer, 1)
	if got := c.do("GET", creds, ""); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Fatalf("the answer of the outside system was lost: %d %s", got.status, got.text)
	}
	retried := c.must(200, "GET", creds, "").textAt("lease_id")
	if got := c.must(200, "GET", creds, "").textAt("lease_id"); got != retried {
		t.Error("the repeated request mints twice")
	}
}

// Many leases by one token in a short while are found as fast as one.
func TestReplayAfterMany(t *testing.T) {
	kit := apitest.Start(t, nil)
	c := furnish(t, kit)
	for range 20 {
		id := c.must(200, "GET", creds, "").textAt("lease_id")
		c.must(204, "PUT", "sys/leases/revoke/"+id, "")
	}
	if n := leases(t, kit.URL); n != 20 {
		t.Errorf("%d leases of 20", n)
	}
}

// A follower whose leader is gone in the midst of a request asks the next one, and a client whose node is gone asks another
// one: neither mints twice.
func TestReplayAcrossNodes(t *testing.T) {
	kit := apitest.Start(t, nil)
	c := furnish(t, kit)
	url, cluster := kit.Follower(t, "n2", nil)
	carry := cluster.Transport
	var lost atomic.Int32
	cluster.Transport = apitest.RoundTrip(func(r *http.Request) (*http.Response, error) {
		answer, err := carry.RoundTrip(r)
		if lost.Add(1) == 1 && err == nil {
			return nil, errors.New("the leader has gone") // after it did what it was asked for
		}
		return answer, err
	})
	follower := client{t, url, apitest.Token}
	id := follower.must(200, "GET", creds, "").textAt("lease_id")
	if lost.Load() != 2 {
		t.Fatalf("the leader was asked %d times", lost.Load())
	}
	if got := c.must(200, "GET", creds, "").textAt("lease_id"); got != id || len(kit.Fake.Logins()) != 1 {
		t.Errorf("asked at another node: %s, not %s; %d logins", got, id, len(kit.Fake.Logins()))
	}
	// One more each time is never asked for twice by the broker itself.
	lost.Store(0)
	if got := follower.do("PUT", creds, ""); got.status != 503 || lost.Load() != 1 {
		t.Errorf("PUT without an answer: %d after %d tries: %s", got.status, lost.Load(), got.text)
	}
}
