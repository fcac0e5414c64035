package cluster

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
)

// A message vouches for the entry before its own and for its own; a follower
// with more in its log must not take more than that for committed.
func TestCommitIndexIsLoweredToWhatTheMessageVouchesFor(t *testing.T) {
	for name, row := range map[string]struct {
		previous, entries int
		commit, want      uint64
	}{
		"more than it brings":    {previous: 80, entries: 9, commit: 150, want: 89},
		"no entries":             {previous: 89, entries: 0, commit: 92, want: 89},
		"less than it brings":    {previous: 80, entries: 9, commit: 85, want: 85},
		"as much as it brings":   {previous: 80, entries: 9, commit: 89, want: 89},
		"the beginning of a log": {previous: 0, entries: 3, commit: 9, want: 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := make(chan raft.RPC)
				transport := &transport{lifetime: t.Context(), asked: asked, rpcs: make(chan raft.RPC), voice: raised()}
				go transport.pump()
				asked <- raft.RPC{Command: &raft.AppendEntriesRequest{
					PrevLogEntry:      uint64(row.previous),
					Entries:           make([]*raft.Log, row.entries),
					LeaderCommitIndex: row.commit,
				}}
				passed := (<-transport.Consumer()).Command.(*raft.AppendEntriesRequest)
				if passed.LeaderCommitIndex != row.want {
					t.Errorf("commit index %d became %d, want %d", row.commit, passed.LeaderCommitIndex, row.want)
				}
			})
		})
	}
}

// A heartbeat that may change something is for Raft's main goroutine to answer.
func TestHeartbeatOfAnotherLeaderWaitsForRaft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := &transport{
			lifetime: t.Context(),
			raft:     func() *raft.Raft { return nil },
			rpcs:     make(chan raft.RPC),
			beats:    make(chan raft.RPC, 1),
			voice:    raised(),
		}
		answers := make(chan raft.RPCResponse, 1)
		go transport.heartbeat(raft.RPC{Command: &raft.AppendEntriesRequest{Term: 7}, RespChan: answers})
		synctest.Wait()
		if len(answers) > 0 {
			t.Fatal("answered without Raft")
		}
		rpc := <-transport.Consumer()
		rpc.Respond(&raft.AppendEntriesResponse{Term: 8}, nil)
		if got := (<-answers).Response.(*raft.AppendEntriesResponse).Term; got != 8 {
			t.Errorf("answered with term %d", got)
		}
	})
}

// A follower's acknowledgement does not reach Raft before the leader has the entries on its own disk.
func TestAcknowledgementsWaitForTheOwnDisk(t *testing.T) {
	open := func() *raft.NetworkTransport {
		trans, err := raft.NewTCPTransport("127.0.0.1:0", nil, 1, time.Second, io.Discard)
		must(t, err)
		t.Cleanup(func() { must(t, trans.Close()) })
		return trans
	}
	follower := open()
	go func() {
		for rpc := range follower.Consumer() {
			accept := rpc.Command.(*raft.AppendEntriesRequest).Term == 1
			rpc.Respond(&raft.AppendEntriesResponse{Success: accept}, nil)
			if !accept {
				return
			}
		}
	}()
	slow := errors.New("the disk hangs")
	var asked []uint64
	leader := &transport{NetworkTransport: open(), stored: func(index uint64) error {
		asked = append(asked, index)
		if index == 7 {
			return nil
		}
		return slow
	}}
	term := uint64(1)
	send := func(indexes ...uint64) error {
		ask := &raft.AppendEntriesRequest{Term: term}
		for _, index := range indexes {
			ask.Entries = append(ask.Entries, &raft.Log{Index: index, Term: 1})
		}
		return leader.AppendEntries("n2", follower.LocalAddr(), ask, new(raft.AppendEntriesResponse))
	}
	must(t, send())
	must(t, send(6, 7))
	if err := send(8, 9); !errors.Is(err, slow) {
		t.Errorf("acknowledged: %v", err)
	}
	term = 2
	must(t, send(8, 9)) // a refusal is passed on at once
	if diff := cmp.Diff([]uint64{7, 9}, asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}

func raised() *voice {
	v := newVoice()
	v.raise()
	return v
}

// A node that was not let in answers nothing that Raft asks: no vote, no heartbeat.
func TestSilentBeforeLetIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan raft.RPC, 1)
		transport := &transport{
			lifetime: t.Context(), raft: func() *raft.Raft { return nil },
			asked: asked, rpcs: make(chan raft.RPC), beats: make(chan raft.RPC, 1), voice: newVoice(),
		}
		go transport.pump()
		asked <- raft.RPC{Command: &raft.RequestVoteRequest{Term: 7}}
		answers := make(chan raft.RPCResponse, 1)
		transport.heartbeat(raft.RPC{Command: &raft.AppendEntriesRequest{Term: 7}, RespChan: answers})
		if got := <-answers; got.Error == nil || got.Response.(*raft.AppendEntriesResponse).Success {
			t.Errorf("a heartbeat was answered: %+v", got)
		}
		synctest.Wait()
		select {
		case <-transport.Consumer():
			t.Error("Raft was asked for a vote")
		default:
		}
		transport.voice.raise()
		if _, ok := (<-transport.Consumer()).Command.(*raft.RequestVoteRequest); !ok {
			t.Error("the vote was lost")
		}
	})
}
