package fsm

import (
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"
)

// View calls read with one consistent reading of the state and returns its error. Everything that was
// applied before the call is in it. The View must not be kept. It holds up nobody, and what was applied
// is committed for it: right for lists, dear for single records that are read with every request, for
// which there are Peek and Remember.
func (s *State) View(read func(*View) error) (err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return ErrClosed
	}
	if s.unsettled.Load() {
		if err := s.settle(); err != nil {
			return err
		}
	}
	defer catch(&err)
	return s.db.View(func(tx *bbolt.Tx) error { return read(&View{tx: tx}) })
}

// Peek is View for reading a record or two: it reads what is applied where it is, also what is not
// committed yet. Apply waits meanwhile, so read must be short.
func (s *State) Peek(read func(*View)) (err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return ErrClosed
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	defer catch(&err)
	if s.open != nil {
		read(&s.open.View)
		return nil
	}
	return s.db.View(func(tx *bbolt.Tx) error {
		read(&View{tx: tx})
		return nil
	})
}

// Index returns the log index of the last entry applied.
func (s *State) Index() uint64 { return s.index.Load() }

// Remember returns what read makes of the configuration, accounts and tokens, and keeps it under the key
// until any of these changes: what is read with every request is hardly ever changed. Everything that was
// applied before the call is in it. read must look at nothing else; when it returns nil nothing is kept.
// The value is shared by all who ask: nobody may change it. Keys are of a type of the caller's own.
func (s *State) Remember(key any, read func(*View) any) (any, error) {
	generation := s.generation.Load()
	m := s.memory.Load()
	if m == nil || m.generation != generation {
		m = &memory{generation: generation}
		s.memory.Store(m)
	}
	if value, ok := m.values.Load(key); ok {
		return value, nil
	}
	var value any
	err := s.View(func(v *View) error {
		value = read(v)
		return nil
	})
	// A change is counted before anybody can read it: what was read is of this generation if it is still
	// the present one.
	if err != nil || value == nil || s.generation.Load() != generation {
		return value, err
	}
	if m.kept.Add(1) <= maxRemembered {
		m.values.Store(key, value)
	}
	return value, nil
}

// maxRemembered bounds what is kept of one generation; beyond it, it is read each time.
const maxRemembered = 10_000

// memory is what was made of the configuration while it was of one generation.
type memory struct {
	generation uint64
	kept       atomic.Int64
	values     sync.Map
}
