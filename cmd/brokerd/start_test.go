package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"broker/cluster"
	"broker/fsm"
)

// loneConfig is a node that is a cluster by itself, at free ports.
func loneConfig(t *testing.T, dir string) config {
	t.Helper()
	tokens := t.TempDir()
	return optionsOf(t, "--node-id", "n1", "--data-dir", dir, "--init", "--log-level", "error", "--timing", "lan",
		"--api-listen", freeAddress(t), "--cluster-listen", freeAddress(t), "--gossip-listen", "off",
		"--admin-token-file", filepath.Join(tokens, "admin-token"), "--join-token-file", filepath.Join(tokens, "join-token"))
}

// optionsOf is what these flags configure.
func optionsOf(t *testing.T, args ...string) config {
	t.Helper()
	cmd := serverCommand()
	must(t, cmd.ParseFlags(args))
	c, err := loadConfig(cmd.Flags(), io.Discard)
	must(t, err)
	return c
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// mustNode starts a node and waits until it leads.
func mustNode(t *testing.T, c config) *node {
	t.Helper()
	n, err := startNode(t.Context(), c, c.logger(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	poll(t, "the node to lead", n.broker.Leading)
	return n
}

func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// usedDir returns the data directory of a node that worked, wrote a snapshot and was stopped.
func usedDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	n := mustNode(t, loneConfig(t, dir))
	if err := n.cluster.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.stop()
	return dir
}

// rewrite changes the one file that a pattern finds below a directory.
func rewrite(t *testing.T, dir, pattern string, how func([]byte) []byte) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(found[0], how(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func half(data []byte) []byte { return data[:len(data)/2] }

// quarter cuts a bbolt file where something is lost: it grows by doubling, a page before it is full, so that its second half may
// hold nothing yet.
func quarter(data []byte) []byte { return data[:len(data)/4] }

// newerSnapshot makes the snapshot one of the next format, with a checksum that fits.
func newerSnapshot(t *testing.T, dir string) {
	t.Helper()
	var sum []byte
	rewrite(t, dir, "snapshots/*/state.bin", func(data []byte) []byte {
		data = bytes.Replace(data, []byte("broker-state-1\n"), []byte("broker-state-2\n"), 1)
		h := crc64.New(crc64.MakeTable(crc64.ECMA))
		h.Write(data)
		sum = h.Sum(nil)
		return data
	})
	rewrite(t, dir, "snapshots/*/meta.json", func(data []byte) []byte {
		var meta map[string]any
		if err := json.Unmarshal(data, &meta); err != nil {
			t.Fatal(err)
		}
		meta["CRC"] = sum
		data, err := json.Marshal(meta)
		if err != nil {
			t.Fatal(err)
		}
		return data
	})
}

// Whatever is wrong with what a node finds at its start, it ends with a sentence that says what to do, and
// with an exit code that tells whether starting it again could help.
func TestStartUpTrouble(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many nodes")
	}
	template := usedDir(t)
	other := mustNode(t, loneConfig(t, filepath.Join(t.TempDir(), "other")))
	defer other.stop()
	for name, tc := range map[string]struct {
		damage func(t *testing.T, dir string)
		args   []string
		code   int
		says   []string
	}{
		"another node's name":    {nil, []string{"--node-id", "n2"}, exitMend, []string{`belongs to node "n1"`, "its own name back"}},
		"log cut short":          {func(t *testing.T, dir string) { rewrite(t, dir, "raft.db", quarter) }, nil, exitMend, []string{"raft.db", "cut short", "empty directory"}},
		"journal cut short":      {func(t *testing.T, dir string) { rewrite(t, dir, "raft.journal0", half) }, nil, exitMend, []string{"raft.journal0", "cut short"}},
		"snapshot damaged":       {func(t *testing.T, dir string) { rewrite(t, dir, "snapshots/*/state.bin", half) }, nil, exitMend, []string{"snapshots", "cannot be read", "put it back"}},
		"snapshot of the future": {newerSnapshot, nil, exitMend, []string{"newer version", "broker-state-2"}},
		"identity damaged":       {func(t *testing.T, dir string) { rewrite(t, dir, "node.json", half) }, nil, exitMend, []string{"node.json", "put it back"}},
		"key damaged":            {func(t *testing.T, dir string) { rewrite(t, dir, "identity.json", half) }, nil, exitMend, []string{"identity.json", "damaged"}},
		"key file damaged":       {func(t *testing.T, dir string) { rewrite(t, dir, "keyring.json", half) }, nil, exitFailed, []string{"keyring.json", "not a key file"}},
		"directory open to others": {func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o755)) }, nil,
			exitMend, []string{"others can read", "chmod go= "}},
		"log open to others": {func(t *testing.T, dir string) { must(t, os.Chmod(filepath.Join(dir, "raft.db"), 0o640)) }, nil,
			exitMend, []string{"raft.db", "chmod go= "}},
		"directory is a file": {func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)); must(t, os.WriteFile(dir, nil, 0o600)) }, nil,
			exitFailed, []string{"not a directory", "name a directory"}},
		"told to join another cluster": {nil, []string{"--join", other.config.ClusterListen}, exitMend, []string{"belongs to cluster", "its own cluster's addresses"}},
		"state directory is a file": {func(t *testing.T, dir string) {
			must(t, os.RemoveAll(filepath.Join(dir, "state")))
			must(t, os.WriteFile(filepath.Join(dir, "state"), nil, 0o600))
		}, nil, exitFailed, []string{"state", "not a directory", "name a directory"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			must(t, os.CopyFS(dir, os.DirFS(template)))
			private(t, dir)
			if tc.damage != nil {
				tc.damage(t, dir)
			}
			expectTrouble(t, dir, tc.args, tc.code, tc.says...)
		})
	}
}

