//go:build level2

package broker

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"broker/fsm"
)

// countingLog applies what is proposed, and counts it.
type countingLog struct {
	state *fsm.State
	index uint64
}

func (l *countingLog) Propose(_ context.Context, data []byte) (any, uint64, error) {
	l.index++
	return l.state.Apply(&raft.Log{Index: l.index, Term: 1, Data: data}), l.index, nil
}

// A command of a later level does not get into the log before that level is in force: nodes of an older
// version would stop at it.
func TestCommandsAboveTheLevelAreNotProposed(t *testing.T) {
	state, err := fsm.Open(fsm.Config{Dir: filepath.Join(t.TempDir(), "state")})
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	log := &countingLog{state: state}
	p := &period{Broker: &Broker{Config: Config{State: state, Log: log, Now: time.Now}}, ctx: t.Context(), term: 1}
	probe := func() error {
		_, _, err := propose[uint64](t.Context(), p, Request{}, &fsm.Probe{})
		return err
	}
	var refusal *fsm.Refusal
	if err := probe(); !errors.As(err, &refusal) || refusal.Code != fsm.CodeLevelTooLow || refusal.Details["needs_level"] != "2" || log.index != 0 {
		t.Fatalf("at level 1: %v, %d entries", err, log.index)
	}
	if done, _, err := propose[fsm.FeatureLevelChange](t.Context(), p, Request{}, &fsm.RaiseFeatureLevel{To: 2}); err != nil || done != (fsm.FeatureLevelChange{From: 1, To: 2}) {
		t.Fatalf("raising: %+v, %v", done, err)
	}
	if err := probe(); err != nil || log.index != 2 {
		t.Errorf("at level 2: %v, %d entries", err, log.index)
	}
	// Were an older leader to propose it, it would be refused everywhere alike.
	older, err := fsm.Open(fsm.Config{Dir: filepath.Join(t.TempDir(), "older")})
	if err != nil {
		t.Fatal(err)
	}
	defer older.Close()
	cmd, err := fsm.NewCommand(&fsm.Probe{}, time.Now(), fsm.Actor{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	data, err := cmd.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if r := older.Apply(&raft.Log{Index: 1, Term: 1, Data: data}).(*fsm.Result); r.Refusal == nil || r.Refusal.Code != fsm.CodeLevelTooLow {
		t.Errorf("applied at level 1: %+v", r)
	}
}
