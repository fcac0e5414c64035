package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// sealingKeysIn returns the sealing keys of a key file, as they are written there.
func sealingKeysIn(t *testing.T, path string) (keys []string) {
	t.Helper()
	var file struct {
		Sealing struct {
			Key []struct {
				KeyData struct {
					Value string `json:"value"`
				} `json:"keyData"`
			} `json:"key"`
		} `json:"sealing"`
	}
	if err := json.Unmarshal(mustRead(t, path), &file); err != nil {
		t.Fatal(err)
	}
	for _, one := range file.Sealing.Key {
		keys = append(keys, one.KeyData.Value)
	}
	if len(keys) == 0 || len(keys[0]) < 40 {
		t.Fatalf("there are no keys in %s", path)
	}
	return keys
}

func (h *house) dataDir(node int) string {
	return filepath.Join(h.dir, fmt.Sprintf("node%d", node), "data")
}

func (h *house) mustSave(file string) {
	h.t.Helper()
	if said, err := h.command([]string{"BROKER_ADDR=" + strings.Join(h.addrs, ","), "BROKER_TOKEN=" + h.token}, "brokerctl", "snapshot", "save", file); err != nil {
		h.t.Fatalf("saving: %v\n%s", err, said)
	}
}

// The sealing key is exchanged while a node is down, and its leader dies over it; the next one goes on. Leases from
// before and after can be ended, the old key is nowhere any more, and snapshots from before and after are opened by the
// same shares, also by the running cluster.
func TestSealRotation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client()
	before := h.mustIssue(c, time.Hour)
	vault := t.TempDir()
	older, newer := filepath.Join(vault, "older"), filepath.Join(vault, "newer")
	h.mustSave(older)
	old := sealingKeysIn(t, filepath.Join(h.dataDir(1), "keyring.json"))[0]

	leader, followers := h.leader()
	h.mustDevcluster("kill", fmt.Sprint(followers[0]))
	began, err := c.RotateSeal(t.Context())
	if err != nil || !began.Running() {
		t.Fatalf("%+v, %v", began, err)
	}
	eventually(t, time.Minute, "only the node that is down is waited for", func() bool {
		now, err := c.GetSeal(t.Context())
		return err == nil && fmt.Sprint(now.Missing) == fmt.Sprintf("[node%d]", followers[0])
	})
	h.mustDevcluster("kill", fmt.Sprint(leader))
	h.mustDevcluster("start", fmt.Sprint(followers[0]))
	eventually(t, time.Minute, "the next leader goes on, and the dead one alone has the old key", func() bool {
		now, err := h.client(followers...).GetSeal(t.Context())
		return err == nil && !now.Running() && fmt.Sprint(now.Keeping) == fmt.Sprintf("[node%d]", leader)
	})
	h.mustDevcluster("start", fmt.Sprint(leader))
	over := func(c *client.Client) func() bool {
		return func() bool {
			now, err := c.GetSeal(t.Context())
			return err == nil && !now.Running() && len(now.Keeping) == 0 && now.Done == now.Total && now.Total > 3
		}
	}
	eventually(t, time.Minute, "the exchange is over", over(c))

	for n := 1; n <= 3; n++ {
		if keys := sealingKeysIn(t, filepath.Join(h.dataDir(n), "keyring.json")); len(keys) != 1 || keys[0] == old {
			t.Errorf("node %d has %d keys, the old one among them: %v", n, len(keys), keys[0] == old)
		}
	}
	if err := h.logIn(before); err != nil {
		t.Errorf("a lease from before: %v", err)
	}
	must(t)(c.RevokeLease(t.Context(), before.Lease.ID, types.RevokeSpec{}))
	eventually(t, time.Minute, "the revoked login is gone", func() bool { return !h.logins()[before.Lease.Username] })
	after := h.mustIssue(c, time.Hour)
	h.mustDevcluster("stop", fmt.Sprint(followers[1]))
	h.mustDevcluster("start", fmt.Sprint(followers[1]))
	must(t)(h.client(followers[1]).CheckConnection(t.Context(), "orders-db"))
	h.mustSave(newer)

	shares := "BROKER_RECOVERY_SHARES=" + strings.Join(strings.Fields(string(mustRead(t, filepath.Join(h.dir, "recovery-shares"))))[1:], ",")
	if said, err := h.command(nil, "brokerd", "restore", older, "--data-dir", filepath.Join(vault, "none"), "--key-file", filepath.Join(h.dataDir(1), "keyring.json"), "--drill"); err == nil || !strings.Contains(said, "from before the sealing key was exchanged") {
		t.Errorf("with a newer key file: %v\n%s", err, said)
	}
	for name, file := range map[string]string{"from before": older, "from after": newer} {
		dir := filepath.Join(vault, name)
		said, err := h.command([]string{shares}, "brokerd", "restore", file, "--data-dir", dir, "--node-id", "r1", "--drill")
		if err != nil {
			t.Fatalf("restoring a snapshot %s: %v\n%s", name, err, said)
		}
		drill, _ := h.alone(dir, "--node-id", "r1", "--timing", "lan")
		if _, err := drill.CheckConnection(t.Context(), "orders-db"); err != nil {
			t.Errorf("a snapshot %s: %v", name, err)
		}
	}
	h.replaceByOlder(c, older, shares)
	if err := h.logIn(after); err != nil {
		t.Errorf("the adopted login: %v", err)
	}

	// Keys are in key files and nowhere else.
	h.mustDevcluster("down")
	told := readAll(t, h.dir, "keyring.json", "recovery-shares", "brokerd", "admin-token", "env")
	for what, key := range map[string]string{"old": old, "new": sealingKeysIn(t, filepath.Join(h.dataDir(1), "keyring.json"))[0]} {
		raw, err := base64.StdEncoding.DecodeString(key)
		if err != nil {
			t.Fatal(err)
		}
		for form, canary := range map[string]string{"text": key, "bytes": string(raw[len(raw)-32:])} {
			if strings.Contains(told, canary) {
				t.Errorf("the %s sealing key is in a file other than key files (%s)", what, form)
			}
		}
	}
}

