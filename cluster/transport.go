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
	// stored returns once the entry of that index is on this node's own disk.
	stored func(index uint64) error
	// unfit says why this node must not stand for election; nil when it may.
	unfit func() error
	// voice is silent until Raft may be answered at all.
	voice *voice
	// self is this node.
	self raft.ServerID
}

var (
	_ raft.Transport   = (*transport)(nil)
	_ raft.WithPreVote = (*transport)(nil)
	_ raft.WithClose   = (*transport)(nil)
)

func newTransport(lifetime context.Context, inner *raft.NetworkTransport, running func() *raft.Raft, stored func(uint64) error, unfit func() error, voice *voice, self raft.ServerID) *transport {
	t := &transport{
		NetworkTransport: inner,
		lifetime:         lifetime,
		asked:            inner.Consumer(),
		raft:             running,
		stored:           stored,
		unfit:            unfit,
		voice:            voice,
		self:             self,
		rpcs:             make(chan raft.RPC),
		beats:            make(chan raft.RPC, 1),
	}
	inner.SetHeartbeatHandler(t.heartbeat)
	return t
}

// AppendEntries sends entries to a follower. Its acknowledgement counts only once this node has the entries
// on its own disk too: Raft takes them for stored since they were given to the journal.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, ask *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) error {
	if err := t.NetworkTransport.AppendEntries(id, target, ask, answer); err != nil || len(ask.Entries) == 0 || !answer.Success {
		return err
	}
	return t.stored(ask.Entries[len(ask.Entries)-1].Index)
}

// RequestPreVote asks for a pre-vote, unless this node had better not lead: it
// then finds nobody who would vote for it and stays a follower.
func (t *transport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, ask *raft.RequestPreVoteRequest, answer *raft.RequestPreVoteResponse) error {
	if err := t.unfit(); err != nil {
		return err
	}
	return t.NetworkTransport.RequestPreVote(id, target, ask, answer)
}

// Consumer returns the channel of everything other nodes ask.
func (t *transport) Consumer() <-chan raft.RPC { return t.rpcs }

// SetHeartbeatHandler is ignored: it would be called beside the main goroutine.
func (t *transport) SetHeartbeatHandler(func(raft.RPC)) {}

// pump passes on what other nodes ask until the node ends.
func (t *transport) pump() {
	select {
	case <-t.voice.open:
	case <-t.lifetime.Done():
		return
	}
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
		switch ask := rpc.Command.(type) {
		case *raft.RequestPreVoteRequest:
			t.letStand(&ask.RPCHeader)
		case *raft.RequestVoteRequest:
			t.letStand(&ask.RPCHeader)
		}
		select {
		case t.rpcs <- rpc:
		case <-t.lifetime.Done():
			return
		}
	}
}

// letStand lets a member stand for election whose vote this node has not heard of. Raft refuses it, which leaves
// nobody to be elected when the leader dies after it and the promoted node alone have stored the promotion. The
// candidate's name serves for that check only, so this node's own is put in its place. Who gets the vote is decided
// by the log as ever: a member that was demoted and does not know lacks the entry that a majority has.
func (t *transport) letStand(candidate *raft.RPCHeader) {
	r := t.raft()
	if r == nil {
		return
	}
	votes, stands := false, false
	for _, s := range servers(r) {
		votes = votes || s.ID == t.self && s.Suffrage == raft.Voter
		stands = stands || string(s.ID) == string(candidate.ID) && s.Suffrage != raft.Voter
	}
	if votes && stands {
		candidate.ID = []byte(t.self)
	}
}

// standNow has this node, which is the only voter, stand for election without waiting for a leader to be heard of: there
// can be no other. A change that made another one would be in its log, since it could not be committed without it.
func (t *transport) standNow() {
	ask := &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(t.self)}}
	select {
	case t.rpcs <- raft.RPC{Command: ask, RespChan: make(chan raft.RPCResponse, 1)}:
	case <-t.lifetime.Done():
	}
}

// heartbeat answers the heartbeat of the leader this node follows at once and
// lets Raft note it when it comes to it. Any other heartbeat changes something
// and waits for Raft.
func (t *transport) heartbeat(rpc raft.RPC) {
	beat := rpc.Command.(*raft.AppendEntriesRequest)
	if t.voice.silent() {
		rpc.Respond(&raft.AppendEntriesResponse{}, errNotMember)
		return
	}
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
