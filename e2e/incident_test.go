package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// brokerctl runs the command against all nodes, as a script would, and returns what it printed.
func (h *house) brokerctl(args ...string) (out, errors string, err error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(h.t.Context(), filepath.Join(binDir, "brokerctl"), args...)
	cmd.Env = []string{"BROKER_ADDR=" + strings.Join(h.addrs, ","), "BROKER_TOKEN=" + h.token, "HOME=" + h.dir, "GORACE=atexit_sleep_ms=0"}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return strings.TrimSpace(stdout.String()), strings.TrimSpace(stderr.String()), err
}

func (h *house) mustBrokerctl(args ...string) string {
	h.t.Helper()
	out, errors, err := h.brokerctl(args...)
	if err != nil {
		h.t.Fatalf("brokerctl %v: %v\n%s", args, err, errors)
	}
	return out
}

// nothingLives fails unless, within a time, ledger and database are empty of live leases and logins.
// Requests that were cut off need some: absence is believed in after the deadline of their creates.
func (h *house) nothingLives(c *client.Client, within time.Duration, when string) {
	h.t.Helper()
	deadline := time.Now().Add(within)
	for {
		live, logins := h.leases(c, "pending", "active", "revoking"), h.logins()
		if len(live)+len(logins) == 0 {
			return
		}
		if time.Now().After(deadline) {
			h.t.Errorf("%s there are %d logins and %d live leases: %+v", when, len(logins), len(live), live)
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}

// A lock with --revoke while clients issue as fast as they can: once it says done, no credential that it
// covers works and none is issued until it is unlocked. Leases whose logins were being made at that
// moment were refused, so nobody has their values; they are gone soon after.
func TestLockAndRevokeUnderLoad(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client()
	l := startLoad(t, h, 6, 1, 2, 3)
	l.waitFor(30, time.Minute)
	h.mustBrokerctl("lock", "payments/*", "--reason", "a laptop was stolen", "--revoke", "--wait", "--yes")
	if live := h.leases(c, "pending", "active"); len(live) != 0 {
		t.Errorf("behind the lock there are %d live leases: %+v", len(live), live)
	}
	logins := h.logins()
	l.mu.Lock()
	for _, issued := range l.acknowledged {
		if logins[issued.Lease.Username] {
			t.Errorf("the login of lease %s is still there", issued.Lease.ID)
		}
	}
	l.mu.Unlock()
	if _, err := h.issue(c, time.Minute); client.Code(err) != "locked" {
		t.Errorf("issuing behind the lock: %v", err)
	}
	h.nothingLives(c, 20*time.Second, "behind the lock")
	lock := h.mustBrokerctl("lock", "list", "-q")
	h.mustBrokerctl("unlock", lock, "--yes")
	l.waitFor(10, time.Minute)
	l.stop()
}

// Revoking many leases goes on when the leader is killed in the middle of it, and the command that
// waits for it sees the end.
func TestRevokeManyOutlivesItsLeader(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	l := startLoad(t, h, 6, 1, 2, 3)
	l.waitFor(150, time.Minute)
	l.stop()
	leader, followers := h.leader()
	c := h.client(followers...)
	issued := l.count()
	type end struct {
		errors string
		err    error
	}
	over := make(chan end, 1)
	go func() {
		_, errors, err := h.brokerctl("lease", "revoke", "--secret", secretName, "--reason", "leaked", "--wait", "--yes", "--timeout", "60s")
		over <- end{errors, err}
	}()
	eventually(t, time.Minute, "the operation has begun", func() bool {
		page, err := c.ListOperations(t.Context(), "", client.ListOptions{}, client.WithConsistency(types.Stale))
		return err == nil && len(page.Items) == 1
	})
	h.mustDevcluster("kill", fmt.Sprint(leader))
	if got := <-over; got.err != nil {
		t.Fatalf("the command: %v\n%s", got.err, got.errors)
	}
	h.nothingLives(c, 20*time.Second, "after revoking all of the secret")
	page, err := c.ListOperations(t.Context(), types.OperationDone, client.ListOptions{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Done < uint64(issued) {
		t.Errorf("the operation is %+v, %v; %d leases were acknowledged", page.Items, err, issued)
	}
}

// Deleting an environment revokes its leases and takes its secrets along; who had a login is told
// afterwards as well.
func TestDeleteEnvironmentWithLeases(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client()
	var first types.Issued
	for i := range 5 {
		if issued := h.mustIssue(c, time.Hour); i == 0 {
			first = issued
		}
	}
	if _, errors, err := h.brokerctl("env", "delete", "payments/production", "--yes"); err == nil {
		t.Errorf("an environment with leases was deleted: %s", errors)
	}
	_, errors, err := h.brokerctl("env", "delete", "payments/production", "--revoke-leases", "--dry-run")
	if err != nil || !strings.Contains(errors, "with 1 secret and 5 leases") {
		t.Errorf("a dry run: %v\n%s", err, errors)
	}
	h.mustBrokerctl("env", "delete", "payments/production", "--revoke-leases", "--reason", "over", "--wait", "--yes")
	h.nothingLives(c, time.Second, "without the environment")
	if err := h.logIn(first); err == nil {
		t.Error("a credential of the environment logs in")
	}
	if left := h.mustBrokerctl("env", "list", "-q") + h.mustBrokerctl("secret", "list", "-q"); left != "" {
		t.Errorf("left are %s", left)
	}
	if out := h.mustBrokerctl("lease", "list", "--username", first.Lease.Username); !strings.HasPrefix(out, first.Lease.ID+"\trevoked\t") {
		t.Errorf("who had the login: %q", out)
	}
}

// During a pause the database is left alone: ends of leases wait, and are carried out after it.
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client()
	short := h.mustIssue(c, 3*time.Second)
	h.mustBrokerctl("connection", "pause", "orders-db", "--ttl", "10m", "--reason", "an upgrade")
	if _, err := h.issue(c, time.Minute); client.Code(err) != "connection_paused" {
		t.Errorf("issuing during the pause: %v", err)
	}
	eventually(t, time.Minute, "its end has begun", func() bool { return len(h.leases(c, "revoking")) == 1 })
	if !h.logins()[short.Lease.Username] {
		t.Error("the database was called during the pause")
	}
	if _, errors, err := h.brokerctl("status"); err != nil || !strings.Contains(errors, "connection orders-db is paused until") {
		t.Errorf("status: %v\n%s", err, errors)
	}
	h.mustBrokerctl("connection", "resume", "orders-db")
	eventually(t, time.Minute, "the login is gone", func() bool { return len(h.logins()) == 0 })
	h.mustIssue(c, time.Minute)
}
