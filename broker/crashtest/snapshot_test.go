package crashtest

import (
	"bytes"
	"io"
)

// fromSnapshot is what is counted when a node that starts begins with one.
const fromSnapshot = "a node starts from a snapshot"

// archive is a snapshot of the state machine.
type archive struct {
	index uint64
	data  []byte
}

// snapshot takes one of all that is committed.
func (w *world) snapshot() *archive {
	s, err := w.truth.Snapshot()
	must(err)
	defer s.Release()
	a := &sink{}
	must(s.Persist(a))
	return &archive{index: uint64(len(w.log)), data: a.Bytes()}
}

// restore replaces what a process knows by a snapshot. What was committed since comes with the log.
func (inc *incarnation) restore(a *archive) {
	must(inc.state.Restore(io.NopCloser(bytes.NewReader(a.data))))
	inc.applied = a.index
}

// sink keeps a snapshot in memory.
type sink struct{ bytes.Buffer }

func (*sink) ID() string    { return "" }
func (*sink) Cancel() error { return nil }
func (*sink) Close() error  { return nil }
