package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"broker/api/client"
	"broker/api/types"
	"broker/snapshot"
)

// command runs one of our programs and returns what it said, on both outputs.
func (h *house) command(env []string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(binDir, name), args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// freeAddress returns a loopback address that nobody listened at a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// alone runs a node on a data directory until the test is over, and returns a client of it and its log file.
func (h *house) alone(dir string, options ...string) (*client.Client, string) {
	h.t.Helper()
	ports := []string{freeAddress(h.t), freeAddress(h.t)}
	logPath := filepath.Join(h.t.TempDir(), "log")
	log, err := os.Create(logPath)
	if err != nil {
		h.t.Fatal(err)
	}
	defer log.Close() // the process has its own
	cmd := exec.Command(filepath.Join(binDir, "brokerd"), append([]string{
		"server", "--data-dir", dir, "--api-listen", ports[0], "--cluster-listen", ports[1], "--gossip-listen", "off",
	}, options...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		_ = cmd.Wait()                       // the log tells
		if h.t.Failed() {
			h.t.Logf("the end of the restored node's log:\n%s", tail(logPath, 25))
		}
	})
	c, err := client.New(client.Config{Addresses: []string{"http://" + ports[0]}, Token: h.token})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(c.Close)
	eventually(h.t, time.Minute, "the restored node serves", func() bool {
		_, err := c.GetEnvironment(h.t.Context(), "payments/production")
		return err == nil
	})
	return c, logPath
}

// Everything is lost but a snapshot and the recovery shares: they bring a working connection back, nothing
// outside changes until the release, and then every lease can be ended.
func TestRestoreOnBareMachines(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client()
	kept, ended, short := h.mustIssue(c, time.Hour), h.mustIssue(c, time.Hour), h.mustIssue(c, 30*time.Second)
	vault := t.TempDir() // the only place that survives
	file := filepath.Join(vault, "broker.snapshot")
	said, err := h.command([]string{"BROKER_ADDR=" + h.addrs[1], "BROKER_TOKEN=" + h.token}, "brokerctl", "snapshot", "save", file)
	if err != nil {
		t.Fatalf("saving: %v\n%s", err, said)
	}
	before := h.leases(c)
	later := h.mustIssue(c, time.Hour) // after the snapshot: the restored ledger does not know it
	must(t)(c.RevokeLease(t.Context(), ended.Lease.ID, types.RevokeSpec{}))
	eventually(t, time.Minute, "the revoked login is gone", func() bool { return !h.logins()[ended.Lease.Username] })
	shares := strings.Fields(string(mustRead(t, filepath.Join(h.dir, "recovery-shares"))))
	for i, share := range shares {
		mustWrite(t, filepath.Join(vault, fmt.Sprint("share", i+1)), share+"\n")
	}
	h.mustDevcluster("down")
	for n := 1; n <= 3; n++ {
		if err := os.RemoveAll(filepath.Join(h.dir, fmt.Sprintf("node%d", n))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"recovery-shares", "admin-token", "join-token", "env"} {
		if err := os.Remove(filepath.Join(h.dir, name)); err != nil {
			t.Fatal(err)
		}
	}

	dir := filepath.Join(vault, "data")
	told := &strings.Builder{}
	told.WriteString(said)
	h.refusedRestores(vault, file, dir, told)
	said, err = h.command(nil, "brokerd", "restore", file, "--data-dir", dir, "--node-id", "r1",
		"--recovery-share-file", filepath.Join(vault, "share3"), "--recovery-share-file", filepath.Join(vault, "share1"))
	told.WriteString(said)
	if err != nil {
		t.Fatalf("restoring: %v\n%s", err, said)
	}

	logins := h.logins()
	c, log := h.alone(dir, "--node-id", "r1", "--timing", "lan", "--sweep-interval", "1s", "--sweep-quarantine", "1s")
	if d := sameLeases(before, h.leases(c)); d != "" {
		t.Error(d)
	}
	status, err := c.GetCluster(t.Context())
	if err != nil || status.Restored == nil || len(status.Warnings) == 0 {
		t.Errorf("status: %+v, %v", status, err)
	}
	must(t)(c.CheckConnection(t.Context(), "orders-db"))
	if _, err := h.issue(c, time.Hour); err == nil || !strings.Contains(err.Error(), "brokerctl snapshot diff") {
		t.Errorf("issuing from a restored cluster: %v", err)
	}
	eventually(t, time.Minute, "a lease is over", func() bool { return time.Now().After(short.Lease.ExpiresAt.Add(2 * time.Second)) })
	diff, err := c.DiffSnapshot(t.Context())
	if err != nil || len(diff.Items) != 1 {
		t.Fatalf("diff: %+v, %v", diff, err)
	}
	if d := diff.Items[0]; len(d.Unknown) != 1 || d.Unknown[0].Username != later.Lease.Username || !d.Unknown[0].Ours ||
		len(d.Missing) != 1 || d.Missing[0] != ended.Lease.ID || len(d.Over) != 1 || d.Over[0] != short.Lease.ID {
		t.Errorf("diff: %+v", d)
	}
	if now := h.logins(); fmt.Sprint(now) != fmt.Sprint(logins) {
		t.Errorf("a restored cluster changed the logins: %v, before %v", now, logins)
	}

	ttl := types.Duration(10 * time.Second)
	if done, err := c.ReleaseSnapshot(t.Context(), types.SnapshotReleaseSpec{Unknown: "adopt", TTL: &ttl, Reason: "a test"}); err != nil || done.Adopted != 1 {
		t.Fatalf("release: %+v, %v", done, err)
	}
	for what, issued := range map[string]types.Issued{"known": kept, "unknown": later, "over": short} {
		if err := h.logIn(issued); err != nil {
			t.Errorf("the %s login after the release: %v", what, err)
		}
	}
	fresh := h.mustIssue(c, time.Hour)
	if err := h.logIn(fresh); err != nil {
		t.Errorf("a new lease: %v", err)
	}
	must(t)(c.RevokeLease(t.Context(), kept.Lease.ID, types.RevokeSpec{}))
	eventually(t, time.Minute, "what was revoked and what was over is gone, the new login is there", func() bool {
		now := h.logins()
		return len(now) == 1 && now[fresh.Lease.Username]
	})

	told.Write(mustRead(t, log))
	told.WriteString(content(t, file))
	for name, canary := range map[string]string{
		"root password": h.rootPassword, "leased password": value(kept, "DB_PASSWORD"), "admin token": h.token,
		"first share": shares[0], "second share": shares[1], "third share": shares[2],
	} {
		if strings.Contains(told.String(), canary) {
			t.Errorf("the %s is in the snapshot, in a log or in what was printed", name)
		}
	}
}

// refusedRestores tries what must not work, which leaves nothing behind.
func (h *house) refusedRestores(vault, file, dir string, told *strings.Builder) {
	h.t.Helper()
	whole := mustRead(h.t, file)
	mustWrite(h.t, filepath.Join(vault, "cut"), string(whole[:len(whole)/2]))
	damaged := bytes.Clone(whole)
	damaged[len(damaged)/2] ^= 1
	mustWrite(h.t, filepath.Join(vault, "damaged"), string(damaged))
	// Somebody who has no key may still make the checksum fit.
	forged := bytes.Replace(whole[:len(whole)-sha256.Size], []byte(`"node":"node`), []byte(`"node":"none`), 1)
	sum := sha256.Sum256(forged)
	mustWrite(h.t, filepath.Join(vault, "forged"), string(append(forged, sum[:]...)))
	mustWrite(h.t, filepath.Join(vault, "mangled"), strings.Replace(string(mustRead(h.t, filepath.Join(vault, "share1"))), "_1_", "_2_", 1))
	for what, try := range map[string]struct {
		file   string
		shares []string
		says   string
	}{
		"a cut file":         {"cut", []string{"share1", "share2"}, "its end is missing"},
		"a damaged file":     {"damaged", []string{"share1", "share2"}, "damaged"},
		"a forged file":      {"forged", []string{"share1", "share2"}, "not made with the cluster's keyring"},
		"another file":       {"share1", []string{"share1", "share2"}, "not a snapshot of the broker"},
		"one share":          {"broker.snapshot", []string{"share2"}, "2 of the 3 shares are needed, and 1 given"},
		"one share twice":    {"broker.snapshot", []string{"share2", "share2"}, "share 2 was given already"},
		"a mangled share":    {"broker.snapshot", []string{"share2", "mangled"}, "its checksum is wrong"},
		"nobody to be asked": {"broker.snapshot", nil, "--recovery-share-file"},
	} {
		args := []string{"restore", filepath.Join(vault, try.file), "--data-dir", dir, "--node-id", "r1"}
		for _, share := range try.shares {
			args = append(args, "--recovery-share-file", filepath.Join(vault, share))
		}
		said, err := h.command(nil, "brokerd", args...)
		told.WriteString(said)
		if err == nil || !strings.Contains(said, try.says) {
			h.t.Errorf("%s: %v, want %q:\n%s", what, err, try.says, said)
		}
		if _, err := os.Lstat(dir); err == nil {
			h.t.Fatalf("%s left something behind", what)
		}
	}
}

// sameLeases compares leases record by record, but for what a sweep sets.
func sameLeases(want, got []types.Lease) string {
	list := func(leases []types.Lease) string {
		var out strings.Builder
		for _, l := range leases {
			if l.State == "missing" {
				l.State = "active"
			}
			fmt.Fprintln(&out, l.ID, l.Name, l.Secret, l.Connection, l.Account, l.Username, l.CreatedAt, l.ExpiresAt, l.MaxExpiresAt, l.Labels)
		}
		return out.String()
	}
	if w, g := list(want), list(got); w != g {
		return "restored leases differ:\n" + w + "now\n" + g
	}
	return ""
}

// content returns a snapshot's state file as it is when it is not compressed.
func content(t *testing.T, path string) string {
	t.Helper()
	r, err := snapshot.NewReader(bytes.NewReader(mustRead(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, r, int64(len("broker-state-1\n"))); err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	state, err := io.ReadAll(z)
	if err != nil || !bytes.Contains(state, []byte("orders-db")) {
		t.Fatalf("the state was not read: %d bytes, %v", len(state), err)
	}
	return string(state)
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func mustWrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
