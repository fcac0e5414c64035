package audit

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"broker/access/audit/chain"
)

// maxTail is how far back a whole record is looked for.
const maxTail = 1 << 20

// ending is how a file ends.
type ending struct {
	exists bool
	size   int64
	whole  int64 // where the last whole record ends; behind it is nothing that counts
	last   chain.Record
	head   chain.Head // of the last whole record; its seq is zero when there is none
	began  time.Time  // of the first record
}

// look reads how a file ends. A file that is not there ends with nothing.
func look(path string) (e ending, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	if err != nil {
		return e, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return e, err
	}
	e.exists, e.size = true, info.Size()
	from := max(0, e.size-maxTail)
	tail, err := io.ReadAll(io.NewSectionReader(f, from, e.size-from))
	if err != nil {
		return e, err
	}
	for end := bytes.LastIndexByte(tail, '\n'); end >= 0; {
		before := bytes.LastIndexByte(tail[:end], '\n')
		line := tail[before+1 : end]
		if r, err := chain.Parse(line); err == nil {
			e.whole, e.last = from+int64(end)+1, r
			e.head = chain.Head{Chain: r.Chain, Seq: r.Seq, Hash: chain.HashOf(line)}
			break
		}
		end = before
	}
	begin := make([]byte, min(e.size, chain.MaxLine))
	if _, err := f.ReadAt(begin, 0); err != nil {
		return e, err
	}
	line, _, _ := bytes.Cut(begin, []byte("\n"))
	if r, err := chain.Parse(line); err == nil {
		e.began = r.Time
	}
	return e, nil
}

// open opens the file and finds out where the chain goes on.
func (w *file) open() error {
	path := w.log.config.Path
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	e, err := look(path)
	if err != nil {
		return err
	}
	if err := w.mend(&e); err != nil {
		return err
	}
	head, err := w.goOn(e)
	if err != nil {
		return err
	}
	if e.whole > 0 && e.head != head {
		w.notes = append(w.notes, w.own(chain.TypeGap, func(enc *encoder) {
			enc.text("reason", "the file does not end with the record that was written last: somebody has changed it")
			enc.number("file_seq", int64(e.head.Seq))
		}))
	}
	f, err := w.log.config.Open(path)
	if err != nil {
		return err
	}
	if !e.exists {
		err = syncDir(filepath.Dir(path))
	}
	info, statErr := f.Stat()
	if err = errors.Join(err, statErr); err != nil {
		return errors.Join(err, f.Close())
	}
	if info.Size() != e.whole {
		return errors.Join(errors.New("somebody else writes to it"), f.Close())
	}
	w.opening = nil
	if e.whole == 0 && head.Seq > 0 {
		w.opening = w.further(head)
	}
	w.now, w.size, w.head, w.known, w.fresh = f, e.whole, head, true, e.whole == 0
	if e.whole > 0 && e.head == head {
		w.log.syncing.Store(&unsynced{f, head}) // an earlier flush may have failed, or have been left to a process that died
	}
	w.began = e.began
	if w.began.IsZero() {
		w.began = w.log.config.Now()
	}
	return nil
}

// goOn returns the head that the next record goes on from: what this process has written, else what files say, else that
// of a new chain.
func (w *file) goOn(e ending) (chain.Head, error) {
	switch {
	case w.known && e.head.Chain == w.head.Chain && e.head.Seq > w.head.Seq:
		return e.head, nil // a write that was said to have failed
	case w.known:
		return w.head, nil
	case e.whole > 0:
		return e.head, nil
	}
	aside, err := putAside(w.log.config.Path)
	if err != nil {
		return chain.Head{}, err
	}
	for _, one := range slices.Backward(aside) {
		e, err := look(one.path)
		if err != nil {
			return chain.Head{}, err
		}
		if e.whole > 0 {
			return e.head, nil
		}
	}
	return chain.Head{Chain: rand.Text()}, nil
}

// mend takes what is no record off the end of the file and keeps it beside. The log says so.
func (w *file) mend(e *ending) error {
	if e.whole == e.size {
		return nil
	}
	path := w.log.config.Path
	kept := tornName(path, w.log.config.Now())
	if e.whole == 0 {
		if err := os.Rename(path, kept); err != nil {
			return err
		}
		e.exists = false
	} else if err := moveTail(path, e.whole, kept); err != nil {
		return err
	}
	w.log.log.Warn("the audit log ended with what is no record: it was put aside", "bytes", e.size-e.whole, "file", kept)
	w.notes = append(w.notes, w.own(chain.TypeGap, func(enc *encoder) {
		enc.text("reason", "the end of the file was no record")
		enc.number("bytes", e.size-e.whole)
		enc.text("kept", filepath.Base(kept))
	}))
	e.size = e.whole
	return nil
}

func moveTail(path string, from int64, to string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	tail, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(tail, io.NewSectionReader(f, from, 1<<62))
	err = errors.Join(err, tail.Sync(), tail.Close(), syncDir(filepath.Dir(to)))
	if err != nil {
		return errors.Join(err, os.Remove(to)) // it is tried again
	}
	if err := f.Truncate(from); err != nil {
		return err
	}
	return f.Sync()
}

// further is the first record of a further file.
func (w *file) further(head chain.Head) []byte {
	return w.own(chain.TypeRotate, func(enc *encoder) {
		enc.number("last_seq", int64(head.Seq))
		enc.text("last_head", head.Hash.String())
		enc.strings("removed", w.removeOld())
	})
}

// rotate puts the file aside and begins another.
func (w *file) rotate(reason string) error {
	path := w.log.config.Path
	if err := w.now.Sync(); err != nil {
		return fmt.Errorf("flushing the audit log: %w", err)
	}
	w.log.onDisk(w.head)
	if err := os.Rename(path, asideName(path, w.head.Seq)); err != nil {
		w.log.failures.Add(1)
		w.log.log.Error("the audit log cannot be put aside; it grows on", "error", err)
		w.postpone = w.log.config.Now().Add(time.Minute)
		return nil
	}
	w.shut()
	w.log.log.Info("the audit log was put aside", "reason", reason, "file", asideName(path, w.head.Seq))
	if err := w.open(); err != nil {
		return fmt.Errorf("opening the audit log: %w", err)
	}
	return nil
}

// removeOld removes the oldest files that were put aside and returns their names.
func (w *file) removeOld() (removed []string) {
	aside, err := putAside(w.log.config.Path)
	if err != nil {
		w.log.log.Error("looking for old audit logs", "error", err)
		return nil
	}
	for len(aside) > w.log.config.Keep {
		if err := os.Remove(aside[0].path); err != nil {
			w.log.log.Error("removing an old audit log", "error", err)
			return removed
		}
		removed = append(removed, filepath.Base(aside[0].path))
		aside = aside[1:]
	}
	return removed
}

// asideFile is a file that was put aside.
type asideFile struct {
	path string
	last uint64
}

// putAside lists the files that were put aside, oldest first.
func putAside(path string) ([]asideFile, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var list []asideFile
	for _, one := range entries {
		number, ok := strings.CutPrefix(one.Name(), filepath.Base(path)+".")
		if !ok || len(number) < 12 || !one.Type().IsRegular() {
			continue
		}
		if last, err := strconv.ParseUint(number, 10, 64); err == nil {
			list = append(list, asideFile{filepath.Join(filepath.Dir(path), one.Name()), last})
		}
	}
	slices.SortFunc(list, func(a, b asideFile) int { return cmp.Compare(a.last, b.last) })
	return list, nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
