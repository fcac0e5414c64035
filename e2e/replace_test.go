package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"broker/api/types"
)

// The state of a running cluster is replaced by an older snapshot: on all nodes, with the members that there are, and
// without a change outside until the release.
func TestReplaceRunningCluster(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client()
	kept := h.mustIssue(c, time.Hour)
	file := filepath.Join(t.TempDir(), "broker.snapshot")
	if said, err := h.command([]string{"BROKER_ADDR=" + h.addrs[0], "BROKER_TOKEN=" + h.token}, "brokerctl", "snapshot", "save", file); err != nil {
		t.Fatalf("saving: %v\n%s", err, said)
	}
	later := h.mustIssue(c, time.Hour)
	must(t)(c.CreateEnvironment(t.Context(), types.EnvironmentSpec{Name: "a-mistake/production"}))
	status, err := c.GetCluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leader, followers := h.leader()
	replace := func(node int, confirm string) (string, error) {
		return h.command(nil, "brokerd", "restore", file, "--replace", "--confirm", confirm, "--reason", "a mistake",
			"--data-dir", filepath.Join(h.dir, fmt.Sprintf("node%d", node), "data"))
	}
	if said, err := replace(followers[0], status.ID); err == nil || !strings.Contains(said, fmt.Sprintf("the host of node node%d", leader)) {
		t.Errorf("at a follower: %v\n%s", err, said)
	}
	if said, err := replace(leader, "another"); err == nil || !strings.Contains(said, "nothing was changed") {
		t.Errorf("not confirmed: %v\n%s", err, said)
	}
	if _, err := c.GetEnvironment(t.Context(), "a-mistake/production"); err != nil {
		t.Errorf("something was changed: %v", err)
	}
	logins := h.logins()
	if said, err := replace(leader, status.ID); err != nil {
		t.Fatalf("replacing: %v\n%s", err, said)
	}

	for n := 1; n <= 3; n++ {
		eventually(t, time.Minute, fmt.Sprintf("node %d has the snapshot's state", n), func() bool {
			own, err := h.client(n).GetCluster(t.Context())
			return err == nil && own.Restored != nil && own.AppliedIndex >= 1_000_000_000 && len(own.Members) == 3
		})
	}
	if _, err := c.GetEnvironment(t.Context(), "a-mistake/production"); err == nil {
		t.Error("what came after the snapshot is still there")
	}
	if _, err := h.issue(c, time.Hour); err == nil || !strings.Contains(err.Error(), "brokerctl snapshot diff") {
		t.Errorf("issuing: %v", err)
	}
	// The mark outlives the leader, and a node that starts again knows whom to believe.
	h.mustDevcluster("kill", fmt.Sprint(leader))
	eventually(t, time.Minute, "another node leads", func() bool {
		own, err := h.client(followers...).GetCluster(t.Context())
		return err == nil && own.Leader != "" && own.Leader != fmt.Sprintf("node%d", leader)
	})
	h.mustDevcluster("start", fmt.Sprint(leader))
	diff, err := c.DiffSnapshot(t.Context())
	if err != nil || len(diff.Items) != 1 || len(diff.Items[0].Unknown) != 1 || diff.Items[0].Unknown[0].Username != later.Lease.Username {
		t.Fatalf("diff: %+v, %v", diff, err)
	}
	if now := h.logins(); fmt.Sprint(now) != fmt.Sprint(logins) {
		t.Errorf("the logins were changed: %v, before %v", now, logins)
	}
	ttl := types.Duration(time.Hour)
	must(t)(c.ReleaseSnapshot(t.Context(), types.SnapshotReleaseSpec{Unknown: "adopt", TTL: &ttl, Reason: "a test"}))
	eventually(t, time.Minute, "it issues again", func() bool { _, err := h.issue(c, time.Hour); return err == nil })
	must(t)(c.RevokeLease(t.Context(), kept.Lease.ID, types.RevokeSpec{}))
	eventually(t, time.Minute, "a lease from before is ended", func() bool { return !h.logins()[kept.Lease.Username] })
	if err := h.logIn(later); err != nil {
		t.Errorf("the adopted login: %v", err)
	}
	eventually(t, time.Minute, "all three nodes agree again", func() bool {
		seen := map[uint64]bool{}
		for n := 1; n <= 3; n++ {
			own, err := h.client(n).GetCluster(t.Context())
			if err != nil {
				return false
			}
			seen[own.AppliedIndex] = true
		}
		return len(seen) == 1
	})
}
