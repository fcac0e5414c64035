package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"broker/api/types"
)

// The leader's disk is full: it says so, the others go on, and with room again it is started and has
// everything. Nothing that was acknowledged is lost.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	h := newCluster(t)
	leader, _ := h.leader()
	h.moveToSmallDisk(leader, "24m")
	for now, _ := h.leader(); now != leader; now, _ = h.leader() {
		// Whoever leads goes away for a moment, until it is the one with the small disk.
		h.mustDevcluster("stop", fmt.Sprint(now))
		h.mustDevcluster("start", fmt.Sprint(now))
	}
	c := h.client()
	number := 0
	write := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		number++
		_, err := c.CreateEnvironment(ctx, types.EnvironmentSpec{Name: fmt.Sprintf("app%d/production", number), Description: strings.Repeat("words ", 150)})
		return err
	}
	must(t)(nil, write())
	if status, err := h.client(leader).GetCluster(t.Context()); err != nil || !strings.Contains(strings.Join(status.Warnings, "\n"), "are left on the disk") {
		t.Errorf("nothing says that the disk is small: %v, %v", status.Warnings, err)
	}
	filler := h.fill(leader)
	var acknowledged []int
	written := func(want int) func() bool {
		return func() bool {
			if err := write(); err == nil {
				acknowledged = append(acknowledged, number)
			}
			return len(acknowledged) >= want
		}
	}
	eventually(t, 2*time.Minute, "another leader", func() bool {
		written(0)()
		now, err := h.devcluster("leader")
		return err == nil && now != fmt.Sprint(leader)
	})
	eventually(t, time.Minute, "twenty more writes", written(len(acknowledged)+20))
	log := tail(h.path(leader, "log"), 1000)
	if !strings.Contains(log, "no space left on device") || strings.Contains(log, "goroutine ") {
		t.Errorf("what the operator sees:\n%s", tail(h.path(leader, "log"), 20))
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	h.mustDevcluster("start", fmt.Sprint(leader)) // where it has ended
	back := h.client(leader)
	eventually(t, time.Minute, "the node to have everything", func() bool {
		for _, n := range acknowledged {
			if _, err := back.GetEnvironment(t.Context(), fmt.Sprintf("app%d/production", n)); err != nil {
				return false
			}
		}
		return true
	})
	t.Logf("%d of %d writes were acknowledged", len(acknowledged), number)
}

func (h *house) path(node int, name string) string {
	return filepath.Join(h.dir, fmt.Sprintf("node%d", node), name)
}

// moveToSmallDisk gives a node's data a file system of its own.
func (h *house) moveToSmallDisk(node int, size string) {
	h.t.Helper()
	data := h.path(node, "data")
	h.mustDevcluster("stop", fmt.Sprint(node))
	if err := os.Rename(data, data+".old"); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		h.t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size+",mode=0700", "tmpfs", data).CombinedOutput(); err != nil {
		h.t.Skipf("mounting a small file system needs root: %v: %s", err, out)
	}
	h.t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", data).CombinedOutput(); err != nil {
			h.t.Errorf("%v: %s", err, out)
		}
	})
	if out, err := exec.Command("cp", "-a", data+".old/.", data).CombinedOutput(); err != nil {
		h.t.Fatalf("%v: %s", err, out)
	}
	h.mustDevcluster("start", fmt.Sprint(node))
}

// fill writes a file until there is no room on a node's disk any more.
func (h *house) fill(node int) (path string) {
	h.t.Helper()
	path = filepath.Join(h.path(node, "data"), "filler")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4096} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		h.t.Fatal(err)
	}
	return path
}
