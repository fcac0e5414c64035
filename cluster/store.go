package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

const (
	identityFile   = "node.json"
	logFile        = "raft.db"
	snapshotDir    = "snapshots"
	logCacheSize   = 2048
	keptSnapshots  = 2
	lockTimeout    = 2 * time.Second
	identityFormat = 1
)

// identity is what a data directory says of its owner.
type identity struct {
	Format    int    `json:"format"`
	NodeID    string `json:"node_id"`
	ClusterID string `json:"cluster_id"`
	// Instance is the name of this very directory; see brand.
	Instance string `json:"instance,omitempty"`
	// Level is the highest feature level that the log was written at, as far as this node knows.
	Level uint64 `json:"feature_level,omitempty"`
	// RemovedAt is set once the node is no member any more.
	RemovedAt *time.Time `json:"removed_at,omitempty"`
}

// readIdentity returns the stored identity and whether there is one.
func readIdentity(dir string) (identity, bool, error) {
	path := filepath.Join(dir, identityFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return identity{}, false, nil
	}
	if err != nil {
		return identity{}, false, fmt.Errorf("reading the node's identity: %w", err)
	}
	var id identity
	if err := json.Unmarshal(data, &id); err != nil {
		return identity{}, false, fmt.Errorf("%w: %s is damaged (%w): put it back; it names this node and its cluster", ErrIdentity, path, err)
	}
	switch {
	case id.Format > identityFormat:
		return identity{}, false, fmt.Errorf("%w: %s was written by a newer version of this program: start that one again", ErrIdentity, path)
	case id.NodeID == "" || id.ClusterID == "":
		return identity{}, false, fmt.Errorf("%w: %s is damaged: put it back; it names this node and its cluster", ErrIdentity, path)
	}
	return id, true, nil
}

// writeIdentity stores the identity so that a crash leaves the old or the new.
func writeIdentity(dir string, id identity) error {
	id.Format = identityFormat
	data, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the node's identity: %w", err)
	}
	path := filepath.Join(dir, identityFile)
	if err := writeSynced(path+".tmp", append(data, '\n')); err != nil {
		return fmt.Errorf("writing the node's identity: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("writing the node's identity: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("writing the node's identity: %w", err)
	}
	return nil
}

// syncDir makes names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// checkIdentity compares what is stored with what the configuration says; an
// empty configured value agrees with everything.
func checkIdentity(dir string, stored identity, nodeID, clusterID string) error {
	if nodeID != "" && nodeID != stored.NodeID {
		return fmt.Errorf("%w: %s belongs to node %q, but this node is configured as %q; give the node its own directory, or its own name back",
			ErrIdentity, dir, stored.NodeID, nodeID)
	}
	if clusterID != "" && clusterID != stored.ClusterID {
		return fmt.Errorf("%w: %s belongs to cluster %s, not to cluster %s; give the node an empty directory to make it a member there",
			ErrIdentity, dir, stored.ClusterID, clusterID)
	}
	return nil
}

// stores are the files Raft lives on.
type stores struct {
	bolt      *raftboltdb.BoltStore // terms and votes, and all but the newest entries of the log
	journal   *journal
	logs      raft.LogStore
	stable    raft.StableStore // bolt, watched
	snapshots *indexedSnapshots
}

func openStores(cfg Config, disk *diskBook, logger hclog.Logger) (*stores, error) {
	dir := cfg.DataDir
	if err := checkFiles(dir); err != nil {
		return nil, err
	}
	bolt, err := raftboltdb.New(raftboltdb.Options{
		Path: filepath.Join(dir, logFile),
		// Freelist: the map is fast with many free pages, and it need not be
		// written with every commit since opening can rebuild it.
		BoltOptions: &bbolt.Options{
			Timeout:        lockTimeout,
			NoFreelistSync: true,
			FreelistType:   bbolt.FreelistMapType,
		},
		NoSync:                  cfg.UnsafeNoSync,
		MsgpackUseNewTimeFormat: true,
	})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return nil, fmt.Errorf("opening the log: %s is in use by another process: a node that runs on it has to be stopped first", filepath.Join(dir, logFile))
	}
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	s := &stores{bolt: bolt, stable: watchedStable{bolt, disk, cfg.Halt}}
	if s.journal, err = openJournal(dir, bolt, journalSize, cfg.Flush, logger.Warn, cfg.Halt); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the log: %w", err), bolt.Close())
	}
	s.journal.watch = disk.begin
	var log raft.LogStore = s.journal
	if cfg.WrapLog != nil {
		log = cfg.WrapLog(log)
	}
	if s.logs, err = raft.NewLogCache(logCacheSize, monotonic{watchedLog{log, disk}}); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the log: %w", err), s.close())
	}
	files, err := raft.NewFileSnapshotStoreWithLogger(dir, keptSnapshots, logger)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the snapshots: %w", err), s.close())
	}
	s.snapshots = &indexedSnapshots{SnapshotStore: files, dir: filepath.Join(dir, snapshotDir), log: s.journal, warn: logger.Warn}
	if err := errors.Join(s.snapshots.tighten(), s.snapshots.check()); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := s.forgetSuperseded(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// forgetSuperseded empties a log that ends before the newest snapshot. It is what a crash leaves between a snapshot that
// skips entries, or holds some that this node had not flushed yet, and the log's being emptied; Raft would never come back
// to that, and what follows the snapshot does not follow the log's last entry.
func (s *stores) forgetSuperseded() error {
	list, err := s.snapshots.List()
	if err != nil {
		return fmt.Errorf("looking at the snapshots: %w", err)
	}
	first, err := s.logs.FirstIndex()
	if err != nil {
		return fmt.Errorf("looking into the log: %w", err)
	}
	last, err := s.logs.LastIndex()
	if err != nil {
		return fmt.Errorf("looking into the log: %w", err)
	}
	if len(list) == 0 || last == 0 || list[0].Index <= last {
		return nil
	}
	if err := s.logs.DeleteRange(first, last); err != nil {
		return fmt.Errorf("emptying the log, which the snapshot at index %d supersedes: %w", list[0].Index, err)
	}
	return nil
}

func (s *stores) hasState() (bool, error) {
	return raft.HasExistingState(s.logs, s.bolt, s.snapshots)
}

func (s *stores) close() error {
	return errors.Join(s.journal.close(), s.bolt.Close())
}

// watchedLog has a node know how long Raft waits for its log.
type watchedLog struct {
	raft.LogStore
	disk *diskBook
}

func (l watchedLog) StoreLogs(entries []*raft.Log) error {
	end := l.disk.begin(false)
	err := l.LogStore.StoreLogs(entries)
	end(err)
	return err
}

// watchedStable is where terms and votes are kept. Raft panics when they cannot be written: a node that
// ends says why instead.
type watchedStable struct {
	raft.StableStore
	disk *diskBook
	halt func(error)
}

func (s watchedStable) Set(key, value []byte) error {
	return s.write(func() error { return s.StableStore.Set(key, value) })
}

func (s watchedStable) SetUint64(key []byte, value uint64) error {
	return s.write(func() error { return s.StableStore.SetUint64(key, value) })
}

func (s watchedStable) write(set func() error) error {
	end := s.disk.begin(false)
	err := set()
	end(err)
	if err != nil {
		err = fmt.Errorf("writing this node's term and vote: %w", err)
		s.halt(err)
	}
	return err
}
