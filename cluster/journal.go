package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// journal is Raft's log: new entries are written to the end of a flat file, which costs one write and
// one flush, and go on to raft-boltdb many at a time, which would cost it a dozen pages and two flushes
// for each batch. What is in the file only is in memory too, so nothing is read from it but at start.
//
// There are two files. One takes what is new while the content of the other goes on; then they change
// places. A file is a row of records, each one batch:
//
//	generation 8 | length 4 | CRC-32C 4 | entries, padded to whole sectors
//
// A leader need not wait for its own disk before it sends an entry to others (Ongaro's thesis, 10.2.1): while
// mayDefer says so, StoreLogs returns before the entries are flushed. Raft then counts this node's copy as
// stored, which is made true by keeping the others' acknowledgements from Raft until it is: nothing is
// committed with this node's copy alone. waitDurable is what transport waits for.
//
// The generation grows with every change of files, so that what an earlier use left behind does not
// count. At start everything in the files goes to raft-boltdb, where most of it is already: the same
// entries once more change nothing. That holds because both files are made void before anything is
// deleted from the log.
//
// Three ways to break it: deleting before the files are void (a restart brings the deleted entries back),
// going on after a flush that failed (the kernel may have dropped what it could not write), and deferring
// where this node's copy alone makes a quorum, or on a follower, whose answer is its acknowledgement.
type journal struct {
	bolt *raftboltdb.BoltStore
	sync func(*os.File) error // flushes a file
	// watch is told when something is being written, and what it returns how that ended.
	watch func(counted bool) (end func(error))
	halt  func(error)
	// mayDefer says that what is stored now is a leader's, and that others have to acknowledge it.
	mayDefer func() bool
	size     int64 // how much is written to a file before its content goes on
	most     int64 // how long a file may get while raft-boltdb takes nothing
	warn     func(msg string, args ...any)

	// writing is held by whoever changes the log: Raft does one thing at a time, this keeps it so.
	writing sync.Mutex
	files   [2]*os.File
	active  int   // the file that takes what is new
	offset  int64 // of its end
	buf     bytes.Buffer

	// generation of the active file; it has grown before its first record.
	generation uint64
	failed     error // nobody knows what is on the disk: nothing can be written before a restart

	deferred chan struct{} // of size one: there is something for the flusher
	closing  chan struct{} // closed at the end, for the flusher
	flusher  sync.WaitGroup

	mu      sync.RWMutex
	young   []*raft.Log   // not in raft-boltdb, or not for certain; in order, without gaps
	queued  int           // how many of them, the last ones, are in no file yet
	durable uint64        // index of the last entry that is on disk
	news    chan struct{} // closed when durable or writeErr changes
	wrote   error         // why the last write failed; nil: it did not
	moved   chan struct{} // closed when those under way have arrived, or not; nil: none are
	arrived bool          // the content of the file that is not active has arrived
	moveErr error         // why the last ones did not
	movedAt time.Time     // when that was
}

const (
	journalFiles  = "raft.journal%d"
	journalHeader = 16
	journalSector = 512
	// journalSize is the size of a file, which has all its blocks from the start, so that a flush need not
	// write where they are.
	journalSize = 2 << 20
	// writeAgain is how long after a failure the flusher writes again.
	writeAgain = 100 * time.Millisecond
	// moveAgain is how long after a failure entries are moved again.
	moveAgain = time.Second
	// moveBatch bounds how long raft-boltdb is busy at a time: votes are written there too.
	moveBatch = 1024
)

var _ raft.LogStore = (*journal)(nil)

// monotonic is a log that allows no gaps: Raft empties it before a snapshot takes the place of entries
// that never came.
type monotonic struct{ raft.LogStore }

// IsMonotonic says so to Raft.
func (monotonic) IsMonotonic() bool { return true }

