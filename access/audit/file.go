package audit

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"broker/access/audit/chain"
)

// file is the log's file in the hands of the writer.
type file struct {
	log     *Log
	now     File // nil: not open
	size    int64
	began   time.Time // when the file's first record was written that is not the log's own
	head    chain.Head
	known   bool     // head is what the log has; false: nothing was read yet
	opening []byte   // the record that a further file begins with, until it is written
	notes   [][]byte // what the log has to say of itself, likewise
	fresh   bool     // nothing but records of its own is in the file

	buf      []byte
	ends     []int // of the lines in buf
	written  []*entry
	postpone time.Time // no rotation before
}

// write writes a batch with one call and returns what is left of it: everything after an error, and requests that wait
// for room at syslog.
func (w *file) write(batch []*entry) (left []*entry, err error) {
	left = w.drop(batch)
	if err := w.ready(); err != nil {
		return left, err
	}
	if s := w.log.syslog; s != nil {
		if m := s.takeMissed(); m.records > 0 {
			w.notes = append(w.notes, w.withoutSyslog(m))
		}
	}
	w.buf, w.ends = w.buf[:0], w.ends[:0]
	head := w.head
	if w.opening != nil {
		head = w.chain(head, w.opening)
	}
	for _, body := range w.notes {
		head = w.chain(head, body)
	}
	written := w.written[:0]
	room := w.log.syslog == nil || w.log.syslog.hasRoom()
	kept := left[:0]
	for _, e := range left {
		if e.waits() && (!room || !e.state.CompareAndSwap(waiting, taken)) {
			kept = append(kept, e) // who gave up since is dropped the next time
			continue
		}
		head = w.chain(head, e.body)
		written = append(written, e)
	}
	missed := w.log.queue.takeLost()
	if missed.any() {
		head = w.chain(head, w.missed(missed))
	}
	if len(w.buf) == 0 {
		return kept, nil
	}
	if err := w.put(); err != nil {
		w.log.queue.giveBack(missed)
		for _, e := range written {
			e.state.CompareAndSwap(taken, waiting)
		}
		return slices.Concat(written, kept), err
	}
	w.head, w.written = head, written
	if w.fresh && len(written) > 0 {
		w.fresh, w.began = false, w.log.config.Now()
	}
	w.log.others.Add(uint64(len(w.ends) - len(written)))
	w.opening, w.notes = nil, nil
	w.log.syncing.Store(&unsynced{w.now, head})
	if w.log.syslog != nil {
		began, seq := 0, head.Seq-uint64(len(w.ends))
		for _, end := range w.ends {
			seq++
			w.log.syslog.add(w.buf[began:end-1], seq)
			began = end
		}
	}
	w.log.settle(written)
	clear(written)
	return kept, nil
}

// drop takes out of a batch those whom nobody waits for any more.
func (w *file) drop(batch []*entry) []*entry {
	left := batch[:0]
	for _, e := range batch {
		if e.waits() && e.state.Load() == givenUp {
			w.log.queue.finished(e)
			continue
		}
		left = append(left, e)
	}
	return left
}

// chain appends a record behind the head and returns the new one.
func (w *file) chain(head chain.Head, body []byte) chain.Head {
	began := len(w.buf)
	w.buf = append(w.buf, `{"v":`...)
	w.buf = strconv.AppendInt(w.buf, chain.Version, 10)
	w.buf = append(w.buf, `,"chain":"`...)
	w.buf = append(w.buf, head.Chain...)
	w.buf = append(w.buf, `","seq":`...)
	w.buf = strconv.AppendUint(w.buf, head.Seq+1, 10)
	w.buf = append(w.buf, `,"prev":"`...)
	if head.Seq > 0 {
		w.buf = hex.AppendEncode(w.buf, head.Hash[:])
	}
	w.buf = append(w.buf, '"', ',')
	w.buf = append(w.buf, body...)
	w.ends = append(w.ends, len(w.buf))
	return chain.Head{Chain: head.Chain, Seq: head.Seq + 1, Hash: chain.HashOf(w.buf[began : len(w.buf)-1])}
}

