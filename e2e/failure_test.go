package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
	"broker/providers/postgres/postgrestest"
)

// The leader is killed while clients issue through followers. A follower's client succeeds within
// seconds; afterwards every login belongs to a live lease and every live lease has its login; what was
// acknowledged is there.
func TestKillLeaderUnderLoad(t *testing.T) {
	h := newHouse(t)
	leader, followers := h.leader()
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var acknowledged []types.Issued
	var successAt []time.Time
	var load sync.WaitGroup
	for w := range 6 {
		c := h.client(followers[w%2], followers[(w+1)%2])
		load.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				ttl := types.Duration(10 * time.Minute)
				// The client repeats by itself with the same key; here the key is ours, so that a
				// repetition after its deadline is the same request too.
				key := fmt.Sprintf("load-%d-%d", w, i)
				for ctx.Err() == nil {
					issued, err := c.IssueLease(ctx, secretName, types.IssueSpec{TTL: &ttl}, client.WithIdempotencyKey(key))
					if err == nil {
						mu.Lock()
						acknowledged, successAt = append(acknowledged, issued), append(successAt, time.Now())
						mu.Unlock()
						break
					}
				}
			}
		})
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(acknowledged) }
	eventually(t, 30*time.Second, "a steady load", func() bool { return count() > 20 })
	before := time.Now()
	h.mustDevcluster("kill", fmt.Sprint(leader))
	killed := count()
	eventually(t, 5*time.Second, "an issue after the kill", func() bool { return count() > killed+2 })
	eventually(t, 20*time.Second, "a steady load again", func() bool { return count() > 60 })
	stop()
	load.Wait()
	gap := longestGap(successAt, before)
	t.Logf("nobody got a lease for %s", gap)
	if gap > 5*time.Second {
		t.Errorf("nobody got a lease for %s after the kill", gap)
	}
	h.mustDevcluster("start", fmt.Sprint(leader))

	c := h.client()
	eventually(t, 20*time.Second, "nothing pending or revoking", func() bool { return len(h.leases(c, "pending", "revoking")) == 0 })
	live := map[string]bool{}
	for _, l := range h.leases(c, "active") {
		live[l.Username] = true
	}
	logins := h.logins()
	for name := range logins {
		if !live[name] {
			t.Errorf("login %s belongs to no live lease", name)
		}
	}
	for name := range live {
		if !logins[name] {
			t.Errorf("an active lease has no login %s", name)
		}
	}
	seen := map[string]bool{}
	for _, a := range acknowledged {
		if !live[a.Lease.Username] {
			t.Errorf("lease %s was acknowledged and is not live", a.Lease.ID)
		}
		if seen[a.Lease.ID] {
			t.Errorf("lease %s was given to two requests", a.Lease.ID)
		}
		seen[a.Lease.ID] = true
	}
	if err := h.logIn(acknowledged[len(acknowledged)-1]); err != nil {
		t.Errorf("the newest credential does not log in: %v", err)
	}
	t.Logf("%d leases acknowledged, %d live", len(acknowledged), len(live))
}

// longestGap returns the longest time without a success, from a given instant on.
func longestGap(successAt []time.Time, from time.Time) (longest time.Duration) {
	last := from
	for _, at := range successAt {
		if at.After(from) {
			longest, last = max(longest, at.Sub(last)), at
		}
	}
	return longest
}

