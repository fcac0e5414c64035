package audit

import (
	"errors"
	"os"
	"time"

	"broker/access/audit/chain"
)

// The pauses between two tries to write, after one that failed and while syslog has no room.
const (
	retryMin    = 50 * time.Millisecond
	retryMax    = time.Second
	noRoomPause = 20 * time.Millisecond
)

// write is the goroutine that writes; nobody else touches the file but to flush it.
func (l *Log) write() {
	flushing := make(chan struct{})
	flushed := make(chan struct{})
	go func() {
		defer close(flushed)
		l.flush(flushing)
	}()
	defer func() {
		close(flushing)
		<-flushed
		l.file.end()
	}()
	look := time.NewTicker(l.config.Flush) // the file grows old also when nothing is written
	defer look.Stop()
	var batch []*entry
	var pause time.Duration
	for {
		batch = l.queue.take(batch)
		stopping := false
		select {
		case <-l.stop:
			stopping = true
			batch = l.queue.take(batch)
		default:
		}
		left, err := l.file.write(batch)
		clear(batch[len(left):])
		batch = left
		l.tell(err)
		if stopping {
			return
		}
		var again <-chan time.Time
		wake := (<-chan struct{})(l.queue.wake)
		switch {
		case err != nil:
			pause = min(max(2*pause, retryMin), retryMax)
			again, wake = time.After(pause), nil // each who asks would try at once
		case len(batch) > 0:
			again, pause = time.After(noRoomPause), 0
		default:
			pause = 0
		}
		select {
		case <-wake:
		case <-again:
		case <-look.C:
		case <-l.stop:
		}
	}
}

// tell logs when writing begins to fail, and when it does no more.
func (l *Log) tell(err error) {
	before := l.trouble.Load()
	switch {
	case err == nil && before != nil:
		l.trouble.Store(nil)
		l.log.Info("the audit log is written again")
	case err != nil:
		l.failures.Add(1)
		says := err.Error()
		l.trouble.Store(&says)
		if before == nil || *before != says {
			l.log.Error("the audit log cannot be written: requests are refused", "error", err)
		}
	}
}

// unsynced is what was written to a file.
type unsynced struct {
	file File
	head chain.Head
}

// flush has what was written reach the disk, about once a second, until end is closed. It runs beside the writer: a slow
// disk does not hold up who waits for a record.
func (l *Log) flush(end <-chan struct{}) {
	tick := time.NewTicker(l.config.Flush)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return
		case <-tick.C:
		}
		u := l.syncing.Load()
		if u == nil {
			continue
		}
		if l.moved(u.file) {
			l.Reopen()
		}
		if h, ok := l.Head(); ok && h == u.head {
			continue
		}
		switch err := u.file.Sync(); {
		case err == nil:
			l.onDisk(u.head)
		case errors.Is(err, os.ErrClosed): // put aside meanwhile, and flushed before
		default:
			l.failures.Add(1)
			l.log.Error("flushing the audit log failed: its last records may be lost when the power fails", "error", err)
			l.Reopen()
		}
	}
}

// onDisk remembers that everything up to the head is on the disk.
func (l *Log) onDisk(head chain.Head) {
	for {
		before := l.synced.Load()
		if before != nil && before.Chain == head.Chain && before.Seq >= head.Seq || l.synced.CompareAndSwap(before, &head) {
			return
		}
	}
}

// moved reports whether the file is no longer what its path names.
func (l *Log) moved(f File) bool {
	here, err := f.Stat()
	if err != nil {
		return false // closed meanwhile
	}
	there, err := os.Stat(l.config.Path)
	return errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(here, there)
}

// settle ends a batch that was written: who waits is answered, and room is given back.
func (l *Log) settle(written []*entry) {
	for _, e := range written {
		l.queue.finished(e)
		switch e.kind {
		case chain.TypeRequest:
			l.requests.Add(1)
			e.done <- nil // it has room: an entry is answered once
			continue      // who asked gives the entry back
		case chain.TypeOutcome:
			l.outcomes.Add(1)
		case chain.TypeCall:
			l.calls.Add(1)
		default:
			l.others.Add(1)
		}
		l.entries.Put(e)
	}
}
