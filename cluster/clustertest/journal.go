package clustertest

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"
)

// Entry is one applied command.
type Entry struct {
	Index uint64
	Term  uint64
	Data  string
}

// Journal is a state machine that remembers the commands applied to it. Its
// answer to a command is the command's number, beginning with 1. It is safe for
// concurrent use.
type Journal struct {
	mu       sync.Mutex
	entries  []Entry
	restores int
	hold     chan struct{}
}

var _ raft.BatchingFSM = (*Journal)(nil)

// Entries returns the commands applied so far.
func (j *Journal) Entries() []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Entry(nil), j.entries...)
}

// Last returns the newest command, or the zero Entry.
func (j *Journal) Last() Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries) == 0 {
		return Entry{}
	}
	return j.entries[len(j.entries)-1]
}

// Restores returns how often the journal was restored from a snapshot.
func (j *Journal) Restores() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.restores
}

// Hold lets no command be applied until release is called.
func (j *Journal) Hold() (release func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	hold := make(chan struct{})
	j.hold = hold
	return sync.OnceFunc(func() { close(hold) })
}

// Apply applies one command.
func (j *Journal) Apply(entry *raft.Log) any { return j.ApplyBatch([]*raft.Log{entry})[0] }

// ApplyBatch applies commands in order.
func (j *Journal) ApplyBatch(batch []*raft.Log) []any {
	j.mu.Lock()
	hold := j.hold
	j.mu.Unlock()
	if hold != nil {
		<-hold
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	answers := make([]any, 0, len(batch))
	for _, entry := range batch {
		j.entries = append(j.entries, Entry{Index: entry.Index, Term: entry.Term, Data: string(entry.Data)})
		answers = append(answers, len(j.entries))
	}
	return answers
}

// Snapshot captures the commands applied so far.
func (j *Journal) Snapshot() (raft.FSMSnapshot, error) {
	return journalSnapshot(j.Entries()), nil
}

// Restore replaces all commands by those of a snapshot.
func (j *Journal) Restore(content io.ReadCloser) error {
	var entries []Entry
	if err := json.NewDecoder(content).Decode(&entries); err != nil {
		return fmt.Errorf("restoring the journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = entries
	j.restores++
	return nil
}

type journalSnapshot []Entry

func (s journalSnapshot) Persist(sink raft.SnapshotSink) error {
	if err := json.NewEncoder(sink).Encode([]Entry(s)); err != nil {
		_ = sink.Cancel()
		return fmt.Errorf("writing the journal: %w", err)
	}
	return sink.Close()
}

func (journalSnapshot) Release() {}
