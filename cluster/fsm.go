package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// machine stands between Raft and the state machine. Raft's own applied index
// is what it has handed over; this one is what the state machine has taken in.
type machine struct {
	inner raft.BatchingFSM
	// diverged says that the state is not what the others made of the log.
	diverged func() error

	applied atomic.Uint64

	refused error // why the last Restore failed

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when applied grows
}

func newMachine(inner raft.BatchingFSM) *machine {
	return &machine{inner: inner, changed: make(chan struct{})}
}

// advance must be called after the state machine has the entry at index: an
// index that is visible here promises that reads see it.
func (m *machine) advance(index uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.applied.Store(index)
	close(m.changed)
	m.changed = make(chan struct{})
}

// wait blocks until the state machine has taken in index.
func (m *machine) wait(ctx context.Context, index uint64) error {
	for {
		m.mu.Lock()
		have, changed := m.applied.Load(), m.changed
		m.mu.Unlock()
		if have >= index {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for log index %d, now at %d: %w", index, have, context.Cause(ctx))
		}
	}
}

func (m *machine) Apply(entry *raft.Log) any {
	return m.ApplyBatch([]*raft.Log{entry})[0]
}

func (m *machine) ApplyBatch(entries []*raft.Log) []any {
	responses := make([]any, len(entries))
	commands := make([]*raft.Log, 0, len(entries))
	for _, entry := range entries {
		if entry.Type == raft.LogCommand {
			commands = append(commands, entry)
		}
	}
	if len(commands) > 0 {
		results := m.inner.ApplyBatch(commands)
		next := 0
		for i, entry := range entries {
			if entry.Type == raft.LogCommand {
				responses[i] = results[next]
				next++
			}
		}
	}
	m.advance(entries[len(entries)-1].Index)
	return responses
}

// Snapshot is refused while the state is wrong: older snapshots and the log make a right one.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	if err := m.diverged(); err != nil {
		return nil, err
	}
	return m.inner.Snapshot()
}

func (m *machine) Restore(content io.ReadCloser) error {
	var indexed *indexedSnapshot
	for source := content; indexed == nil; {
		switch s := source.(type) {
		case *indexedSnapshot:
			indexed = s
		case raft.ReadCloserWrapper:
			source = s.WrappedReadCloser()
		default:
			return errors.New("restoring a snapshot whose log index is not known")
		}
	}
	if m.refused = m.inner.Restore(content); m.refused != nil {
		return m.refused
	}
	m.advance(indexed.index)
	return nil
}