// private takes others' permissions away: a copy does not keep them.
func private(t *testing.T, dir string) {
	t.Helper()
	if out, err := exec.Command("chmod", "-R", "go=", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expectTrouble runs a node on a directory, which has to end with that exit code and those words.
func expectTrouble(t *testing.T, dir string, args []string, code int, says ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	all := append([]string{"server", "--node-id", "n1", "--data-dir", dir, "--api-listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0", "--gossip-listen", "off", "--log-level", "error"}, args...)
	var stdout, stderr bytes.Buffer
	got := run(ctx, all, &stdout, &stderr)
	text := stderr.String()
	if got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	for _, part := range says {
		if !strings.Contains(text, part) {
			t.Errorf("no word of %q", part)
		}
	}
	if strings.Contains(text, "goroutine ") || strings.Contains(text, "panic") {
		t.Error("there is a stack trace")
	}
	if t.Failed() {
		t.Log(text)
	}
}

// A second brokerd in the same directory finds out before it touches anything.
func TestSecondProcessInADirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	n := mustNode(t, loneConfig(t, dir))
	defer n.stop()
	state, err := os.Stat(filepath.Join(dir, "state", "state.db"))
	must(t, err)
	expectTrouble(t, dir, nil, exitFailed, fmt.Sprintf("process %d", os.Getpid()), "stop it")
	again, err := os.Stat(filepath.Join(dir, "state", "state.db"))
	if err != nil || !os.SameFile(state, again) {
		t.Errorf("the second one took the state file of the first: %v", err)
	}
}

// A node that may still give up is not healthy, though its API is served already.
func TestHealthyOnceItIsUp(t *testing.T) {
	c := loneConfig(t, filepath.Join(t.TempDir(), "data"))
	healthz := func() int {
		res, err := http.Get("http://" + c.APIListen + "/healthz")
		if err != nil {
			return 0
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	n := mustNode(t, c)
	if got := healthz(); got != http.StatusOK {
		t.Errorf("a node that is up: %d", got)
	}
	n.stop()

	log, err := bbolt.Open(filepath.Join(c.DataDir, "raft.db"), 0o600, nil) // the node waits for it a while
	must(t, err)
	defer log.Close()
	gaveUp := make(chan error, 1)
	go func() { _, err := startNode(t.Context(), c, c.logger(), io.Discard); gaveUp <- err }()
	for {
		select {
		case err := <-gaveUp:
			if err == nil || !strings.Contains(err.Error(), "in use by another process") {
				t.Errorf("it did not give up: %v", err)
			}
			return
		case <-time.After(10 * time.Millisecond):
			if got := healthz(); got != 0 && got != http.StatusServiceUnavailable {
				t.Fatalf("a node that has not opened its log: %d", got)
			}
		}
	}
}

// A second --init in a directory that belongs to a cluster changes nothing; one in another directory that finds the
// first one's join token is told so.
func TestSecondInit(t *testing.T) {
	c := loneConfig(t, filepath.Join(t.TempDir(), "data"))
	n := mustNode(t, c)
	id := n.cluster.ClusterID()
	n.stop()
	n = mustNode(t, c)
	defer n.stop()
	if again := n.cluster.ClusterID(); again != id {
		t.Errorf("cluster %s became %s", id, again)
	}
	expectTrouble(t, filepath.Join(t.TempDir(), "other"), []string{"--init", "--join-token-file", c.JoinTokenFile}, exitFailed, "something else than a join token of this cluster", "remove it")
}

// A name that another node has is refused for good.
func TestNameThatIsTaken(t *testing.T) {
	c := loneConfig(t, filepath.Join(t.TempDir(), "data"))
	n := mustNode(t, c)
	defer n.stop()
	expectTrouble(t, filepath.Join(t.TempDir(), "other"), []string{"--join", c.ClusterListen, "--join-token-file", c.JoinTokenFile}, exitMend, "n1", "another name")
}

// small returns a file system of that size, which is taken away at the end.
func small(t *testing.T, size, more string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size+",mode=0700"+more, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("mounting a small file system needs root: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	return dir
}

func TestDiskTroubleAtStart(t *testing.T) {
	t.Run("full", func(t *testing.T) {
		expectTrouble(t, filepath.Join(small(t, "64k", ""), "data"), []string{"--init"}, exitFailed, "no space left", "free space there")
	})
	t.Run("almost full", func(t *testing.T) {
		expectTrouble(t, filepath.Join(small(t, "1m", ""), "data"), []string{"--init"}, exitFailed, "no space left", "free space there")
	})
	t.Run("read-only", func(t *testing.T) {
		expectTrouble(t, filepath.Join(small(t, "1m", ",ro"), "data"), []string{"--init"}, exitFailed, "read-only", "data_dir")
	})
}

func TestExitCodes(t *testing.T) {
	for want, errs := range map[int][]error{
		exitFailed: {errors.New("x"), context.DeadlineExceeded},
		exitUsage:  {wrong("x")},
		exitMend:   {mendError{errors.New("x")}, fmt.Errorf("x: %w", cluster.ErrDamaged), fmt.Errorf("x: %w", fsm.ErrNewer)},
	} {
		for _, err := range errs {
			if got := exitCode(err); got != want {
				t.Errorf("%v: %d, want %d", err, got, want)
			}
		}
	}
}
