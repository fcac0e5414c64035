package fsm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

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
// safe for concurrent use; reads never wait for Apply, nor Apply for reads.
type State struct {
	halt func(error)
	path string

	mu   sync.RWMutex // write-locked only while the file is exchanged by Restore and Close
	db   *bbolt.DB
	meta Meta // owned by Raft's one applying goroutine; read by others through View
}

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
		for _, name := range buckets() {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
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
	err := s.db.Close()
	s.db = nil
	return err
}

// View calls read with one consistent reading of the state and returns its error. The View must not
// be kept.
func (s *State) View(read func(*View) error) (err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return ErrClosed
	}
	defer catch(&err)
	return s.db.View(func(tx *bbolt.Tx) error { return read(&View{tx: tx}) })
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
	tx, err := s.db.Begin(true)
	if err != nil {
		return nil, fmt.Errorf("beginning a batch: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it says so and does nothing
	defer catch(&err)
	t := newTxn(tx, s.meta)
	results = make([]any, len(entries))
	for i, entry := range entries {
		if entry.Type != raft.LogCommand {
			t.meta.Index, t.meta.Term = entry.Index, entry.Term
			continue
		}
		r, err := t.applyEntry(entry)
		if err != nil {
			return nil, fmt.Errorf("applying log entry %d: %w", entry.Index, err)
		}
		results[i] = r
	}
	if err := t.saveMeta(); err != nil {
		return nil, err
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("writing the state file: %w", err)
	}
	s.meta = t.meta
	return results, nil
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
	tx, err := s.db.Begin(true)
	if err != nil {
		return nil, fmt.Errorf("beginning a trial: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // a trial is always rolled back
	defer catch(&err)
	t := newTxn(tx, (&View{tx: tx}).Meta())
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
