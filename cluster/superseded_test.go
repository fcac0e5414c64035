package cluster

import (
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// A crash between a snapshot that is ahead of the log and the log's being emptied: the next start empties it, or
// nothing that follows the snapshot could be stored.
func TestLogBehindItsSnapshot(t *testing.T) {
	cfg, err := Config{NodeID: "n1", DataDir: t.TempDir(), ClusterAddr: "127.0.0.1:0", Network: PlainTCP{}, FSM: struct{ raft.BatchingFSM }{}, UnsafeNoSync: true}.validate()
	if err != nil {
		t.Fatal(err)
	}
	open := func() *stores {
		t.Helper()
		s, err := openStores(cfg, &diskBook{}, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	entry := func(index uint64) *raft.Log { return &raft.Log{Index: index, Term: 1, Data: []byte("x")} }
	s := open()
	for i := range uint64(5) {
		if err := s.logs.StoreLog(entry(i + 1)); err != nil {
			t.Fatal(err)
		}
	}
	_, transport := raft.NewInmemTransport("n1")
	sink, err := s.snapshots.Create(1, 10, 1, raft.Configuration{}, 1, transport)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Write([]byte("state")); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	defer func() { _ = s.close() }()
	if last, err := s.logs.LastIndex(); err != nil || last != 0 {
		t.Errorf("the log ends at %d, %v; want it empty", last, err)
	}
	if err := s.logs.StoreLog(entry(11)); err != nil {
		t.Errorf("storing what follows the snapshot: %v", err)
	}
}
