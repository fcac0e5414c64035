package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// pathMembership is where the leader says whether a node is a member.
	pathMembership = "/internal/membership/"
	// pathLeave is where the leader has a node leave.
	pathLeave = "/internal/leave"
	// pathRemove is where a node that leaves has the leader remove it.
	pathRemove = "/internal/remove"
)

type membershipAnswer struct {
	Member bool `json:"member"`
}

type removeRequest struct {
	NodeID string `json:"node_id"`
	Reason string `json:"reason"`
}

type removeAnswer struct {
	Refused string `json:"refused,omitempty"` // why it would cost the quorum
}

func (n *Node) handleMembership(mux *http.ServeMux) {
	mux.HandleFunc("GET "+pathMembership+"{id}", func(w http.ResponseWriter, req *http.Request) {
		member, err := n.isMember(req.Context(), req.PathValue("id"))
		reply(w, membershipAnswer{member}, err)
	})
	mux.HandleFunc("POST "+pathLeave, func(w http.ResponseWriter, req *http.Request) {
		_, leader, _ := n.leaderAddr()
		if peer, known := peerFrom(req.Context()); known && peer != leader {
			reply(w, nil, fmt.Errorf("node %q does not lead: only the leader has others leave", peer))
			return
		}
		reply(w, struct{}{}, n.askedToLeave())
	})
	mux.HandleFunc("POST "+pathRemove, func(w http.ResponseWriter, req *http.Request) {
		var ask removeRequest
		if err := json.NewDecoder(io.LimitReader(req.Body, maxInternalBody)).Decode(&ask); err != nil {
			reply(w, nil, fmt.Errorf("reading the request: %w", err))
			return
		}
		if peer, known := peerFrom(req.Context()); known && peer != ask.NodeID {
			reply(w, nil, fmt.Errorf("node %q asks for the removal of %q: a node may ask for its own only", peer, ask.NodeID))
			return
		}
		err := n.RemoveMember(req.Context(), ask.NodeID, ask.Reason, false)
		if errors.Is(err, ErrQuorum) {
			reply(w, removeAnswer{Refused: err.Error()}, nil)
			return
		}
		reply(w, removeAnswer{}, err)
	})
}

// isMember answers, at the leader, whether a node is a member. That it is none is said only of what is
// committed.
func (n *Node) isMember(ctx context.Context, id string) (bool, error) {
	if !n.LeaderReady() {
		return false, ErrNotLeader
	}
	n.peers.admission.Lock() // no change is on its way
	defer n.peers.admission.Unlock()
	if _, ok := n.member(id); ok {
		return true, nil
	}
	if err := n.change(ctx, func(r *raft.Raft) raft.Future { return r.Barrier(n.cfg.Timing.RPC) }); err != nil {
		return false, err
	}
	_, ok := n.member(id)
	return ok, nil
}

// noticeRemoval finds out whether this node is a member still, when there is reason to doubt it: its log says
// so, nobody has told of a leader for a while, or others refuse it.
func (n *Node) noticeRemoval() {
	if n.isFresh() || n.removed.Load() {
		return
	}
	members := servers(n.raft.Load())
	_, listed := n.member(n.NodeID())
	if listed && n.Staleness() < 4*n.cfg.Timing.Heartbeat {
		return
	}
	for _, s := range members {
		if string(s.ID) == n.NodeID() {
			continue
		}
		one, _ := n.contacts.look(string(s.ID))
		removed := errors.Is(one.err, ErrRemoved)
		if !removed {
			ctx, cancel := context.WithTimeout(n.lifetime, 2*n.cfg.Timing.RPC)
			var answer membershipAnswer
			err := n.call(ctx, string(s.Address), pathMembership+n.NodeID(), nil, &answer)
			cancel()
			removed = errors.Is(err, ErrRemoved) || err == nil && !answer.Member
			if err == nil && answer.Member {
				return
			}
		}
		if removed {
			n.wasRemoved()
			return
		}
	}
}

// wasRemoved says, once, that this node is a member no more.
func (n *Node) wasRemoved() {
	if at, first := n.noteRemoval(); first && n.cfg.Removed != nil {
		n.cfg.Removed(removedError(n.cfg.DataDir, at))
	}
}

// noteRemoval writes down that this node is a member no more, so that it does not start again as one.
func (n *Node) noteRemoval() (at time.Time, first bool) {
	at = n.wall()
	if n.removed.Swap(true) {
		return at, false
	}
	if err := n.amendIdentity(func(id *identity) { id.RemovedAt = &at }); err != nil {
		n.log.Error("writing down that this node was removed", "error", err)
	}
	return at, true
}

func removedError(dir string, at time.Time) error {
	return fmt.Errorf("%w on %s: to bring it back, give it an empty data directory instead of %s, and let it join as a new node", ErrRemoved, at.UTC().Format(time.DateOnly), dir)
}

// AskToLeave has a member leave: finish what it does, hand leadership over, be removed and stop. It returns once the
// node has agreed, and errors wrapping ErrNotLeader, ErrNoMember, ErrQuorum, or ErrUnready for one that does
// not answer.
func (n *Node) AskToLeave(ctx context.Context, id string) error {
	if !n.LeaderReady() {
		return ErrNotLeader
	}
	s, ok := n.member(id)
	if !ok {
		return fmt.Errorf("%w %q", ErrNoMember, id)
	}
	if err := n.quorumWithout(ctx, s.ID); err != nil {
		return fmt.Errorf("leaving: %w", err)
	}
	if id == n.NodeID() {
		return n.askedToLeave()
	}
	if err := n.call(ctx, string(s.Address), pathLeave, struct{}{}, nil); err != nil {
		return fmt.Errorf("%w: asking node %q to leave: %w; remove it if it is gone for good", ErrUnready, id, err)
	}
	return nil
}

func (n *Node) askedToLeave() error {
	if n.cfg.Leave == nil {
		return errors.New("this node cannot be asked to leave")
	}
	n.cfg.Leave()
	return nil
}

// Leave takes this node out of the cluster: it hands leadership over and has the next leader remove it. Stop is to
// follow. It returns an error wrapping ErrQuorum when the others would be no quorum.
func (n *Node) Leave(ctx context.Context, reason string) error {
	n.BeginStop()
	for {
		err := n.leaveOnce(ctx, reason)
		switch {
		case err == nil || errors.Is(err, ErrRemoved):
			n.noteRemoval()
			n.log.Info("left the cluster")
			return nil
		case errors.Is(err, ErrQuorum):
			return err
		}
		select {
		case <-time.After(n.cfg.Timing.Retry):
		case <-ctx.Done():
			return fmt.Errorf("leaving the cluster: %w", err)
		}
	}
}

func (n *Node) leaveOnce(ctx context.Context, reason string) error {
	if n.IsLeader() {
		if err := n.changeable(ctx, n.NodeID()); !errors.Is(err, ErrNotLeader) {
			return err
		}
	}
	address, id, ok := n.leaderAddr()
	if !ok || id == n.NodeID() {
		return ErrNoLeader
	}
	var answer removeAnswer
	err := n.call(ctx, address, pathRemove, removeRequest{NodeID: n.NodeID(), Reason: reason}, &answer)
	if err == nil && answer.Refused != "" {
		return fmt.Errorf("%w: %s", ErrQuorum, answer.Refused)
	}
	return err
}
