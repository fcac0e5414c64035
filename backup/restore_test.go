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
	"broker/snapshot"
)

// mustFile writes a snapshot file after change has altered what its header says.
func mustFile(t *testing.T, whole []byte, change func(*snapshot.Header)) string {
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
	out, err := snapshot.NewWriter(f, header)
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
	whole := mustSave(t, s)
	dir := t.TempDir()
	for what, change := range map[string]func(*snapshot.Header){
		"cluster": func(h *snapshot.Header) { h.ClusterID = "c2" },
		"index":   func(h *snapshot.Header) { h.Index++ },
		"hash":    func(h *snapshot.Header) { h.StateHash = "00" },
	} {
		if _, err := Open(mustFile(t, whole, change), dir); !errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("a header with another %s: %v", what, err)
		}
	}
	newer := func(h *snapshot.Header) { h.FeatureLevel = fsm.FeatureLevel + 1 }
	if _, err := Open(mustFile(t, whole, newer), dir); !errors.Is(err, snapshot.ErrNewer) {
		t.Errorf("a feature level that is not read here: %v", err)
	}
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}

	r, err := Open(mustFile(t, whole, nil), dir)
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
	again := mustSave(t, r.State)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}

	// A snapshot of a drill is one, whatever it is restored as.
	r, err = Open(mustFile(t, again, nil), dir)
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
