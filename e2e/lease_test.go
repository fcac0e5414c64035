package e2e

import (
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// A lease's whole life through a follower, on a real database.
func TestLifeOfALease(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, followers := h.leader()
	c := h.client(followers[0])
	issued := h.mustIssue(c, 30*time.Minute)
	if err := h.logIn(issued); err != nil {
		t.Fatalf("logging in: %v", err)
	}
	more := types.Duration(10 * time.Minute)
	renewed, err := c.RenewLease(t.Context(), issued.Lease.ID, types.RenewSpec{TTL: &more})
	if err != nil || renewed.ExpiresAt.Sub(issued.Lease.ExpiresAt) != 10*time.Minute {
		t.Fatalf("renewing: %+v, %v", renewed, err)
	}
	revoked, err := c.RevokeLease(t.Context(), issued.Lease.ID, types.RevokeSpec{Reason: "done"})
	if err != nil || revoked.State != "revoked" {
		t.Fatalf("revoking: %+v, %v", revoked, err)
	}
	if err := h.logIn(issued); err == nil {
		t.Error("a revoked credential logs in")
	}
	// Every node tells the same history.
	for n := range 3 {
		events, err := h.client(n+1).LeaseEvents(t.Context(), issued.Lease.ID)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range events.Items {
			got = append(got, e.Type)
		}
		want := []string{"lease.prepared", "lease.issued", "lease.renewed", "lease.revoking", "lease.revoked"}
		if len(got) != len(want) {
			t.Fatalf("node %d tells %v", n+1, got)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("node %d tells %v, want %v", n+1, got, want)
			}
		}
	}
}

// A lease of 2 s: its login is there until the end and gone from PostgreSQL within a second after it.
func TestShortLeaseEndsOnTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client()
	for range 3 {
		issued := h.mustIssue(c, 2*time.Second)
		end := issued.Lease.ExpiresAt
		for {
			before := time.Now()
			there := h.logins()[issued.Lease.Username]
			if !there && before.Before(end) && time.Now().Before(end) {
				t.Fatalf("the login is gone %s early", end.Sub(before))
			}
			if !there {
				t.Logf("gone at most %s after the end", time.Since(end))
				break
			}
			if late := before.Sub(end); late > slow*time.Second {
				t.Fatalf("the login is still there %s after its end", late)
			}
			<-time.After(10 * time.Millisecond)
		}
	}
}

// What one node acknowledged, every other node shows to a client that names the index.
func TestReadYourWritesEverywhere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i := range 12 {
		writer := h.client(i%3 + 1)
		issued := h.mustIssue(writer, time.Hour)
		for n := range 3 {
			reader := h.client(n + 1)
			got, err := reader.GetLease(t.Context(), issued.Lease.ID, client.MinIndex(writer.Index()))
			if err != nil || got.State != "active" {
				t.Fatalf("node %d, session: %+v, %v", n+1, got, err)
			}
			if got, err = reader.GetLease(t.Context(), issued.Lease.ID); err != nil || got.State != "active" {
				t.Fatalf("node %d, linearizable: %+v, %v", n+1, got, err)
			}
			events, err := reader.LeaseEvents(t.Context(), issued.Lease.ID, client.MinIndex(writer.Index()))
			if err != nil || len(events.Items) != 2 {
				t.Fatalf("node %d, history: %+v, %v", n+1, events, err)
			}
		}
	}
}
