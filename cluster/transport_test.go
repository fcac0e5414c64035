package cluster

import (
	"testing"
	"testing/synctest"

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
				transport := &transport{lifetime: t.Context(), asked: asked, rpcs: make(chan raft.RPC)}
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
