package fsm

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// Config says how to open a State.
type Config struct {
	// Dir is the directory of the state file, made with 0700 if missing. What is in the file is
	// discarded: Raft brings snapshot and log back.
	Dir string

	// Halt is called with the reason when this node cannot go on: an entry it does not understand,
	// a state file it cannot write. It must not return. Nil: panic.
	Halt func(error)
}

// State is the replicated state machine. Raft applies to it, everybody else reads from it. It is
// safe for concurrent use. Reads wait for the batch that is being applied at the most, Apply for no read.
type State struct {
	halt func(error)
	path string

	mu sync.RWMutex // write-locked only while the file is exchanged by Restore and Close
	db *bbolt.DB

	// What is applied is gathered in one open transaction until somebody reads: committing costs as much
	// as applying some ten entries does.
	applying  sync.Mutex // taken after mu
	open      *txn       // nil: everything is committed
	meta      Meta       // of the last entry applied
	index     atomic.Uint64
	level     atomic.Uint64 // the feature level in force
	unsettled atomic.Bool
	restored  atomic.Pointer[Restored]

	exports exports

	generation atomic.Uint64 // changes with every change of the configuration
	memory     atomic.Pointer[memory]

	checkpoints checkpoints
}

// ErrNewer is returned when the log or a snapshot was written by a newer version of the broker.
var ErrNewer = errors.New("this was written by a newer version of the broker: start that one again")

// ErrClosed is returned when the state is used after Close.
var ErrClosed = errors.New("the state is closed")

// reserve is how much address space the state file is mapped into from the start. Growing the map
// waits for readers, so it must not happen while one reads; address space costs nothing.
const reserve = 64 << 30

// Open makes an empty State.
func Open(c Config) (*State, error) {
	if c.Halt == nil {
		c.Halt = func(err error) { panic(err) }
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	s := &State{halt: c.Halt, path: filepath.Join(c.Dir, "state.db")}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("discarding the old state file: %w", err)
	}
	db, err := openFile(s.path)
	if err != nil {
		return nil, err
	}
	s.db = db
	return s, nil
}

// openFile opens a state file without fsync: durability is the log's and the snapshots' job.
func openFile(path string) (*bbolt.DB, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		NoSync:          true,
		NoGrowSync:      true,
		NoFreelistSync:  true,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: reserve,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the state file: %w", err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		filed := tx.Bucket([]byte(bucketStuck)) != nil
		for _, name := range buckets() {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		if !filed {
			return fillStuck(tx) // a snapshot of an earlier version
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making the state file's tables: %w", err), db.Close())
	}
	return db, nil
}

// Close releases the state file.
func (s *State) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	s.abandon()
	s.exports.end(ErrClosed)
	err := s.db.Close()
	s.db = nil
	return err
}

// Apply applies one log entry.
func (s *State) Apply(entry *raft.Log) any {
	return s.ApplyBatch([]*raft.Log{entry})[0]
}

// ApplyBatch applies log entries in one transaction and returns a *Result for each that holds a
// command, nil for others. Only Raft calls it, one call at a time.
func (s *State) ApplyBatch(entries []*raft.Log) []any {
	results, err := s.applyBatch(entries)
	if err != nil {
		s.halt(err)
		panic(err)
	}
	return results
}

func (s *State) applyBatch(entries []*raft.Log) (results []any, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return nil, ErrClosed
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	defer catch(&err)
	t := s.open
	if t == nil {
		tx, err := s.db.Begin(true)
		if err != nil {
			return nil, fmt.Errorf("beginning a batch: %w", err)
		}
		t = newTxn(tx, s.meta)
		s.open = t
	}
	results = make([]any, len(entries))
	for i, entry := range entries {
		if entry.Type != raft.LogCommand {
			t.meta.Index, t.meta.Term = entry.Index, entry.Term
			continue
		}
		before := t.meta.Index
		r, err := t.applyEntry(entry)
		if err != nil {
			return nil, fmt.Errorf("applying log entry %d: %w", entry.Index, err)
		}
		results[i] = r
		s.checkpoints.passed(before, t.meta)
	}
	s.meta = t.meta
	s.checkpoints.reached(s.meta)
	s.index.Store(t.meta.Index)
	s.restored.Store(t.meta.Restored)
	s.level.Store(t.meta.Level)
	s.unsettled.Store(true)
	if t.configured {
		t.configured = false
		s.generation.Add(1)
	}
	if t.written >= maxUnsettled {
		return results, s.commit()
	}
	return results, nil
}

// maxUnsettled is how many rows are written before they are committed though nobody has asked for them.
const maxUnsettled = 4096

// settle makes what was applied visible to readers.
func (s *State) settle() error {
	s.applying.Lock()
	defer s.applying.Unlock()
	err := s.commit()
	if err != nil {
		s.halt(err) // what was applied is lost with the transaction
	}
	return err
}

// commit ends the open transaction. The caller holds s.applying.
func (s *State) commit() (err error) {
	t := s.open
	if t == nil {
		return nil
	}
	defer catch(&err)
	t.flush()
	if err := t.saveMeta(); err != nil {
		return err
	}
	if err := t.tx.Commit(); err != nil {
		return fmt.Errorf("writing the state file: %w", err)
	}
	s.open = nil
	s.unsettled.Store(false)
	return nil
}

// abandon forgets the open transaction: the state is about to be replaced or closed. The caller holds
// s.mu for writing.
func (s *State) abandon() {
	if s.open != nil {
		_ = s.open.tx.Rollback() // it is scratch
		s.open = nil
		s.unsettled.Store(false)
	}
}

// Try answers what a command would answer if it were the next entry of the log in the present term,
// and changes nothing.
func (s *State) Try(c Command) (result *Result, err error) {
	data, err := c.Encode()
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return nil, ErrClosed
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	defer catch(&err)
	var t *txn
	if s.open != nil {
		// It sees what is not committed yet. Counters that changed are copied: a trial changes them too.
		t = newTxn(s.open.tx, s.meta)
		maps.Copy(t.counts, s.open.counts)
	} else {
		tx, err := s.db.Begin(false)
		if err != nil {
			return nil, fmt.Errorf("beginning a trial: %w", err)
		}
		defer tx.Rollback() //nolint:errcheck // a read transaction has nothing to lose
		t = newTxn(tx, s.meta)
	}
	t.trial = true
	return t.applyEntry(&raft.Log{Index: t.meta.Index + 1, Term: c.Term, Data: data})
}

func (t *txn) saveMeta() error {
	data, err := encode(t.meta)
	if err != nil {
		return fmt.Errorf("encoding the state's meta data: %w", err)
	}
	if err := t.tx.Bucket([]byte(bucketMeta)).Put([]byte(bucketMeta), data); err != nil {
		return fmt.Errorf("writing the state's meta data: %w", err)
	}
	return nil
}

// catch turns what tables throw into an error.
func catch(err *error) {
	switch e := recover().(type) {
	case nil:
	case corruptError:
		*err = e.err
	case ioError:
		*err = fmt.Errorf("writing the state file: %w", e.err)
	default:
		panic(e)
	}
}
