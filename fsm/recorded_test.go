package fsm

import (
	"bufio"
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

var record = flag.Bool("record", false, "record logs and snapshot of this feature level anew: only before its first release")

// recording is what a scenario put into the log at some feature level, and the running hash it led to.
type recording struct {
	Scenario string
	Entries  []recordedEntry
	Hash     []byte
}

type recordedEntry struct {
	Term uint64
	Data []byte
}

// What was written at an earlier feature level is read for ever, and means what it meant. The files are
// recorded once, when a level is released.
func TestRecordedLevels(t *testing.T) {
	if *record {
		recordLevel(t)
	}
	levels, err := filepath.Glob("testdata/level*")
	if err != nil || len(levels) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, dir := range levels {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var logs []recording
			mustDecodeFile(t, filepath.Join(dir, "logs"), &logs)
			for _, r := range logs {
				if got := replay(t, r); !bytes.Equal(got.meta.Hash, r.Hash) {
					t.Errorf("the log of %s leads to %x, it led to %x", r.Scenario, got.meta.Hash, r.Hash)
				}
			}
			// The snapshot is that of the longest log, taken in its middle.
			r := longest(logs)
			data, err := os.ReadFile(filepath.Join(dir, "snapshot"))
			if err != nil {
				t.Fatal(err)
			}
			s := mustOpen(t)
			if err := s.Restore(readCloser{bufio.NewReader(bytes.NewReader(data))}); err != nil {
				t.Fatal(err)
			}
			s.ApplyBatch(r.log()[len(r.Entries)/2:])
			if !bytes.Equal(s.meta.Hash, r.Hash) {
				t.Errorf("the snapshot and the rest of the log of %s lead to %x, they led to %x", r.Scenario, s.meta.Hash, r.Hash)
			}
		})
	}
}

func recordLevel(t *testing.T) {
	dir := filepath.Join("testdata", "level"+string(rune('0'+FeatureLevel)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var logs []recording
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p := newPlayer(t)
		p.play(string(text), false)
		r := recording{Scenario: strings.TrimSuffix(filepath.Base(file), ".txt"), Hash: p.state.meta.Hash}
		for _, entry := range p.log {
			r.Entries = append(r.Entries, recordedEntry{Term: entry.Term, Data: entry.Data})
		}
		if bytes.Equal(replay(t, r).meta.Hash, r.Hash) { // else it begins with a state that was restored
			logs = append(logs, r)
		}
	}
	encoded, err := encode(logs)
	if err != nil {
		t.Fatal(err)
	}
	half := longest(logs)
	half.Entries = half.Entries[:len(half.Entries)/2]
	snapshot := mustSnapshot(t, replay(t, half))
	for name, data := range map[string][]byte{"logs": encoded, "snapshot": snapshot} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func mustDecodeFile(t *testing.T, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := decode(data, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func longest(logs []recording) recording {
	best := logs[0]
	for _, r := range logs {
		if len(r.Entries) > len(best.Entries) {
			best = r
		}
	}
	return best
}

func (r recording) log() []*raft.Log {
	list := make([]*raft.Log, len(r.Entries))
	for i, e := range r.Entries {
		list[i] = &raft.Log{Index: uint64(i) + 1, Term: e.Term, Data: e.Data}
	}
	return list
}

func replay(t *testing.T, r recording) *State {
	t.Helper()
	s := mustOpen(t)
	s.ApplyBatch(r.log())
	return s
}