// openJournal opens the files, and brings raft-boltdb up to date. sync flushes a file; halt is called when nobody knows any more
// what is on the disk.
func openJournal(dir string, bolt *raftboltdb.BoltStore, size int64, sync func(*os.File) error, warn func(msg string, args ...any), halt func(error)) (opened *journal, err error) {
	j := &journal{bolt: bolt, sync: sync, watch: func(bool) func(error) { return func(error) {} }, size: size, most: 32 * size, warn: warn, halt: func(error) {}, mayDefer: func() bool { return false },
		deferred: make(chan struct{}, 1), closing: make(chan struct{}), news: make(chan struct{})}
	defer func() {
		if err != nil {
			j.closeFiles()
		}
	}()
	var found [2]journalContent
	for i := range j.files {
		path := filepath.Join(dir, fmt.Sprintf(journalFiles, i))
		if j.files[i], err = openJournalFile(path, size); err != nil {
			return nil, err
		}
		if found[i], err = readJournal(j.files[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		j.generation = max(j.generation, found[i].generation)
	}
	if found[0].generation > found[1].generation {
		found[0], found[1] = found[1], found[0]
	}
	for _, content := range found {
		if err := noGap(bolt, content.entries); err != nil {
			return nil, err
		}
		if err := j.store(content.entries); err != nil {
			return nil, fmt.Errorf("moving the journal's entries into the log: %w", err)
		}
	}
	if err := j.void(); err != nil {
		return nil, err
	}
	if j.durable, err = bolt.LastIndex(); err != nil {
		return nil, err
	}
	j.halt = halt
	j.flusher.Go(j.flushDeferred)
	return j, nil
}

// noGap makes sure that entries leave no gap to those that the log has.
func noGap(bolt *raftboltdb.BoltStore, entries []*raft.Log) error {
	last, err := bolt.LastIndex()
	if err != nil || last == 0 || len(entries) == 0 || entries[0].Index <= last+1 {
		return err
	}
	return fmt.Errorf("%w: the log ends at %d and the journal begins at %d, so that entries that were acknowledged are lost: %s", ErrDamaged, last, entries[0].Index, startAnew)
}

// FirstIndex returns the first index of the log; 0 when it is empty.
func (j *journal) FirstIndex() (uint64, error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	first, err := j.bolt.FirstIndex()
	if err == nil && first == 0 && len(j.young) > 0 {
		first = j.young[0].Index
	}
	return first, err
}

// LastIndex returns the last index of the log; 0 when it is empty.
func (j *journal) LastIndex() (uint64, error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if n := len(j.young); n > 0 {
		return j.young[n-1].Index, nil
	}
	return j.bolt.LastIndex()
}

// GetLog reads an entry, or returns raft.ErrLogNotFound.
func (j *journal) GetLog(index uint64, entry *raft.Log) error {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if n := len(j.young); n > 0 && index >= j.young[0].Index {
		if index > j.young[n-1].Index {
			return raft.ErrLogNotFound
		}
		*entry = *j.young[index-j.young[0].Index]
		return nil
	}
	return j.bolt.GetLog(index, entry)
}

// StoreLog appends an entry.
func (j *journal) StoreLog(entry *raft.Log) error { return j.StoreLogs([]*raft.Log{entry}) }

// StoreLogs appends entries; when it returns nil they are on disk, or, where they may be deferred, on
// their way there.
func (j *journal) StoreLogs(entries []*raft.Log) error {
	entries, err := j.fresh(entries)
	if err != nil {
		return err
	}
	// A change of membership may make this node's copy a quorum.
	wait := !j.mayDefer() || slices.ContainsFunc(entries, func(e *raft.Log) bool { return e.Type == raft.LogConfiguration })
	j.mu.Lock()
	if err := j.wrote; err != nil && !wait {
		// What is queued is tried again below, and by the flusher; a leader whose disk is full had better
		// not go on.
		j.mu.Unlock()
		return err
	}
	wait = wait || j.queued >= maxBatch || len(entries) == 0 // those known already may be queued
	j.young = append(j.young, entries...)
	j.queued += len(entries)
	j.mu.Unlock()
	if !wait {
		j.wake()
		return nil
	}
	// The flusher must not come in between: what Raft hears has failed must not be written after all.
	j.writing.Lock()
	defer j.writing.Unlock()
	if err = j.drainLocked(); err != nil && len(entries) > 0 {
		j.takeBack(entries)
	}
	return err
}

// fresh leaves out entries that are there already: Raft repeats what it was told has failed. It refuses
// those that leave a gap or are others: Raft deletes before it does that.
func (j *journal) fresh(entries []*raft.Log) ([]*raft.Log, error) {
	last, err := j.LastIndex()
	if err != nil {
		return nil, err
	}
	for len(entries) > 0 && entries[0].Index <= last {
		var known raft.Log
		if err := j.GetLog(entries[0].Index, &known); err != nil || known.Term != entries[0].Term {
			return nil, fmt.Errorf("the log ends at %d: another entry %d cannot take its place", last, entries[0].Index)
		}
		entries = entries[1:]
	}
	for _, entry := range entries {
		if last != 0 && entry.Index != last+1 {
			return nil, fmt.Errorf("the log ends at %d: entry %d does not follow", last, entry.Index)
		}
		last = entry.Index
	}
	return entries, nil
}

// append writes one record behind the last and flushes it.
func (j *journal) append(entries []*raft.Log) error {
	if j.failed != nil {
		return j.failed
	}
	encodeJournal(&j.buf, j.generation, entries)
	f := j.files[j.active]
	if _, err := f.WriteAt(j.buf.Bytes(), j.offset); err != nil {
		return err // the next one is written to the same place
	}
	if err := j.sync(f); err != nil {
		return j.fail(fmt.Errorf("flushing: %w", err))
	}
	j.offset += int64(j.buf.Len())
	return nil
}

// fail keeps anything more from being written. A node in this state would follow, vote and stand for
// election, and take no entry: it had better end.
func (j *journal) fail(err error) error {
	j.failed = fmt.Errorf("nobody knows what is in the journal, so that this node has to be restarted: %w", err)
	j.halt(j.failed)
	return j.failed
}

// store puts entries into raft-boltdb.
func (j *journal) store(entries []*raft.Log) error {
	for len(entries) > 0 {
		n := min(moveBatch, len(entries))
		if err := j.bolt.StoreLogs(entries[:n]); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// DeleteRange deletes the entries from first to last.
func (j *journal) DeleteRange(first, last uint64) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if err := j.settle(); err != nil {
		return err
	}
	if err := j.bolt.DeleteRange(first, last); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var err error
	j.durable, err = j.bolt.LastIndex()
	return err
}

// close leaves everything in raft-boltdb, which stays open.
func (j *journal) close() error {
	close(j.closing)
	j.flusher.Wait()
	j.writing.Lock()
	defer j.writing.Unlock()
	return errors.Join(j.settle(), j.closeFiles())
}