// put writes the buffer. After an error the file is what it was before, or is looked at anew before the next write.
func (w *file) put() error {
	n, err := w.now.Write(w.buf)
	if err == nil {
		w.size += int64(n)
		return nil
	}
	if n > 0 {
		if cut := w.now.Truncate(w.size); cut != nil {
			w.shut()
		}
	}
	return fmt.Errorf("writing the audit log: %w", err)
}

// ready has the file be open, be the one that its path names, and be not too large or too old.
func (w *file) ready() error {
	if w.log.reopen.Swap(false) && w.now != nil {
		w.flushAll() // what was moved away is complete
		w.shut()
	}
	if w.now != nil {
		info, err := w.now.Stat()
		if err == nil && info.Size() != w.size {
			w.log.log.Error("somebody else has changed the audit log", "path", w.log.config.Path, "bytes", info.Size(), "expected", w.size)
		}
		if err != nil || info.Size() != w.size {
			w.shut()
		}
	}
	if w.now == nil {
		if err := w.open(); err != nil {
			return fmt.Errorf("opening the audit log: %w", err)
		}
	}
	now := w.log.config.Now()
	reason := ""
	switch {
	case w.fresh || now.Before(w.postpone):
	case w.size >= w.log.config.MaxSize:
		reason = "size"
	case now.Sub(w.began) >= w.log.config.MaxAge:
		reason = "age"
	}
	if reason == "" {
		return nil
	}
	return w.rotate(reason)
}

// flushAll has everything that was written reach the disk.
func (w *file) flushAll() {
	if err := w.now.Sync(); err != nil {
		w.log.failures.Add(1)
		w.log.log.Error("flushing the audit log failed: its last records may be lost when the power fails", "error", err)
		return
	}
	if w.known && w.head.Seq > 0 {
		w.log.onDisk(w.head)
	}
}

func (w *file) shut() {
	_ = w.now.Close() // what counts was flushed, or is read again
	w.now = nil
	w.log.syncing.Store(nil)
}

// end closes the file for good.
func (w *file) end() {
	if w.now != nil {
		w.flushAll()
		w.shut()
	}
}

// own makes a record of the log's own.
func (w *file) own(kind chain.Type, fill func(*encoder)) []byte {
	enc := &encoder{}
	enc.begin(kind, w.log.config.Node, w.log.config.Now())
	fill(enc)
	enc.end()
	return enc.buf
}

// missed tells of records that found no room.
func (w *file) missed(l lost) []byte {
	return w.own(chain.TypeGap, func(enc *encoder) {
		enc.text("reason", "too much waited to be written")
		began := enc.object("lost")
		if l.outcomes > 0 {
			enc.number("outcomes", int64(l.outcomes))
		}
		if l.calls > 0 {
			enc.number("calls", int64(l.calls))
		}
		enc.close(began)
		enc.text("from", l.from.UTC().Format(timeForm))
		enc.text("to", l.to.UTC().Format(timeForm))
	})
}

// withoutSyslog tells of records that syslog does not have. The file has them.
func (w *file) withoutSyslog(m missed) []byte {
	return w.own(chain.TypeGap, func(enc *encoder) {
		enc.text("reason", "syslog did not take the records")
		enc.text("sink", "syslog")
		enc.number("records", int64(m.records))
		enc.number("from_seq", int64(m.from))
		enc.number("to_seq", int64(m.to))
	})
}

// asideName is the name of a file that ends with a record of that number.
func asideName(path string, seq uint64) string { return fmt.Sprintf("%s.%012d", path, seq) }

// tornName is the name of what was no record.
func tornName(path string, at time.Time) string {
	return filepath.Join(filepath.Dir(path), "torn-"+filepath.Base(path)+"-"+at.UTC().Format("20060102T150405.000000000Z"))
}
