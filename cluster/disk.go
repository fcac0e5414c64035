package cluster

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// diskRest is for how many times the bound a disk must do well before it counts as well again.
	diskRest = 10
	// diskWindow is half of the time that DiskView.Longest looks back.
	diskWindow = time.Minute

	// A file system with less than this left is worth a warning.
	lowSpaceBytes = 512 << 20
	lowSpacePart  = 20 // one part in so many
)

// DiskView is what this node knows of the disk that its log is on.
type DiskView struct {
	// Writes is how many writes of the log have ended, and WriteTime how long they took together, flushes
	// included.
	Writes    uint64
	WriteTime time.Duration
	// Last is how long the last one took, Longest the longest of the last one to two minutes, those under
	// way included.
	Last    time.Duration
	Longest time.Duration
	// Free and Size are bytes of the data directory's file system; Size is zero when unknown.
	Free, Size uint64
	// Trouble says why the disk counts as bad; nil when it does not. A node with a bad disk leads only when
	// no voter is known whose disk is well.
	Trouble error
}

// LowSpace says that the file system is nearly full, or nothing.
func (v DiskView) LowSpace() string {
	if v.Size == 0 || v.Free >= lowSpaceBytes && v.Free >= v.Size/lowSpacePart {
		return ""
	}
	return fmt.Sprintf("only %d MiB of %d MiB are left on the disk: a node whose disk is full stops, so make room", v.Free>>20, v.Size>>20)
}

// diskError says that this node's disk is bad.
type diskError struct {
	took  time.Duration
	still bool  // it has not ended yet
	err   error // it failed; nil: it was slow
}

func (e *diskError) Error() string {
	took := e.took.Round(time.Millisecond)
	switch {
	case e.err != nil:
		return fmt.Sprintf("this node's disk cannot be written: %v", e.err)
	case e.still:
		return fmt.Sprintf("this node's disk hangs: it has been writing the log for %s", took)
	}
	return fmt.Sprintf("this node's disk is slow: writing the log took %s", took)
}

func (e *diskError) Unwrap() error { return e.err }

// diskBook is what a node knows of its disk. The zero value knows a disk that is well.
type diskBook struct {
	mu       sync.Mutex
	bound    time.Duration // how long a write may take; 0: for ever
	underway map[*diskWrite]struct{}
	view     DiskView // without Longest and Trouble
	longest  [2]time.Duration
	turnedAt time.Time  // when longest[0] was begun
	trouble  *diskError // the last; nil: none, or long ago
	endedAt  time.Time  // when that was
}

// diskWrite is one write that is under way.
type diskWrite struct {
	began time.Time
	// counted: it is a write of the log, not one of votes, a probe, or what waits for such a write.
	counted bool
}

// begin notes a write; what it returns must be called when it has ended.
func (b *diskBook) begin(counted bool) (end func(error)) {
	w := &diskWrite{began: time.Now(), counted: counted}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.underway == nil {
		b.underway = make(map[*diskWrite]struct{})
	}
	b.underway[w] = struct{}{}
	return func(err error) { b.end(w, err) }
}

func (b *diskBook) end(w *diskWrite, err error) {
	now := time.Now()
	took := now.Sub(w.began)
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.underway, w)
	if w.counted {
		b.view.Writes++
		b.view.WriteTime += took
		b.view.Last = took
		b.turnLocked(now)
		b.longest[0] = max(b.longest[0], took)
	}
	if err != nil || b.bound > 0 && took > b.bound {
		b.trouble, b.endedAt = &diskError{took: took, err: err}, now
	}
}

// turnLocked lets what is too long ago be forgotten.
func (b *diskBook) turnLocked(now time.Time) {
	for range 2 {
		if now.Sub(b.turnedAt) < diskWindow {
			return
		}
		b.longest = [2]time.Duration{0, b.longest[0]}
		b.turnedAt = b.turnedAt.Add(diskWindow)
	}
	b.turnedAt = now
}

// look returns what is known now.
func (b *diskBook) look() DiskView {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turnLocked(now)
	view := b.view
	view.Longest = max(b.longest[0], b.longest[1])
	var oldest time.Duration
	for w := range b.underway {
		age := now.Sub(w.began)
		oldest = max(oldest, age)
		if w.counted {
			view.Longest = max(view.Longest, age)
		}
	}
	switch {
	case b.bound == 0:
	case oldest > b.bound:
		view.Trouble = &diskError{took: oldest, still: true}
	case b.trouble != nil && now.Sub(b.endedAt) <= diskRest*b.bound:
		view.Trouble = b.trouble
	}
	return view
}

// setSpace notes how much room there is.
func (b *diskBook) setSpace(free, size uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.view.Free, b.view.Size = free, size
}

// isUnfit reports whether an error is why this node must not lead, so that nothing it does itself helps.
func isUnfit(err error) bool {
	var clock *clockError
	var disk *diskError
	var diverged *divergedError
	return errors.As(err, &clock) || errors.As(err, &disk) || errors.As(err, &diverged)
}
