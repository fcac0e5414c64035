package cluster

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/raft"
)

// indexedSnapshots is a snapshot store whose opened snapshots know the log
// index they stand for, since the state machine's Restore is given only bytes,
// and whose files nobody else may read.
type indexedSnapshots struct {
	raft.SnapshotStore
	dir  string
	log  raft.LogStore
	warn func(msg string, args ...any)

	mu       sync.Mutex
	bad      map[string]error // snapshots that cannot be read, and why
	starting bool             // Raft looks for one to begin with
	last     string           // the one that was opened last
	refused  error            // why Raft must not begin
}

// indexedSnapshot is the content of a snapshot together with its index.
type indexedSnapshot struct {
	io.ReadCloser
	index uint64
}

func (s *indexedSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if err := s.turn(id); err != nil {
		return nil, nil, err
	}
	meta, content, err := s.SnapshotStore.Open(id)
	if err != nil {
		s.distrust(id, err)
		return nil, nil, err
	}
	return meta, &indexedSnapshot{ReadCloser: content, index: meta.Index}, nil
}

// List returns the snapshots that are not known to be damaged, the newest first.
func (s *indexedSnapshots) List() ([]*raft.SnapshotMeta, error) {
	all, err := s.SnapshotStore.List()
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*raft.SnapshotMeta
	for _, meta := range all {
		if _, bad := s.bad[meta.ID]; !bad {
			list = append(list, meta)
		}
	}
	return list, err
}

// check looks for snapshots of which not even the description can be read: the store leaves them out
// silently, and with them what only they hold.
func (s *indexedSnapshots) check() error {
	s.starting = true
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("opening the snapshots: %w", err)
	}
	known, err := s.SnapshotStore.List()
	if err != nil {
		return fmt.Errorf("opening the snapshots: %w", err)
	}
	readable := make(map[string]bool)
	for _, meta := range known {
		readable[meta.ID] = true
	}
	for _, entry := range entries {
		// The store keeps its newest two; older ones that a crash left behind are of no use to anybody.
		if name := entry.Name(); entry.IsDir() && !strings.HasSuffix(name, ".tmp") && !readable[name] && (len(known) == 0 || snapshotIndex(name) > known[len(known)-1].Index) {
			s.distrust(name, errors.New("its description is missing or damaged"))
		}
	}
	if len(known) > 0 {
		return nil // Open decides
	}
	return s.enough(0)
}

// snapshotIndex is the log index in a snapshot's name: term-index-milliseconds.
func snapshotIndex(name string) uint64 {
	parts := strings.Split(name, "-")
	if len(parts) != 3 {
		return 0
	}
	index, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return 0
	}
	return index
}

// distrust remembers that a snapshot cannot be read.
func (s *indexedSnapshots) distrust(id string, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bad == nil {
		s.bad = make(map[string]error)
	}
	s.bad[id] = why
}

// turn is asked before a snapshot is opened. Raft, when it starts, turns to an older snapshot after one that
// cannot be read or restored. That is right only where the log has everything since, and wrong where a newer
// version wrote the newest one.
func (s *indexedSnapshots) turn(id string) error {
	s.mu.Lock()
	starting, before := s.starting, s.last
	_, unread := s.bad[before]
	s.last = id
	s.mu.Unlock()
	if !starting {
		return nil
	}
	if before != "" && !unread {
		// It was whole, and the state machine did not take it: it has said why.
		s.refuse(fmt.Errorf("%w: snapshot %s cannot be restored", ErrDamaged, filepath.Join(s.dir, before)))
	} else if err := s.enough(snapshotIndex(id)); err != nil {
		s.refuse(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// enough makes sure that the log leads from an index beyond every damaged snapshot.
func (s *indexedSnapshots) enough(from uint64) error {
	first, err := s.log.FirstIndex()
	if err != nil {
		return fmt.Errorf("looking into the log: %w", err)
	}
	last, err := s.log.LastIndex()
	if err != nil {
		return fmt.Errorf("looking into the log: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, why := range s.bad {
		path := filepath.Join(s.dir, id)
		switch index := snapshotIndex(id); {
		case index <= from: // nothing is needed of it
		case first == 0 || first > from+1 || last < index:
			return fmt.Errorf("%w: snapshot %s cannot be read (%w), and neither the log nor an older snapshot has what is in it: put it back; %s", ErrDamaged, path, why, startAnew)
		default:
			s.warn("a snapshot cannot be read; the one before and the log have everything, so this node goes on with them: look at the disk, and remove the snapshot", "path", path, "error", why)
		}
	}
	return nil
}

// refuse has every further snapshot refused until Raft gives up.
func (s *indexedSnapshots) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == nil {
		s.refused = err
	}
}

// started ends the time of starting, with what Raft made of it.
func (s *indexedSnapshots) started(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starting = false
	if err == nil || s.refused != nil {
		return s.refused
	}
	if why, bad := s.bad[s.last]; bad {
		return fmt.Errorf("%w: snapshot %s cannot be read (%w), and there is no other: put it back; %s", ErrDamaged, filepath.Join(s.dir, s.last), why, startAnew)
	}
	return err
}

func (s *indexedSnapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, trans raft.Transport,
) (raft.SnapshotSink, error) {
	sink, err := s.SnapshotStore.Create(version, index, term, configuration, configurationIndex, trans)
	if err != nil {
		return nil, err
	}
	if err := s.tighten(); err != nil {
		return nil, errors.Join(err, sink.Cancel())
	}
	return sink, nil
}

// tighten takes everybody else's permissions from the snapshots: the file store
// leaves them to the process's umask.
func (s *indexedSnapshots) tighten() error {
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		mode := fs.FileMode(0o600)
		if err == nil && entry.IsDir() {
			mode = 0o700
		}
		if err == nil {
			err = os.Chmod(path, mode)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // reaped meanwhile
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("protecting the snapshots: %w", err)
	}
	return nil
}
