package cluster_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// stoppedNode returns the directory and configuration of a node that has entries, two snapshots of them and
// some more, and was stopped.
func stoppedNode(t *testing.T, trailing uint64) (*clustertest.Node, cluster.Config) {
	t.Helper()
	c := clustertest.New(t, 1, &clustertest.Options{Configure: func(_ *clustertest.Node, cfg *cluster.Config) { cfg.TrailingLogs = trailing }})
	n := c.Leader()
	for range 2 {
		for range 20 {
			n.MustPropose(bytes.Repeat([]byte("entry"), 1000))
		}
		if err := n.Live().Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	n.MustPropose([]byte("more"))
	c.Stop(n)
	cfg := c.Config(n)
	cfg.TrailingLogs = trailing
	return n, cfg
}

// newest returns a file of the newest snapshot.
func newest(t *testing.T, dir, name string) string {
	t.Helper()
	// Names begin with term and index, which have as many digits here.
	all, err := filepath.Glob(filepath.Join(dir, "snapshots", "*", name))
	if err != nil || len(all) != 2 {
		t.Fatalf("snapshots: %v, %v", all, err)
	}
	return all[1]
}

// change rewrites a file.
func change(t *testing.T, path string, how func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, how(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func half(data []byte) []byte { return data[:len(data)/2] }

// quarter cuts a bbolt file where something is lost: it grows by doubling, a page before it is full, so that its second half may
// hold nothing yet.
func quarter(data []byte) []byte { return data[:len(data)/4] }

func flip(data []byte) []byte { data[len(data)/2]++; return data }

func garbage(data []byte) []byte { return bytes.Repeat([]byte{0xa5}, len(data)) }

// A node whose files are not whole does not start: what it acknowledged and lost may have been what made a
// majority. It says which file it is, and what can be done.
func TestDamagedDirectory(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		damage func(t *testing.T, dir string)
		want   error
		says   string // besides the file
		file   string
	}{
		"log cut short":    {func(t *testing.T, dir string) { change(t, filepath.Join(dir, "raft.db"), quarter) }, cluster.ErrDamaged, "cut short", "raft.db"},
		"log of nonsense":  {func(t *testing.T, dir string) { change(t, filepath.Join(dir, "raft.db"), garbage) }, cluster.ErrDamaged, "empty directory", "raft.db"},
		"log half damaged": {func(t *testing.T, dir string) { change(t, filepath.Join(dir, "raft.db"), damageTail) }, cluster.ErrDamaged, "empty directory", "raft.db"},
		"log empty": {func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, "raft.db"), func([]byte) []byte { return nil })
		}, cluster.ErrDamaged, "missing or empty", "raft.db"},
		"log missing": {func(t *testing.T, dir string) { mustRemove(t, filepath.Join(dir, "raft.db")) }, cluster.ErrDamaged, "votes", "raft.db"},
		"journal cut short": {func(t *testing.T, dir string) { change(t, filepath.Join(dir, "raft.journal0"), half) },
			cluster.ErrDamaged, "cut short", "raft.journal0"},
		"journal missing": {func(t *testing.T, dir string) { mustRemove(t, filepath.Join(dir, "raft.journal1")) },
			cluster.ErrDamaged, "missing", "raft.journal1"},
		"identity of a newer version": {func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, "node.json"), func(data []byte) []byte { return bytes.Replace(data, []byte(`"format": 1`), []byte(`"format": 7`), 1) })
		}, cluster.ErrIdentity, "newer version", "node.json"},
		"identity cut short": {func(t *testing.T, dir string) { change(t, filepath.Join(dir, "node.json"), half) }, cluster.ErrIdentity, "put it back", "node.json"},
		"identity missing":   {func(t *testing.T, dir string) { mustRemove(t, filepath.Join(dir, "node.json")) }, cluster.ErrIdentity, "put it back", "node.json"},
		"newest snapshot damaged": {func(t *testing.T, dir string) { change(t, newest(t, dir, "state.bin"), flip) },
			cluster.ErrDamaged, "CRC", "snapshots"},
		"newest snapshot cut short": {func(t *testing.T, dir string) { change(t, newest(t, dir, "state.bin"), half) },
			cluster.ErrDamaged, "put it back", "snapshots"},
		"newest snapshot without description": {func(t *testing.T, dir string) { mustRemove(t, newest(t, dir, "meta.json")) },
			cluster.ErrDamaged, "description", "snapshots"},
		"both snapshots without description": {func(t *testing.T, dir string) {
			mustRemove(t, newest(t, dir, "meta.json"))
			all, _ := filepath.Glob(filepath.Join(dir, "snapshots", "*", "meta.json"))
			mustRemove(t, all[0])
		}, cluster.ErrDamaged, "description", "snapshots"},
	} {
		t.Run(name, func(t *testing.T) {
			// Nothing stays in the log before a snapshot, so that no older one can take its place.
			n, cfg := stoppedNode(t, 1)
			tc.damage(t, n.Dir)
			_, err := start(t, cfg)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), filepath.Join(n.Dir, tc.file)) {
				t.Errorf("want %v with %q and the path of %s:\n%v", tc.want, tc.says, tc.file, err)
			}
		})
	}
}

// damageTail overwrites every page of a raft-boltdb file but the first two, which only say where the others
// are.
func damageTail(data []byte) []byte {
	for at := 2 * os.Getpagesize(); at+8 <= len(data); at += 8 {
		binary.BigEndian.PutUint64(data[at:], 0xa5a5a5a5a5a5a5a5)
	}
	return data
}

func mustRemove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// With everything since the older snapshot in the log a damaged newest one costs nothing.
func TestDamagedSnapshotThatIsNotNeeded(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string){
		"content":     func(t *testing.T, dir string) { change(t, newest(t, dir, "state.bin"), flip) },
		"description": func(t *testing.T, dir string) { change(t, newest(t, dir, "meta.json"), half) },
	} {
		t.Run(name, func(t *testing.T) {
			n, cfg := stoppedNode(t, 1000)
			damage(t, n.Dir)
			mustStart(t, cfg)
			clustertest.Eventually(t, "everything", func() bool { return len(n.Journal().Entries()) == 41 })
		})
	}
}

// A snapshot that is whole and that the state machine does not understand is a newer version's: an older one
// must not take its place.
func TestSnapshotOfANewerVersion(t *testing.T) {
	n, cfg := stoppedNode(t, 1000)
	cfg.FSM = refusing{n.Journal()}
	if _, err := start(t, cfg); !errors.Is(err, cluster.ErrDamaged) || !errors.Is(err, errNewer) {
		t.Error(err)
	}
}

var errNewer = errors.New("a newer version wrote this")

// refusing is a state machine that understands no snapshot.
type refusing struct{ *clustertest.Journal }

func (refusing) Restore(io.ReadCloser) error { return errNewer }

// A member that is told to join another cluster than its own would look for its leader for ever.
func TestDirectoryOfAnotherCluster(t *testing.T) {
	first, second := plain(t, "n1"), plain(t, "n1")
	first.Init, second.Init = true, true
	stop(t, mustStart(t, first))
	other := mustStart(t, second)
	first.Init, first.Join = false, []string{"127.0.0.1:1", other.Status().ClusterAddr}
	if _, err := start(t, first); !errors.Is(err, cluster.ErrIdentity) || !strings.Contains(err.Error(), "belongs to cluster") {
		t.Error(err)
	}
	first.Join = []string{"127.0.0.1:1"} // nobody there: nothing is known
	mustStart(t, first)
}
