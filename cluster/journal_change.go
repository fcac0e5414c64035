package cluster

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/raft"
)

// change has the other file take what is new once this one is full, and its content go on. While the
// content of the other one has not arrived there is nothing to change to, and this one grows.
func (j *journal) change() error {
	if j.offset < j.size {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if moved := j.moved; moved != nil {
		if j.offset < j.most {
			return nil
		}
		j.mu.Unlock()
		<-moved
		j.mu.Lock()
	}
	if !j.arrived && time.Since(j.movedAt) < moveAgain {
		if j.offset < j.most {
			return nil
		}
		return fmt.Errorf("writing the journal: it is full, because its content cannot be moved on: %w", j.moveErr)
	}
	if j.arrived {
		// An empty record makes the other file's old records void, at once or not at all: a sector is
		// written whole. Without it a torn first record could leave old ones that look damaged.
		other := 1 - j.active
		j.generation++
		if err := j.stamp(j.files[other]); err != nil {
			return j.fail(err)
		}
		j.active, j.offset, j.arrived = other, journalSector, false
	}
	j.moved = make(chan struct{})
	old := len(j.young) - j.queued // the others are about to be written to the file that is active now
	go j.move(j.young[:old:old], j.moved)
	return nil
}

// move brings entries to raft-boltdb. When that fails the next batch that is written tries again.
func (j *journal) move(entries []*raft.Log, moved chan struct{}) {
	defer close(moved)
	err := j.store(entries)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.moved, j.moveErr, j.movedAt = nil, err, time.Now()
	if err != nil {
		j.watch(false)(err)
		j.warn("the journal's entries cannot be moved into the log; trying again", "error", err)
		return
	}
	j.arrived = true
	j.young = append([]*raft.Log(nil), j.young[len(entries):]...)
}

// settle brings everything that is in the files to raft-boltdb and makes them void. The caller holds
// writing. Raft may store entries meanwhile: those are in no file yet, and stay.
func (j *journal) settle() error {
	if err := j.drainLocked(); err != nil {
		return err
	}
	j.mu.RLock()
	moved := j.moved
	j.mu.RUnlock()
	if moved != nil {
		<-moved
	}
	j.mu.RLock()
	old := j.young[:len(j.young)-j.queued]
	j.mu.RUnlock()
	if err := j.store(old); err != nil {
		return err
	}
	if err := j.void(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.young = append([]*raft.Log(nil), j.young[len(old):]...)
	return nil
}

// void makes both files void on disk and begins anew. The empty records keep the generation, which must
// never come again.
func (j *journal) void() error {
	if j.failed != nil {
		return j.failed
	}
	j.generation++
	for _, f := range j.files {
		if err := j.stamp(f); err != nil {
			return j.fail(err)
		}
	}
	j.active, j.offset, j.arrived = 0, journalSector, true
	return nil
}

// stamp begins a file anew with an empty record of the present generation.
func (j *journal) stamp(f *os.File) error {
	encodeJournal(&j.buf, j.generation, nil)
	if _, err := f.WriteAt(j.buf.Bytes(), 0); err != nil {
		return fmt.Errorf("voiding the journal: %w", err)
	}
	if err := j.sync(f); err != nil {
		return fmt.Errorf("voiding the journal: %w", err)
	}
	return nil
}

func (j *journal) closeFiles() error {
	var errs []error
	for _, f := range j.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
