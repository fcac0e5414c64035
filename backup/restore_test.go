package backup

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"broker/fsm"
	"broker/seal"
	"broker/snapshot"
)

// mustFile writes a snapshot file after change has altered what its header says, with a checksum that fits and the
// keyring's proof.
func mustFile(t *testing.T, whole []byte, ring *seal.Keyring, change func(*snapshot.Header)) string {
	t.Helper()
	in, err := snapshot.NewReader(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	header := in.Header()
	if change != nil {
		change(&header)
	}
	path := filepath.Join(t.TempDir(), "broker.snapshot")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := snapshot.NewWriter(f, header, proving(ring))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(out.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpen(t *testing.T) {
	s := mustState(t)
	mustApply(t, s, initCluster(), &fsm.CreateEnvironment{Name: "payments/production"})
	ring := mustKeyring(t)
	whole := mustSave(t, s, ring)
	dir := t.TempDir()
	for what, change := range map[string]func(*snapshot.Header){
		"cluster": func(h *snapshot.Header) { h.ClusterID = "c2" },
		"index":   func(h *snapshot.Header) { h.Index++ },
		"hash":    func(h *snapshot.Header) { h.StateHash = "00" },
	} {
		if _, err := Open(mustFile(t, whole, ring, change), dir, nil); !errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("a header with another %s: %v", what, err)
		}
	}
	newer := func(h *snapshot.Header) { h.FeatureLevel = fsm.FeatureLevel + 1 }
	if _, err := Open(mustFile(t, whole, ring, newer), dir, nil); !errors.Is(err, snapshot.ErrNewer) {
		t.Errorf("a feature level that is not read here: %v", err)
	}
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}

	r, err := Open(mustFile(t, whole, ring, nil), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Recovery(); !errors.Is(err, ErrNoRecovery) {
		t.Errorf("a cluster without shares: %v", err)
	}
	index, term, err := r.Begin(Plan{Drill: true, Now: time.Unix(1_700_000_100, 0)})
	if err != nil || index <= 2 || term <= 1 {
		t.Errorf("begins at %d, term %d: %v", index, term, err)
	}
	again := mustSave(t, r.State, ring)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}

	// A snapshot of a drill is one, whatever it is restored as.
	r, err = Open(mustFile(t, again, ring, nil), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Header.Restored != "drill" {
		t.Errorf("header: %+v", r.Header)
	}
	if _, _, err := r.Begin(Plan{Now: time.Unix(1_700_000_200, 0)}); err != nil || !r.State.Restored().Drill {
		t.Errorf("the drill's mark is gone: %+v, %v", r.State.Restored(), err)
	}
}

// Whoever may write to where snapshots lie, and has no key, cannot have a cluster restored from what he made.
func TestForgedSnapshot(t *testing.T) {
	s, ring, other := mustState(t), mustKeyring(t), mustKeyring(t)
	mustApply(t, s, initCluster(), &fsm.CreateEnvironment{Name: "payments/production"})
	dir, whole := t.TempDir(), mustSave(t, s, ring)
	for what, c := range map[string]struct {
		by   *seal.Keyring
		want error
	}{"a node": {ring, nil}, "somebody else": {other, snapshot.ErrForged}} {
		path := mustFile(t, whole, c.by, func(h *snapshot.Header) { h.Node = "n7" })
		r, err := Open(path, dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.CheckKeyring(ring); !errors.Is(err, c.want) {
			t.Errorf("made by %s: %v", what, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if r, err = Open(path, dir, &Cluster{ID: "c1", Keyring: ring}); !errors.Is(err, c.want) {
			t.Errorf("made by %s, for a cluster that is known: %v", what, err)
		}
		if err == nil {
			err = r.Close()
		}
		if c.want == nil && err != nil {
			t.Error(err)
		}
	}
	if _, err := Open(mustFile(t, whole, ring, nil), dir, &Cluster{ID: "c2", Keyring: ring}); err == nil || errors.Is(err, snapshot.ErrForged) {
		t.Errorf("another cluster's: %v", err)
	}
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}
