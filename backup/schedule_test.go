package backup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"broker/snapshot"
)

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestScheduledSnapshots(t *testing.T) {
	dir, state := filepath.Join(t.TempDir(), "snapshots"), mustState(t)
	ring := mustKeyring(t)
	mustApply(t, state, initCluster())
	synctest.Test(t, func(t *testing.T) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		foreign := []string{"broker-n1-old-20000101T000000Z.snapshot", "notes.txt", "broker-n2-20000101T000000Z.snapshot"}
		left := "broker-n1-20000101T000000Z.snapshot.part"
		for _, name := range append(slices.Clone(foreign), left) {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var stale atomic.Bool
		k, err := NewKeeper(Schedule{
			Maker: &Maker{State: state, Keyring: ring, Node: "n1", Version: "test"}, Dir: dir, Interval: time.Hour, Keep: 2,
			Current: func() error {
				if stale.Load() {
					return errors.New("this node has not heard of a leader for an hour")
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); k.Run(ctx) }()
		pass := func(d time.Duration) { <-time.After(d); synctest.Wait() }

		pass(10 * time.Minute)
		if at, ok := k.Newest(); !ok || time.Since(at) > 10*time.Minute || len(k.Warnings()) > 0 {
			t.Errorf("newest %v, %v; warnings %q", at, ok, k.Warnings())
		}
		pass(3 * time.Hour)
		ours := slices.DeleteFunc(names(t, dir), func(n string) bool { return slices.Contains(foreign, n) })
		if len(ours) != 2 {
			t.Errorf("kept %q, want the newest two, and nothing half written", ours)
		}
		for _, name := range ours {
			f, err := os.Open(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := snapshot.Verify(f); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", name, info, err)
			}
			f.Close()
		}
		if len(names(t, dir)) != 5 {
			t.Errorf("files of others were touched: %q", names(t, dir))
		}

		// Failures are told, and end.
		stale.Store(true)
		pass(90 * time.Minute)
		if w := strings.Join(k.Warnings(), "; "); !strings.Contains(w, "has not heard of a leader") || strings.Contains(w, "old") {
			t.Errorf("warnings: %q", w)
		}
		pass(3 * time.Hour)
		if w := strings.Join(k.Warnings(), "; "); !strings.Contains(w, "old; one is due every 1h0m0s") {
			t.Errorf("warnings: %q", w)
		}
		stale.Store(false)
		pass(10 * time.Minute)
		if w := k.Warnings(); len(w) > 0 {
			t.Errorf("warnings: %q", w)
		}
		// Not made when nothing can be written; what is there stays.
		before := names(t, dir)
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Hour)
		if w := k.Warnings(); len(w) != 1 || len(names(t, dir+".away")) != len(before) {
			t.Errorf("warnings: %q, files %q", w, names(t, dir+".away"))
		}
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		stop()
		<-ended
	})
	// A node that comes back knows what it has.
	k, err := NewKeeper(Schedule{Maker: &Maker{State: state, Keyring: ring, Node: "n1"}, Dir: dir, Interval: time.Hour, Keep: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := k.Newest(); !ok {
		t.Error("the newest snapshot was not found")
	}
}
