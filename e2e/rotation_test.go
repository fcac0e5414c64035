package e2e

import (
	"fmt"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
	"broker/providers/postgres/postgrestest"
)

// The root credential is exchanged again and again while clients issue, and the leader is killed in the middle of it:
// whoever leads next carries on, nobody is locked out, and of all those passwords one is good.
func TestRotateUnderLoad(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	older := h.mustIssue(h.client(), time.Hour)
	leader, followers := h.leader()
	c := h.client(followers...)
	l := startLoad(t, h, 4, followers...)
	l.waitFor(10, time.Minute)
	var rotated types.Connection
	for range 3 {
		var err error
		rotated, err = c.RotateConnection(t.Context(), "orders-db")
		if err != nil || rotated.Rotation.State != types.RotationDone {
			t.Fatalf("rotating: %+v, %v", rotated.Rotation, err)
		}
	}
	if failed := h.leases(c, "failed"); len(failed) > 0 {
		t.Errorf("%d leases could not be made meanwhile, the first because of %s", len(failed), failed[0].Reason)
	}
	if err := h.pg.LogIn(t.Context(), postgrestest.RootName, h.rootPassword, postgrestest.Database); err == nil {
		t.Error("the first password is still accepted")
	}
	asked := make(chan error, 1)
	go func() {
		_, err := c.RotateConnection(t.Context(), "orders-db", client.WithIdempotencyKey("the-fourth"))
		asked <- err
	}()
	eventually(t, time.Minute, "a rotation under way", func() bool {
		got, err := c.GetConnection(t.Context(), "orders-db", client.WithConsistency(types.Stale))
		if err == nil && got.Rotation.Since.After(rotated.Rotation.Since) {
			t.Logf("killing the leader while the rotation is %s", got.Rotation.State)
			return true
		}
		return false
	})
	h.mustDevcluster("kill", fmt.Sprint(leader))
	if err := <-asked; err != nil {
		t.Logf("the client was told: %v", err)
	}
	eventually(t, time.Minute, "the fourth rotation's end", func() bool {
		got, err := c.RotateConnection(t.Context(), "orders-db", client.WithIdempotencyKey("the-fourth"))
		return err == nil && got.Rotation.State == types.RotationDone
	})
	l.waitFor(10, time.Minute)
	l.stop()
	revoked, err := c.RevokeLease(t.Context(), older.Lease.ID, types.RevokeSpec{})
	if err != nil || revoked.State != "revoked" {
		t.Errorf("revoking a lease from before: %+v, %v", revoked, err)
	}
	h.mustDevcluster("start", fmt.Sprint(leader))
	l.checkLedger()
}
