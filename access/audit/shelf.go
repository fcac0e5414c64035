package audit

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"broker/access"
	"broker/access/audit/chain"
)

// shelf is the files of a log, for reading: whoever writes is not held up, and may put files aside or remove them.
type shelf struct{ volumes []*volume } // newest first

// volume is one file.
type volume struct {
	path string
	file *os.File // nil: not opened yet
	size int64
}

// openShelf finds the files. The one that is written comes first, so that one that is put aside meanwhile is not missed.
func openShelf(path string) (*shelf, error) {
	s := &shelf{}
	newest := &volume{path: path}
	there, err := newest.open()
	if err != nil {
		return nil, err
	}
	var now os.FileInfo
	if there {
		s.volumes = append(s.volumes, newest)
		if now, err = newest.file.Stat(); err != nil {
			s.close()
			return nil, err
		}
	}
	aside, err := putAside(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.close()
		return nil, err
	}
	for _, one := range slices.Backward(aside) {
		if info, err := os.Stat(one.path); err != nil || now != nil && os.SameFile(info, now) {
			continue // it was removed just now, or is the one that is open
		}
		s.volumes = append(s.volumes, &volume{path: one.path})
	}
	return s, nil
}

func (s *shelf) close() {
	for _, v := range s.volumes {
		if v.file != nil {
			_ = v.file.Close() // it was only read
		}
	}
}

// open opens the file, unless it is open. False: it is gone.
func (v *volume) open() (bool, error) {
	if v.file != nil {
		return true, nil
	}
	f, err := os.Open(v.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	info, err := f.Stat()
	if err != nil {
		return false, errors.Join(err, f.Close())
	}
	v.file, v.size = f, info.Size()
	return true, nil
}

// part reads what is between two offsets, or as much of it as there is.
func (v *volume) part(from, to int64) ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(v.file, from, to-from))
}

// first returns the first record. False: there is none near the beginning.
func (v *volume) first() (chain.Record, bool, error) {
	text, err := v.part(0, span)
	if err != nil {
		return chain.Record{}, false, err
	}
	for line := range bytes.Lines(text) {
		if r, err := chain.Parse(bytes.TrimSuffix(line, []byte("\n"))); err == nil {
			return r, true, nil
		}
	}
	return chain.Record{}, false, nil
}

// span is how much is searched line by line.
const span = 2 * chain.MaxLine

// search returns where the first record begins that is past something, as all behind it are.
func (v *volume) search(past func(*chain.Record) bool) (int64, error) {
	low, high := int64(0), v.size // low begins a line, nothing before it is past
	for high-low > span {
		middle := low + (high-low)/2
		at, r, err := v.recordBehind(middle, high)
		if err != nil {
			return 0, err
		}
		if r == nil || past(r) {
			high = middle
		} else {
			low = at
		}
	}
	text, err := v.part(low, min(high+span, v.size))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if r, err := chain.Parse(bytes.TrimSuffix(line, []byte("\n"))); err == nil && past(&r) {
			break
		}
		low += int64(len(line))
	}
	return low, nil
}

// recordBehind returns the first record that begins behind a place, and where it begins; nil: there is none near it.
func (v *volume) recordBehind(from, to int64) (at int64, r *chain.Record, err error) {
	text, err := v.part(from, min(from+span, to))
	if err != nil {
		return 0, nil, err
	}
	at = from
	for line := range bytes.Lines(text) {
		if r, err := chain.Parse(bytes.TrimSuffix(line, []byte("\n"))); err == nil && at > from {
			return at, &r, nil
		}
		at += int64(len(line))
	}
	return 0, nil, nil
}

// from returns where to begin to look backwards for records that are not past: behind them, so that outcomes are
// found. False: there are none.
func (s *shelf) from(before access.AuditPlace, until time.Time, past func(*chain.Record) bool) (*backwards, bool, error) {
	for i, v := range s.volumes {
		there, err := v.open()
		if err != nil {
			return nil, false, err
		}
		if !there {
			continue
		}
		first, ok, err := v.first()
		switch {
		case err != nil:
			return nil, false, err
		case !ok:
			continue
		case before.Seq > 0 && first.Chain != before.Chain || past(&first):
			continue
		case before.Seq == 0 && until.IsZero():
			return &backwards{volumes: s.volumes[i:], end: v.size, fresh: true, newest: true}, true, nil
		}
		end, err := v.search(past)
		if err != nil {
			return nil, false, err
		}
		ahead := int64(maxAhead)
		if end+ahead > v.size && i > 0 && s.volumes[i-1].file != nil { // it was put aside soon after
			end, i = end-v.size, i-1 // which is that far before the file behind it
		}
		v = s.volumes[i]
		return &backwards{volumes: s.volumes[i:], end: min(end+ahead, v.size), fresh: true, newest: i == 0 && end+ahead >= v.size}, true, nil
	}
	return nil, false, nil
}

// backwards reads the lines of files from the last one on.
type backwards struct {
	volumes []*volume
	end     int64  // of what was not read yet of the first of them
	fresh   bool   // nothing was: what is behind its last line is being written, or is no line's beginning
	buf     []byte // what was read and not returned
	looked  int64  // bytes
	newest  bool   // it began at the end of the log
}

// block is how much is read at a time; no line is as long.
const block = 4 * chain.MaxLine

// next returns the line before, without its end. It is good until the next call. Nil: there is none.
func (b *backwards) next() ([]byte, error) {
	for {
		if n := len(b.buf); n > 0 {
			if at := bytes.LastIndexByte(b.buf[:n-1], '\n'); at >= 0 || b.end == 0 || n > block {
				line := bytes.TrimSuffix(b.buf[at+1:], []byte("\n"))
				b.buf = b.buf[:at+1]
				return line, nil
			}
		}
		if len(b.volumes) == 0 {
			return nil, nil
		}
		if b.end > 0 {
			from := max(0, b.end-block)
			part, err := b.volumes[0].part(from, b.end)
			if err != nil {
				return nil, err
			}
			b.end = from
			b.looked += int64(len(part))
			if b.fresh {
				part = part[:bytes.LastIndexByte(part, '\n')+1]
				b.fresh = len(part) == 0
			}
			b.buf = append(part, b.buf...)
			continue
		}
		b.volumes = b.volumes[1:]
		b.fresh = true
		if len(b.volumes) == 0 {
			return nil, nil
		}
		there, err := b.volumes[0].open()
		if err != nil {
			return nil, err
		}
		if there {
			b.end = b.volumes[0].size
		}
	}
}
