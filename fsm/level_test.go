package fsm

import (
	"bufio"
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

// Whoever adds a command later than level 1 says with which level it came: nodes of an older version would
// stop at it.
func TestLaterCommandsHaveALevel(t *testing.T) {
	for kind, h := range handlers {
		if kind > lastOfLevel1 && h.level < 2 {
			t.Errorf("command %s (%d) came after level 1: give it a level above that with since, and raise FeatureLevel", h.name, kind)
		}
		if kind <= lastOfLevel1 && h.level > 1 {
			t.Errorf("command %s (%d) has been part of level 1", h.name, kind)
		}
		if h.level > FeatureLevel {
			t.Errorf("command %s came with level %d, and this version reads up to %d", h.name, h.level, FeatureLevel)
		}
	}
}

// mustEncode returns a command as a log entry.
func mustEncode(t *testing.T, body Body) []byte {
	t.Helper()
	cmd, err := NewCommand(body, epoch.Time(), Actor{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	data, err := cmd.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A node stops at a level that it does not read, in the log and in a snapshot, and says what to do.
func TestNewerDataStops(t *testing.T) {
	wants := func(err error) {
		t.Helper()
		if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "start that one again") {
			t.Errorf("got %v", err)
		}
	}
	s := mustOpen(t)
	_, err := s.applyBatch([]*raft.Log{{Index: 1, Term: 1, Data: mustEncode(t, &RaiseFeatureLevel{To: FeatureLevel + 1})}})
	wants(err)

	newer := mustOpen(t)
	newer.meta.Level = FeatureLevel + 1
	newer.applying.Lock()
	tx, err := newer.db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	newer.open = newTxn(tx, newer.meta)
	newer.applying.Unlock()
	wants(mustOpen(t).Restore(readCloser{bufio.NewReader(bytes.NewReader(mustSnapshot(t, newer)))}))

	_, err = s.applyBatch([]*raft.Log{{Index: 1, Term: 1, Data: unknownCommand(t)}})
	if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "is not known here") {
		t.Errorf("an unknown command: %v", err)
	}
}

func unknownCommand(t *testing.T) []byte {
	t.Helper()
	data, err := encode(Command{Type: 9999, Version: 1, Body: []byte{0xa0}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A command above the level in force, were one to get into the log, is refused by all nodes that read it.
func TestCommandAboveTheLevelIsRefused(t *testing.T) {
	const later CommandType = 9998
	before := nextHandlers
	t.Cleanup(func() { nextHandlers = before })
	nextHandlers = map[CommandType]handler{
		later: since(FeatureLevel+1, on("later", func(t *txn, _ *struct{}) (uint64, *Refusal) { return t.meta.Index, nil }, nil)),
	}
	cmd := Command{Type: later, Version: 1, Body: []byte{0xa0}}
	data, err := cmd.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t)
	s.meta.Level = FeatureLevel
	r := s.Apply(&raft.Log{Index: 1, Term: 1, Data: data}).(*Result)
	if cmd.Needs() != FeatureLevel+1 || r.Refusal == nil || r.Refusal.Code != CodeLevelTooLow || len(s.meta.Hash) > 0 {
		t.Errorf("needs level %d, answered %+v", cmd.Needs(), r)
	}
}