// One node alone still reads what it has, and says clearly that it can do no more.
func TestOneNodeAlone(t *testing.T) {
	h := newHouse(t)
	issued := h.mustIssue(h.client(), time.Hour)
	leader, followers := h.leader()
	must(t)(h.client(followers[0]).GetLease(t.Context(), issued.Lease.ID)) // it has everything
	h.mustDevcluster("kill", fmt.Sprint(leader))
	h.mustDevcluster("kill", fmt.Sprint(followers[1]))
	alone := h.client(followers[0])
	eventually(t, 10*time.Second, "a stale read", func() bool {
		got, err := alone.GetLease(t.Context(), issued.Lease.ID, client.WithConsistency(types.Stale))
		return err == nil && got.State == "active"
	})
	events, err := alone.LeaseEvents(t.Context(), issued.Lease.ID, client.WithConsistency(types.Stale))
	if err != nil || len(events.Items) != 2 {
		t.Errorf("history: %+v, %v", events, err)
	}
	status, err := alone.GetClusterAt(t.Context(), h.addrs[followers[0]-1])
	if err != nil || len(status.Members) != 3 {
		t.Errorf("status: %+v, %v", status, err)
	}
	eventually(t, 10*time.Second, "no leader known, expiry suspended", func() bool {
		status, err := alone.GetClusterAt(t.Context(), h.addrs[followers[0]-1])
		return err == nil && status.Leader == "" && status.ExpirySuspendedSince != nil
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.addrs[followers[0]-1]+"/api/v1/environments", strings.NewReader(`{"name":"a/b"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+h.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a write without a leader: %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
}

// The database is down: nothing is recorded half, ends wait, and everything is made good afterwards.
func TestDatabaseDown(t *testing.T) {
	h := newHouse(t)
	c := h.client()
	short, long := h.mustIssue(c, 3*time.Second), h.mustIssue(c, time.Hour)
	if err := h.pg.Stop(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	ttl := types.Duration(time.Hour)
	_, err := c.IssueLease(ctx, secretName, types.IssueSpec{TTL: &ttl})
	var problem *types.Problem
	if !errors.As(err, &problem) || problem.Code != "connection_unavailable" || problem.Status != 503 {
		t.Errorf("issuing while the database is down: %v", err)
	}
	revoked, err := c.RevokeLease(t.Context(), long.Lease.ID, types.RevokeSpec{})
	if err != nil || revoked.State != "revoking" {
		t.Errorf("revoking while the database is down: %+v, %v", revoked, err)
	}
	eventually(t, 10*time.Second, "the short lease is revoking", func() bool {
		l, err := c.GetLease(t.Context(), short.Lease.ID)
		return err == nil && (l.State == "revoking" || l.State == "stuck")
	})
	if err := h.pg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 70*time.Second, "all logins gone", func() bool { return len(h.logins()) == 0 })
	eventually(t, 10*time.Second, "nothing live", func() bool { return len(h.leases(c, "pending", "active", "revoking")) == 0 })
}

// A leased user made a table; after revoking, its rows are there and belong to the database's owner.
func TestWhatALeasedUserMadeStays(t *testing.T) {
	h := newHouse(t)
	c := h.client()
	spec := secretSpec("orders-rw", "RW")
	spec.Options = map[string]any{"member_of": []string{postgrestest.WriteRole}}
	must(t)(c.CreateSecret(t.Context(), "payments/production", spec))
	ttl := types.Duration(time.Hour)
	issued, err := c.IssueLease(t.Context(), "payments/production/orders-rw", types.IssueSpec{TTL: &ttl})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := h.pg.Connect(t.Context(), value(issued, "RW_USER"), value(issued, "RW_PASSWORD"), postgrestest.Database)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `CREATE TABLE made_by_lease (n int); INSERT INTO made_by_lease VALUES (1), (2)`); err != nil {
		t.Fatal(err)
	}
	revoked, err := c.RevokeLease(t.Context(), issued.Lease.ID, types.RevokeSpec{})
	if err != nil || revoked.State != "revoked" {
		t.Fatalf("revoking: %+v, %v", revoked, err)
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("the session outlived its lease")
	}
	super, err := h.pg.Superuser(t.Context(), postgrestest.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer super.Close(t.Context())
	var rows int
	var owner string
	if err := super.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM made_by_lease), tableowner FROM pg_tables WHERE tablename = 'made_by_lease'`).Scan(&rows, &owner); err != nil {
		t.Fatal(err)
	}
	if rows != 2 || owner != postgrestest.OwnerRole {
		t.Errorf("the table has %d rows and belongs to %s", rows, owner)
	}
}
