package cluster

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

func TestReadsShareRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun int
		r := &readRounds{run: func() (uint64, error) {
			begun++
			mine := begun
			time.Sleep(time.Second)
			return uint64(mine), nil
		}}
		join := func() uint64 {
			index, err := r.join(t.Context())
			if err != nil {
				t.Error(err)
			}
			return index
		}

		var all sync.WaitGroup
		all.Go(func() {
			if got := join(); got != 1 {
				t.Errorf("first read answered by round %d", got)
			}
		})
		synctest.Wait()
		// These arrive while round 1 runs: it began before them and is not for
		// them, and all of them share the next.
		for range 100 {
			all.Go(func() {
				if got := join(); got != 2 {
					t.Errorf("read that arrived in round 1 answered by round %d, want 2", got)
				}
			})
		}
		all.Wait()
		if got := r.rounds.Load(); got != 2 {
			t.Errorf("%d rounds for 101 reads, want 2", got)
		}
		r.wait()
		if _, err := r.join(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestReadGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &readRounds{run: func() (uint64, error) { time.Sleep(time.Hour); return 0, nil }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.join(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		r.wait()
	})
}

// Which of Raft's errors may be taken for "never": each line was checked in
// Raft's source.
func TestProposeErrorsSorted(t *testing.T) {
	for _, row := range []struct {
		err   error
		never bool
	}{
		{raft.ErrNotLeader, true},
		{raft.ErrLeadershipTransferInProgress, true},
		{raft.ErrEnqueueTimeout, true},
		{raft.ErrLeadershipLost, false},
		{raft.ErrAbortedByRestore, false},
		{raft.ErrRaftShutdown, false},
		{context.DeadlineExceeded, false},
		{context.Canceled, false},
		{errors.New("no space left on device"), false},
	} {
		err := proposeError(row.err)
		var definite interface{ NotCommitted() bool }
		never := errors.As(err, &definite) && definite.NotCommitted()
		if never != row.never || errors.Is(err, ErrOutcomeUnknown) == row.never {
			t.Errorf("%v: became %v, want never committed: %t", row.err, err, row.never)
		}
	}
}

func TestTimingDefaultsAreValid(t *testing.T) {
	for name, timing := range map[string]Timing{
		"zero":           {},
		"LAN":            LAN(),
		"WAN":            WAN(),
		"only heartbeat": {Heartbeat: 2 * time.Second},
	} {
		n := &Node{cfg: Config{Timing: timing.withDefaults(), SnapshotThreshold: 1}}
		if err := raft.ValidateConfig(n.raftConfig("n1")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGate(t *testing.T) {
	var g gate
	for range 2 {
		if !g.enter() {
			t.Fatal("an open gate let nobody in")
		}
	}
	g.leave()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.wait(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("with somebody inside: %v", err)
	}
	if g.enter() {
		t.Error("a closed gate let somebody in")
	}
	g.leave()
	if err := g.wait(t.Context()); err != nil {
		t.Errorf("with nobody inside: %v", err)
	}
}
