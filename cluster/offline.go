package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"broker/cluster/trust"
)

// Offline is a data directory that no node works on: to begin a cluster of one node from a state, be it one
// that a snapshot file brought or what is left of this very node. It holds the directory's lock. It is not
// safe for concurrent use.
type Offline struct {
	dir    string
	id     identity // empty: the directory has never belonged to a node
	stores *stores
}

// ErrNotEmpty is returned when a directory that has to be empty belongs to a node.
var ErrNotEmpty = errors.New("the data directory is not empty")

// ErrNoNode is returned when a directory that has to belong to a node belongs to none.
var ErrNoNode = errors.New("the data directory belongs to no node")

// OpenOffline opens the data directory of a node. It fails while a process works on it.
func OpenOffline(dir string) (*Offline, error) {
	id, known, err := readIdentity(dir)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, fmt.Errorf("%w: %s holds no %s", ErrNoNode, dir, identityFile)
	}
	if id.RemovedAt != nil {
		return nil, fmt.Errorf("%w: node %q was removed from its cluster at %s", ErrNoNode, id.NodeID, id.RemovedAt.UTC().Format(time.RFC3339))
	}
	return openOffline(dir, id)
}

// NewOffline makes a data directory, or takes an empty one. See CheckEmpty.
func NewOffline(dir string) (*Offline, error) {
	if err := CheckEmpty(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the data directory: %w", err)
	}
	return openOffline(dir, identity{})
}

func openOffline(dir string, id identity) (*Offline, error) {
	opened, err := openStores(Config{DataDir: dir, Halt: func(error) {}, Flush: flush}, &diskBook{}, hclog.NewNullLogger())
	if err != nil {
		return nil, err
	}
	return &Offline{dir: dir, id: id, stores: opened}, nil
}

// NodeID names the node that the directory belongs to; empty when it belongs to none.
func (o *Offline) NodeID() string { return o.id.NodeID }

// ClusterID is the identity of the node's cluster; empty when the directory belongs to none.
func (o *Offline) ClusterID() string { return o.id.ClusterID }

// Close lets the directory go.
func (o *Offline) Close() error { return o.stores.close() }

// Remains is what a data directory holds of its cluster.
type Remains struct {
	Index   uint64 // of the last entry
	Term    uint64 // of that entry
	Members []raft.Server
}

// Replay brings the newest snapshot and the whole log after it into an empty state machine. What is at the
// end of the log may never have been committed; nobody is left to ask.
func (o *Offline) Replay(machine raft.BatchingFSM) (Remains, error) {
	var left Remains
	kept, err := o.stores.snapshots.List()
	if err != nil {
		return left, fmt.Errorf("looking for snapshots: %w", err)
	}
	if len(kept) > 0 {
		meta, content, err := o.stores.snapshots.Open(kept[0].ID)
		if err != nil {
			return left, fmt.Errorf("opening the newest snapshot: %w", err)
		}
		err = machine.Restore(content)
		_ = content.Close() // it may be closed already
		if err != nil {
			return left, err
		}
		left = Remains{Index: meta.Index, Term: meta.Term, Members: meta.Configuration.Servers}
	}
	last, err := o.stores.logs.LastIndex()
	if err != nil {
		return left, fmt.Errorf("looking into the log: %w", err)
	}
	for left.Index < last {
		batch := make([]*raft.Log, 0, maxBatch)
		for i := left.Index + 1; i <= last && len(batch) < maxBatch; i++ {
			var entry raft.Log
			if err := o.stores.logs.GetLog(i, &entry); err != nil {
				return left, fmt.Errorf("reading entry %d of the log: %w", i, err)
			}
			left.Index, left.Term = entry.Index, entry.Term
			switch entry.Type {
			case raft.LogCommand:
				batch = append(batch, &entry)
			case raft.LogConfiguration:
				left.Members = raft.DecodeConfiguration(entry.Data).Servers
			default: // concerns Raft alone
			}
		}
		if len(batch) > 0 {
			machine.ApplyBatch(batch)
		}
	}
	return left, nil
}

// Beginning says how a cluster of one node begins.
type Beginning struct {
	NodeID    string
	ClusterID string
	Address   string // of the node, as other nodes will find it; a start at another one tells the log
	Index     uint64 // that the state stands for; beyond everything in the directory's log
	Term      uint64 // likewise
	Level     uint64 // the feature level that the state is of
	State     raft.FSM
}

// Begin makes the directory one of a cluster of this node alone, with the state as it is. A plain start of the
// node goes on from there. What else the directory's log held is gone.
func (o *Offline) Begin(b Beginning) error {
	if !nodeIDPattern.MatchString(b.NodeID) {
		return fmt.Errorf("node id %q must be lower case letters, digits, '_', '.' or '-', at most 63 of them", b.NodeID)
	}
	first, err := o.stores.logs.FirstIndex()
	if err != nil {
		return fmt.Errorf("looking into the log: %w", err)
	}
	last, err := o.stores.logs.LastIndex()
	if err != nil {
		return fmt.Errorf("looking into the log: %w", err)
	}
	if b.Index <= last {
		return fmt.Errorf("a state at index %d does not come after the log's last entry %d", b.Index, last)
	}
	// Before the snapshot: a node that comes up with it must never vote in an earlier term.
	if err := o.stores.bolt.SetUint64([]byte("CurrentTerm"), b.Term); err != nil {
		return fmt.Errorf("writing the term: %w", err)
	}
	if err := o.write(b); err != nil {
		return fmt.Errorf("writing the state: %w", err)
	}
	if last > 0 {
		if err := o.stores.logs.DeleteRange(first, last); err != nil {
			return fmt.Errorf("emptying the log: %w", err)
		}
	}
	id := o.id
	id.NodeID, id.ClusterID, id.Level = b.NodeID, b.ClusterID, b.Level
	if id.Instance == "" {
		id.Instance = newInstance()
		if err := o.stores.bolt.Set([]byte(keyInstance), []byte(id.Instance)); err != nil {
			return fmt.Errorf("writing the directory's instance: %w", err)
		}
	}
	// Last: a directory without it is refused by every start.
	return writeIdentity(o.dir, id)
}

func (o *Offline) write(b Beginning) error {
	_, transport := raft.NewInmemTransport(raft.ServerAddress(b.Address)) // asked how addresses are encoded
	defer transport.Close()
	alone := raft.Configuration{Servers: []raft.Server{{
		Suffrage: raft.Voter, ID: raft.ServerID(b.NodeID), Address: raft.ServerAddress(b.Address),
	}}}
	content, err := b.State.Snapshot()
	if err != nil {
		return err
	}
	defer content.Release()
	sink, err := o.stores.snapshots.Create(raft.SnapshotVersionMax, b.Index, b.Term, alone, b.Index, transport)
	if err != nil {
		return err
	}
	return content.Persist(sink)
}

// CheckEmpty returns an error wrapping ErrNotEmpty when a directory holds anything of a node. It changes nothing.
func CheckEmpty(dir string) error {
	for _, name := range []string{identityFile, trust.FileName, logFile, "snapshots", "state"} {
		path := filepath.Join(dir, name)
		_, err := os.Lstat(path)
		if err == nil {
			return fmt.Errorf("%w: %s exists; move away what is there, or name another directory", ErrNotEmpty, path)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("looking into the data directory: %w", err)
		}
	}
	return nil
}
