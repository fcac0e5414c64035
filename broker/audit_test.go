package broker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"broker/broker"
	"broker/providers/providertest"
)

// calls keeps what a Broker tells of its calls.
type calls struct {
	mu   sync.Mutex
	list []string
	all  []broker.CallRecord
}

type requestKey struct{}

func (c *calls) Called(ctx context.Context, r broker.CallRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, _ := ctx.Value(requestKey{}).(string)
	c.list = append(c.list, fmt.Sprintf("%s %s %s %d/%d %s term %d for %q", r.Call, r.Connection, r.Provider, len(r.Usernames), r.Logins, r.Outcome, r.Term, id))
	c.all = append(c.all, r)
}

func (c *calls) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.list
	c.list = nil
	slices.Sort(list)
	return list
}

// Every call of an outside system is recorded, with the request it serves, whose login it was about, and how it ended.
func TestCallsAreRecorded(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.depose()
		recorded := &calls{}
		h.b.Audit = recorded
		h.lead(2)
		recorded.take()
		want := func(what string, want ...string) {
			t.Helper()
			if got := recorded.take(); !slices.Equal(got, want) {
				t.Errorf("%s: recorded %q, want %q", what, got, want)
			}
		}
		asked := context.WithValue(t.Context(), requestKey{}, "R1")
		issued, err := h.b.Issue(asked, alice(), broker.IssueSpec{Secret: ordersRO, TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		want("issue", `create orders-db fake 1/1 ok term 2 for "R1"`)
		if got := recorded.all[len(recorded.all)-1].Usernames; len(got) != 1 || string(got[0]) != issued.Lease.Username {
			t.Errorf("usernames %q", got)
		}
		if _, err := h.b.Renew(asked, alice(), broker.RenewSpec{Lease: issued.Lease.ID, TTL: time.Minute}); err != nil {
			t.Error(err)
		}
		want("renew", `renew orders-db fake 1/1 ok term 2 for "R1"`)
		h.fake.FailTimes(providertest.OpCreate, providertest.FaultUnreachable, 1)
		if _, err := h.b.Issue(asked, alice(), broker.IssueSpec{Secret: ordersRO}); err == nil {
			t.Error("issued at a system that is down")
		}
		if got := recorded.take(); !slices.Contains(got, `create orders-db fake 1/1 unavailable term 2 for "R1"`) {
			t.Errorf("a create that fails: %q", got)
		}
		dry := alice()
		dry.DryRun = true
		if _, err := h.b.Issue(asked, dry, broker.IssueSpec{Secret: ordersRO}); err != nil {
			t.Error(err)
		}
		pass(time.Second)
		recorded.take()
		for range 60 {
			h.mustIssue(time.Minute)
		}
		recorded.take()
		pass(10 * time.Minute)
		revoked := 0
		recorded.mu.Lock()
		for _, one := range recorded.all {
			if one.Call == broker.CallRevoke {
				revoked += one.Logins
				if len(one.Usernames) > 50 || len(one.Usernames) < min(one.Logins, 50) {
					t.Errorf("%d of %d logins are named", len(one.Usernames), one.Logins)
				}
			}
		}
		recorded.mu.Unlock()
		if revoked < 61 {
			t.Errorf("%d logins were revoked as far as is recorded", revoked)
		}
	})
}
