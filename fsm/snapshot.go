package fsm

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hashicorp/raft"
	"github.com/klauspost/compress/zstd"
	"go.etcd.io/bbolt"
)

// snapshotMagic begins every snapshot and names its format.
const (
	snapshotKind  = "broker-state-"
	snapshotMagic = snapshotKind + "1\n"
)

// Snapshot begins a copy of the state as it is now. Writing it out does not hold up Apply.
func (s *State) Snapshot() (raft.FSMSnapshot, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return nil, ErrClosed
	}
	if err := s.settle(); err != nil {
		return nil, err
	}
	tx, err := s.db.Begin(false)
	if err != nil {
		return nil, fmt.Errorf("beginning a snapshot: %w", err)
	}
	return &snapshot{tx: tx}, nil
}

// snapshot is one read transaction, written out as a compressed copy of the state file.
type snapshot struct{ tx *bbolt.Tx }

// Persist writes the snapshot to the sink.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	if err := s.write(sink); err != nil {
		return errors.Join(fmt.Errorf("writing a snapshot: %w", err), sink.Cancel())
	}
	return sink.Close()
}

func (s *snapshot) write(w io.Writer) error { return pack(s.tx, w) }

// pack writes a compressed copy of the state file. One goroutine compresses: a snapshot may take its time,
// and Apply needs the processors.
func pack(tx *bbolt.Tx, w io.Writer) error {
	if _, err := io.WriteString(w, snapshotMagic); err != nil {
		return err
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(true), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	if _, err := tx.WriteTo(z); err != nil {
		return errors.Join(err, z.Close())
	}
	return z.Close()
}

// Release ends the read transaction.
func (s *snapshot) Release() {
	_ = s.tx.Rollback() // a read transaction has nothing to lose
}

// Restore replaces the state by a snapshot. A snapshot that cannot be read leaves the state as it was.
func (s *State) Restore(r io.ReadCloser) error {
	defer r.Close()
	next := s.path + ".restore"
	if err := unpack(r, next); err != nil {
		return errors.Join(fmt.Errorf("restoring a snapshot: %w", err), removeIfThere(next))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return errors.Join(ErrClosed, removeIfThere(next))
	}
	s.abandon()
	s.generation.Add(1)
	s.exports.end(errReplaced) // the file cannot be closed while it is being read
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("closing the state file: %w", err)
	}
	if err := os.Rename(next, s.path); err != nil {
		return fmt.Errorf("restoring a snapshot: %w", err)
	}
	db, err := openFile(s.path)
	if err != nil {
		s.db = nil
		return err
	}
	s.db = db
	return db.View(func(tx *bbolt.Tx) error {
		s.meta = (&View{tx: tx}).Meta()
		s.index.Store(s.meta.Index)
		s.restored.Store(s.meta.Restored)
		s.checkpoints.restart(s.meta)
		s.level.Store(s.meta.Level)
		return nil
	})
}

// unpack writes a snapshot out as a state file and proves that it opens.
func unpack(r io.Reader, path string) error {
	in := bufio.NewReaderSize(r, 1<<20)
	magic := make([]byte, len(snapshotMagic))
	_, err := io.ReadFull(in, magic)
	switch {
	case err == nil && string(magic) == snapshotMagic:
	case strings.HasPrefix(string(magic), snapshotKind):
		return fmt.Errorf("%w: the snapshot's format is %q, and this version reads %q", ErrNewer, strings.TrimSpace(string(magic)), strings.TrimSpace(snapshotMagic))
	default:
		return errors.New("this is not a snapshot of the broker")
	}
	z, err := zstd.NewReader(in)
	if err != nil {
		return err
	}
	defer z.Close()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, z); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := openFile(path)
	if err != nil {
		return err
	}
	return errors.Join(readable(db), db.Close())
}

// readable returns ErrNewer when the state in a file is at a feature level that this version does not read.
func readable(db *bbolt.DB) (err error) {
	defer catch(&err)
	return db.View(func(tx *bbolt.Tx) error {
		if level := (&View{tx: tx}).Meta().FeatureLevel(); level > FeatureLevel {
			return newerData(level)
		}
		return nil
	})
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
