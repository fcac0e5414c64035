package cluster

import (
	"context"
	"slices"

	"github.com/hashicorp/raft"
)

// transport is Raft's network transport with two of Raft's weak points covered.
//
// A follower takes the leader's commit index for its own up to the end of its
// log, even if the message vouches for less of it: entries of a deposed leader
// behind that point would be applied, on this node alone. Here the commit index
// of a message is lowered to the last entry that the message vouches for.
//
// Raft lets heartbeats change term and state beside its main goroutine, which
// may then write entries, or even lead, in a term it was not elected in. Here
// only the main goroutine sees them. They are answered before that, so that a
// node whose disk is slow does not cost the leader its lease.
type transport struct {
	*raft.NetworkTransport
	lifetime context.Context
	// asked is what other nodes ask, heartbeats apart.
	asked <-chan raft.RPC
	// raft is set once Raft runs; heartbeats come earlier.
	raft func() *raft.Raft
	// rpcs is what Raft's main goroutine reads.
	rpcs chan raft.RPC
	// beats holds at most one heartbeat that was answered already.
	beats chan raft.RPC
}

var (
	_ raft.Transport   = (*transport)(nil)
	_ raft.WithPreVote = (*transport)(nil)
	_ raft.WithClose   = (*transport)(nil)
)

func newTransport(lifetime context.Context, inner *raft.NetworkTransport, running func() *raft.Raft) *transport {
	t := &transport{
		NetworkTransport: inner,
		lifetime:         lifetime,
		asked:            inner.Consumer(),
		raft:             running,
		rpcs:             make(chan raft.RPC),
		beats:            make(chan raft.RPC, 1),
	}
	inner.SetHeartbeatHandler(t.heartbeat)
	return t
}

// Consumer returns the channel of everything other nodes ask.
func (t *transport) Consumer() <-chan raft.RPC { return t.rpcs }

// SetHeartbeatHandler is ignored: it would be called beside the main goroutine.
func (t *transport) SetHeartbeatHandler(func(raft.RPC)) {}

// pump passes on what other nodes ask until the node ends.
func (t *transport) pump() {
	for {
		var rpc raft.RPC
		select {
		case rpc = <-t.asked:
		case rpc = <-t.beats:
		case <-t.lifetime.Done():
			return
		}
		if entries, ok := rpc.Command.(*raft.AppendEntriesRequest); ok {
			vouched := entries.PrevLogEntry + uint64(len(entries.Entries))
			entries.LeaderCommitIndex = min(entries.LeaderCommitIndex, vouched)
		}
		select {
		case t.rpcs <- rpc:
		case <-t.lifetime.Done():
			return
		}
	}
}

// heartbeat answers the heartbeat of the leader this node follows at once and
// lets Raft note it when it comes to it. Any other heartbeat changes something
// and waits for Raft.
func (t *transport) heartbeat(rpc raft.RPC) {
	beat := rpc.Command.(*raft.AppendEntriesRequest)
	if r := t.raft(); r != nil && follows(r, beat) {
		rpc.Respond(&raft.AppendEntriesResponse{
			RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax},
			Term:      beat.Term,
			LastLog:   r.LastIndex(),
			Success:   true,
		}, nil)
		rpc.RespChan = make(chan raft.RPCResponse, 1) // nobody listens to Raft's own answer
		select {
		case t.beats <- rpc:
		default: // one waits already and will do as well
		}
		return
	}
	select {
	case t.rpcs <- rpc:
	case <-t.lifetime.Done():
		rpc.Respond(&raft.AppendEntriesResponse{}, ErrStopped)
	}
}

// follows reports whether a heartbeat comes from the leader this node follows
// in that very term.
func follows(r *raft.Raft, beat *raft.AppendEntriesRequest) bool {
	address, id := r.LeaderWithID()
	return r.State() == raft.Follower && r.CurrentTerm() == beat.Term &&
		slices.Equal([]byte(id), beat.ID) && slices.Equal([]byte(address), beat.Addr)
}