// replaceByOlder puts a snapshot from before the exchange in the place of the running cluster's state: it is opened by
// shares, and sealed with the key that the nodes have.
func (h *house) replaceByOlder(c *client.Client, file, shares string) {
	h.t.Helper()
	t := h.t
	status, err := c.GetCluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leader, _ := h.leader()
	args := []string{"restore", file, "--replace", "--confirm", status.ID, "--reason", "a mistake", "--data-dir", h.dataDir(leader)}
	if said, err := h.command(nil, "brokerd", args...); err == nil || !strings.Contains(said, "recovery shares") {
		t.Errorf("without shares: %v\n%s", err, said)
	}
	if said, err := h.command([]string{shares}, "brokerd", args...); err != nil {
		t.Fatalf("replacing: %v\n%s", err, said)
	}
	if _, err := c.RotateSeal(t.Context()); err == nil || !strings.Contains(err.Error(), "restored") {
		t.Errorf("an exchange in a restored cluster: %v", err)
	}
	eventually(t, time.Minute, "what differs is told", func() bool { _, err := c.DiffSnapshot(t.Context()); return err == nil })
	ttl := types.Duration(time.Hour)
	must(t)(c.ReleaseSnapshot(t.Context(), types.SnapshotReleaseSpec{Unknown: "adopt", TTL: &ttl, Reason: "a test"}))
	eventually(t, time.Minute, "it issues again", func() bool { _, err := h.issue(c, time.Hour); return err == nil })
	seal, err := c.GetSeal(t.Context())
	if err != nil || seal.Running() || seal.Done != seal.Total {
		t.Errorf("the seal of the replaced state: %+v, %v", seal, err)
	}
}
