package backup

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"broker/fsm"
	"broker/seal"
	"broker/snapshot"
)

func mustState(t *testing.T) *fsm.State {
	t.Helper()
	s, err := fsm.Open(fsm.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// mustKeyring makes a keyring.
func mustKeyring(t *testing.T) *seal.Keyring {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring.json")
	if err := seal.Create(path); err != nil {
		t.Fatal(err)
	}
	ring, err := seal.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// mustApply applies commands as the entries after what the state has.
func mustApply(t *testing.T, s *fsm.State, bodies ...fsm.Body) {
	t.Helper()
	for _, body := range bodies {
		c, err := fsm.NewCommand(body, time.Unix(1_700_000_000, 0), fsm.Actor{Account: "admin"}, 0)
		if err != nil {
			t.Fatal(err)
		}
		data, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		r := s.Apply(&raft.Log{Index: s.Index() + 1, Term: 1, Data: data}).(*fsm.Result)
		if r.Refusal != nil {
			t.Fatalf("%T: %v", body, r.Refusal)
		}
	}
}

func initCluster() *fsm.InitCluster {
	return &fsm.InitCluster{ClusterID: "c1", Account: fsm.Account{Name: "admin", Kind: fsm.KindUser}, Token: fsm.Token{Accessor: "t1", Hash: []byte("hash"), Account: "admin"}}
}

func mustSave(t *testing.T, s *fsm.State, ring *seal.Keyring) []byte {
	t.Helper()
	made, err := (&Maker{State: s, Keyring: ring, Node: "n1", Version: "test"}).Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	var out bytes.Buffer
	if _, err := made.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestSave(t *testing.T) {
	s := mustState(t)
	if _, err := (&Maker{State: s, Keyring: mustKeyring(t)}).Begin(); !errors.Is(err, ErrNoCluster) {
		t.Errorf("a snapshot of nothing: %v", err)
	}
	if _, err := (&Maker{State: s}).Begin(); err == nil || errors.Is(err, ErrNoCluster) {
		t.Errorf("a snapshot without a keyring: %v", err)
	}
	mustApply(t, s, initCluster(), &fsm.CreateEnvironment{Name: "payments/production"})
	header, _, err := snapshot.Verify(bytes.NewReader(mustSave(t, s, mustKeyring(t))))
	if err != nil {
		t.Fatal(err)
	}
	if header.ClusterID != "c1" || header.Index != 2 || header.Counts["environments"] != 1 || header.Node != "n1" {
		t.Errorf("header: %+v", header)
	}
}

// A client that takes nothing keeps the node neither from the leader's snapshot nor from stopping.
func TestSlowClientGivesWay(t *testing.T) {
	s := mustState(t)
	mustApply(t, s, initCluster(), &fsm.CreateEnvironment{Name: "payments/production", Description: strings.Repeat("x", 1<<10)})
	made, err := (&Maker{State: s, Keyring: mustKeyring(t), Node: "n1"}).Begin()
	if err != nil {
		t.Fatal(err)
	}
	stuck, out := io.Pipe()
	written := make(chan error, 1)
	go func() {
		_, err := made.WriteTo(out)
		written <- err
	}()
	if _, err := io.ReadFull(stuck, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // returns though nobody reads
		t.Fatal(err)
	}
	if err := stuck.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-written; err == nil {
		t.Error("the snapshot of a closed state was written to its end")
	}
}
