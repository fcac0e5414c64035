package fsm

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// errReplaced ends the exports of a state that a snapshot of the leader replaces.
var errReplaced = errors.New("the state was replaced while it was being copied: try again")

// Export is a copy of the state as it was at one index, written out as bytes that Restore takes. Meanwhile
// Apply goes on; the file grows by what changes, so writing should not take hours. Close must be called, and
// soon after Ended is closed: until then the node cannot take the leader's snapshot.
type Export struct {
	Meta   Meta
	Counts map[string]uint64 // how much there is of what; for people

	of    *State
	tx    *bbolt.Tx
	ended chan struct{}
	why   error // set before ended is closed
}

// Export begins a copy of the state as it is now.
func (s *State) Export() (*Export, error) {
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
		return nil, fmt.Errorf("beginning a copy of the state: %w", err)
	}
	view := &View{tx: tx}
	e := &Export{Meta: view.Meta(), Counts: view.counted(), of: s, tx: tx, ended: make(chan struct{})}
	s.exports.add(e)
	return e, nil
}

// EndExports makes every copy that is being written fail: the process is about to stop.
func (s *State) EndExports() { s.exports.end(ErrClosed) }

// WriteTo writes the copy.
func (e *Export) WriteTo(w io.Writer) (int64, error) {
	out := &yielding{out: w, of: e}
	err := pack(e.tx, out)
	return out.n, err
}

// Ended is closed when the state is replaced or closed; a writer that waits for somebody should give up.
func (e *Export) Ended() <-chan struct{} { return e.ended }

// Err tells why, once Ended is closed.
func (e *Export) Err() error { return e.why }

// Close lets the state file go.
func (e *Export) Close() error {
	e.of.exports.remove(e)
	if err := e.tx.Rollback(); err != nil && !errors.Is(err, bbolterrors.ErrTxClosed) {
		return fmt.Errorf("ending a copy of the state: %w", err)
	}
	return nil
}

// yielding is a writer that fails once its export is ended.
type yielding struct {
	out io.Writer
	of  *Export
	n   int64
}

func (y *yielding) Write(data []byte) (int, error) {
	select {
	case <-y.of.ended:
		return 0, y.of.why
	default:
	}
	n, err := y.out.Write(data)
	y.n += int64(n)
	return n, err
}

// counted tells how much there is of what.
func (v *View) counted() map[string]uint64 {
	counts := map[string]uint64{}
	for state, n := range v.LeaseCounts() {
		counts["leases_"+string(state)] = n
	}
	for _, t := range []string{environments.bucket, connections.bucket, secrets.bucket, accounts.bucket} {
		counts[t] = rows(v.tx, t)
	}
	return counts
}

// rows counts the rows of a bucket; not for those that may have millions.
func rows(tx *bbolt.Tx, bucket string) (n uint64) {
	c := tx.Bucket([]byte(bucket)).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		n++
	}
	return n
}

// exports knows who is reading the state file, since it cannot be closed meanwhile: a client that takes its
// time must not keep a node from the leader's snapshot.
type exports struct {
	mu   sync.Mutex
	open map[*Export]bool
}

func (x *exports) add(e *Export) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.open == nil {
		x.open = map[*Export]bool{}
	}
	x.open[e] = true
}

func (x *exports) remove(e *Export) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.open, e)
}

// end makes every export fail.
func (x *exports) end(why error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for e := range x.open {
		e.why = why
		close(e.ended)
		delete(x.open, e)
	}
}
