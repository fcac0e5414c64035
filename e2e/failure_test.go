package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
	"broker/providers/postgres/postgrestest"
)

// The leader is killed while clients issue through followers. They succeed again within seconds;
// afterwards ledger and database agree.
func TestKillLeaderUnderLoad(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	leader, followers := h.leader()
	l := startLoad(t, h, 6, followers...)
	l.waitFor(20, time.Minute)
	killedAt := time.Now()
	h.mustDevcluster("kill", fmt.Sprint(leader))
	l.waitFor(40, time.Minute)
	l.stop()
	gap := l.longestGap(killedAt)
	t.Logf("nobody got a lease for %s", gap)
	if gap > 3*slow*time.Second {
		t.Errorf("nobody got a lease for %s after the kill", gap)
	}
	h.mustDevcluster("start", fmt.Sprint(leader))
	l.checkLedger()
}

// One node alone still reads what it has, and says clearly that it can do no more.
func TestOneNodeAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	issued := h.mustIssue(h.client(), time.Hour)
	leader, followers := h.leader()
	must(t)(h.client(followers[0]).GetLease(t.Context(), issued.Lease.ID)) // it has everything
	h.mustDevcluster("kill", fmt.Sprint(leader))
	h.mustDevcluster("kill", fmt.Sprint(followers[1]))
	alone := h.client(followers[0])
	eventually(t, time.Minute, "a stale read", func() bool {
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
	eventually(t, time.Minute, "no leader known, expiry suspended", func() bool {
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
	t.Parallel()
	h := newHouse(t)
	c := h.client()
	short, long := h.mustIssue(c, 10*time.Second), h.mustIssue(c, time.Hour)
	if err := h.pg.Stop(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ttl := types.Duration(time.Hour)
	_, err := c.IssueLease(ctx, secretName, types.IssueSpec{TTL: &ttl})
	var problem *types.Problem
	if !errors.As(err, &problem) || problem.Code != "connection_unavailable" || problem.Status != 503 {
		t.Errorf("issuing while the database is down: %v", err)
	}
	revoked, err := c.RevokeLease(t.Context(), long.Lease.ID, types.RevokeSpec{})
	if err != nil || (revoked.State != "revoking" && revoked.State != "stuck") {
		t.Errorf("revoking while the database is down: %+v, %v", revoked, err)
	}
	eventually(t, time.Minute, "the short lease is revoking", func() bool {
		l, err := c.GetLease(t.Context(), short.Lease.ID)
		return err == nil && (l.State == "revoking" || l.State == "stuck")
	})
	if err := h.pg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, "all logins gone", func() bool { return len(h.logins()) == 0 })
	eventually(t, time.Minute, "nothing live", func() bool { return len(h.leases(c, "pending", "active", "revoking")) == 0 })
}

// A leased user made a table; after revoking, its rows are there and belong to the database's owner.
func TestWhatALeasedUserMadeStays(t *testing.T) {
	t.Parallel()
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
