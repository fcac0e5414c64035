package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// Two of three nodes are lost for good: the third goes on alone with all that it had, and sweeps.
func TestRecoverFromLossOfQuorum(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client()
	kept := h.mustIssue(c, time.Hour)
	id := ""
	eventually(t, time.Minute, "node 3 has everything", func() bool {
		leader, err := h.client().GetCluster(t.Context())
		own, err2 := h.client(3).GetCluster(t.Context())
		id = own.ID
		return err == nil && err2 == nil && own.AppliedIndex >= leader.CommitIndex
	})
	for _, n := range []string{"1", "2"} {
		h.mustDevcluster("kill", n)
	}
	dir := filepath.Join(h.dir, "node3", "data")
	if said, err := h.command(nil, "brokerd", "recover", "--data-dir", dir, "--reason", "r", "--confirm", id); err == nil || !strings.Contains(said, "in use by another process") {
		t.Errorf("under a running node: %v\n%s", err, said)
	}
	h.mustDevcluster("stop", "3")
	if said, err := h.command(nil, "brokerd", "recover", "--data-dir", dir, "--reason", "r"); err == nil || !strings.Contains(said, "nothing was changed: add --confirm "+id) || !strings.Contains(said, "index") {
		t.Errorf("not confirmed: %v\n%s", err, said)
	}
	if said, err := h.command(nil, "brokerd", "recover", "--data-dir", dir, "--reason", "r", "--confirm", "another"); err == nil || !strings.Contains(said, "is not the cluster's id") {
		t.Errorf("confirmed wrongly: %v\n%s", err, said)
	}
	if said, err := h.command(nil, "brokerd", "recover", "--data-dir", t.TempDir(), "--reason", "r"); err == nil || !strings.Contains(said, "belongs to no node") {
		t.Errorf("an empty directory: %v\n%s", err, said)
	}
	said, err := h.command(nil, "brokerd", "recover", "--data-dir", dir, "--reason", "two machines burnt", "--confirm", id)
	if err != nil {
		t.Fatalf("recovering: %v\n%s", err, said)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".recover-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := os.RemoveAll(filepath.Join(h.dir, "node1", "data")); err != nil {
		t.Fatal(err)
	}

	h.mustDevcluster("start", "3")
	c = h.client(3)
	eventually(t, time.Minute, "it issues again", func() bool { _, err := h.issue(c, time.Hour); return err == nil })
	status, err := c.GetCluster(t.Context())
	if err != nil || len(status.Members) != 1 || status.Restored != nil || status.ID != id {
		t.Errorf("status: %+v, %v", status, err)
	}
	events, err := c.ListEvents(t.Context(), client.EventQuery{After: "999999999"}, client.ListOptions{Limit: 100})
	if err != nil || len(events.Items) == 0 || events.Items[0].Type == "" {
		t.Fatalf("events: %+v, %v", events, err)
	}
	text := toText(t, events)
	for _, want := range []string{"cluster.recovered", "two machines burnt", "node.removed"} {
		if !strings.Contains(text, want) {
			t.Errorf("the history lacks %q: %s", want, text)
		}
	}
	must(t)(c.RevokeLease(t.Context(), kept.Lease.ID, types.RevokeSpec{}))
	eventually(t, time.Minute, "the lease from before is ended", func() bool { return !h.logins()[kept.Lease.Username] })
	must(t)(c.Sweep(t.Context(), ""))

	// A node of the old cluster that comes back is not believed, and disturbs nobody. It hears of its removal and stops, maybe
	// before anybody has seen it up.
	if said, err := h.devcluster("start", "2"); err != nil && !strings.Contains(said, "this node was removed from the cluster") {
		t.Fatalf("starting the old node: %v\n%s", err, said)
	}
	before, err := c.GetCluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	must(t)(h.issue(c, time.Hour))
	after, err := c.GetCluster(t.Context())
	if err != nil || after.Term != before.Term || len(after.Members) != 1 {
		t.Errorf("beside an old node: %+v, %v", after, err)
	}
}
