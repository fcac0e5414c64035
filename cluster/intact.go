package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// What a person can do about a node whose files are not whole. The node itself must not go on: what it has
// acknowledged and lost may be what made a majority.
const startAnew = "if the other nodes are well, have them remove this one (brokerctl cluster remove), and give it an empty directory and a new join token"

// checkFiles makes sure that what Raft lives on is there and whole, before anything is opened for writing:
// raft-boltdb panics over a damaged file, and takes a missing one for a new node's.
func checkFiles(dir string) error {
	used, err := checkLogFile(filepath.Join(dir, logFile))
	if err != nil {
		return err
	}
	journals := 0
	for i := range 2 {
		path := filepath.Join(dir, fmt.Sprintf(journalFiles, i))
		_, err := os.Stat(path)
		switch {
		case err == nil:
			journals++
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("looking for the journal: %w", err)
		case used:
			return fmt.Errorf("%w: %s is missing, and with it entries that were acknowledged: put it back; %s", ErrDamaged, path, startAnew)
		}
	}
	if used {
		return nil
	}
	snapshots, err := filepath.Glob(filepath.Join(dir, snapshotDir, "*-*-*"))
	if err != nil {
		return fmt.Errorf("looking for snapshots: %w", err)
	}
	written, err := journalWritten(dir, journals)
	if err != nil {
		return err
	}
	if written || len(snapshots) > 0 {
		return fmt.Errorf("%w: %s is missing or empty, and with it this node's votes and log: put it back; %s", ErrDamaged, filepath.Join(dir, logFile), startAnew)
	}
	return nil
}

// journalWritten reports whether a journal holds entries.
func journalWritten(dir string, journals int) (bool, error) {
	for i := range journals {
		f, err := os.Open(filepath.Join(dir, fmt.Sprintf(journalFiles, i)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("reading the journal: %w", err)
		}
		content, err := readJournal(f)
		_ = f.Close() // it was only read
		if err != nil || len(content.entries) > 0 {
			return true, nil // a damaged one says so when it is opened
		}
	}
	return false, nil
}

// checkLogFile walks through a raft-boltdb file without changing it, and reports whether it holds anything.
func checkLogFile(path string) (used bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return false, nil // a crash in a node's first moments leaves an empty one
	}
	if err != nil {
		return false, fmt.Errorf("opening the log: %w", err)
	}
	// A page that lies behind the end of the file is a fault, one with nonsense in it a panic.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(path, p)
		}
	}()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockTimeout})
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return false, fmt.Errorf("opening the log: %s is in use by another process: a node that runs on it has to be stopped first", path)
	case errors.Is(err, bbolterrors.ErrVersionMismatch):
		return false, fmt.Errorf("%w: %s was written by a newer version of this program: start that one again", ErrDamaged, path)
	case errors.Is(err, fs.ErrPermission):
		return false, fmt.Errorf("opening the log: %w", err)
	case err != nil:
		return false, damaged(path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.View(func(tx *bbolt.Tx) error {
		if info.Size() < tx.Size() {
			return damaged(path, fmt.Sprintf("it was cut short, %d bytes of %d are left", info.Size(), tx.Size()))
		}
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			var last uint64
			c := b.Cursor()
			for key, _ := c.First(); key != nil; key, _ = c.Next() {
				used = true
				if string(name) != "logs" || len(key) != 8 {
					continue
				}
				index := binary.BigEndian.Uint64(key)
				if last != 0 && index != last+1 {
					return damaged(path, fmt.Sprintf("entry %d is followed by %d", last, index))
				}
				last = index
			}
			return nil
		})
	})
	return used, err
}

func damaged(path string, why any) error {
	return fmt.Errorf("%w: %s cannot be read (%v): %s", ErrDamaged, path, why, startAnew)
}
