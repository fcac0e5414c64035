package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/raft"
)

// letIn makes a node a member, without a vote: see tend for how it gets one. It is the leader's part of
// joining and of moving, and safe to repeat. The caller holds the admission.
func (n *Node) letIn(ctx context.Context, ask joinRequest) error {
	if level := n.cfg.Levels.InForce(); reads(ask.Level) < level {
		return fmt.Errorf("%w: node %q reads feature level %d and the cluster is at level %d: install a newer version there", ErrJoinRefused, ask.NodeID, reads(ask.Level), level)
	}
	var old *raft.Server
	for _, s := range servers(n.raft.Load()) {
		sameID, sameAddress := string(s.ID) == ask.NodeID, string(s.Address) == ask.Address
		switch {
		case sameAddress && !sameID:
			return fmt.Errorf("%w: address %s belongs to node %q", ErrJoinRefused, ask.Address, s.ID)
		case sameID && !sameAddress && n.answers(ctx, s):
			return fmt.Errorf("%w: node %q is a member already and alive at %s; give the new node another name", ErrJoinRefused, ask.NodeID, s.Address)
		case sameID:
			old = &s
		}
	}
	// A member that nobody reaches is of no use, and later costs the quorum.
	joining := raft.Server{ID: raft.ServerID(ask.NodeID), Address: raft.ServerAddress(ask.Address)}
	report, err := n.report(ctx, joining)
	if err != nil || report.Instance != ask.Instance {
		return fmt.Errorf("the leader cannot reach node %q at %s: check its advertised address", ask.NodeID, ask.Address)
	}
	known, _ := n.cfg.Roster.Member(ask.NodeID)
	switch {
	case old == nil && ask.Fresh:
		return n.admitNew(ctx, joining, ask.Instance)
	case old != nil && ask.Fresh && (old.Suffrage == raft.Voter || known.Instance != ask.Instance):
		return n.replace(ctx, *old, joining, ask.Instance)
	case !ask.Fresh && (old == nil || known.Instance != "" && known.Instance != ask.Instance):
		// A removed node asks too when its log names it no more and it has not taken that for its removal yet.
		return fmt.Errorf("%w: the data directory of node %q is of an earlier membership: empty it and let the node join anew", ErrJoinRefused, ask.NodeID)
	case old.Address == joining.Address:
		return nil
	}
	if err := n.changeAddress(ctx, *old, joining.Address); err != nil {
		return err
	}
	n.log.Info("node moved", "node", ask.NodeID, "address", ask.Address)
	n.note(ctx, Note{NodeID: ask.NodeID, Change: ChangeMoved, Address: ask.Address})
	return nil
}

// admitNew lets a node in under a name that is not in use.
func (n *Node) admitNew(ctx context.Context, s raft.Server, instance string) error {
	note := Note{NodeID: string(s.ID), Change: ChangeAdmitted, Instance: instance, Address: string(s.Address)}
	if err := n.cfg.Roster.Note(ctx, note); err != nil {
		return fmt.Errorf("recording node %q: %w", s.ID, err)
	}
	if err := n.change(ctx, func(r *raft.Raft) raft.Future { return r.AddNonvoter(s.ID, s.Address, 0, n.cfg.Timing.RPC) }); err != nil {
		return fmt.Errorf("adding node %q: %w", s.ID, err)
	}
	n.log.Info("node joined, without a vote until it is stable", "node", s.ID, "address", s.Address)
	return nil
}

// replace lets a node in under the name of a member whose data are lost. That one's vote is taken away
// first: once this is committed nothing that it had promised counts, so the empty directory may speak.
func (n *Node) replace(ctx context.Context, old, s raft.Server, instance string) error {
	if old.Suffrage == raft.Voter {
		if err := n.quorumWithout(ctx, s.ID); err != nil {
			return fmt.Errorf("node %q comes back with an empty data directory, and its vote cannot be taken away: %w", s.ID, err)
		}
		if err := n.change(ctx, func(r *raft.Raft) raft.Future { return r.DemoteVoter(s.ID, 0, n.cfg.Timing.RPC) }); err != nil {
			return fmt.Errorf("taking the vote of node %q away, which lost its data: %w", s.ID, err)
		}
		n.log.Warn("a voter came back with an empty data directory; it votes no more until it is stable", "node", s.ID)
	}
	note := Note{NodeID: string(s.ID), Change: ChangeAdmitted, Instance: instance, Address: string(s.Address)}
	if err := n.cfg.Roster.Note(ctx, note); err != nil {
		return fmt.Errorf("recording node %q: %w", s.ID, err)
	}
	if old.Address == s.Address {
		return nil
	}
	return n.changeAddress(ctx, raft.Server{ID: s.ID, Suffrage: raft.Nonvoter}, s.Address)
}

func (n *Node) changeAddress(ctx context.Context, s raft.Server, address raft.ServerAddress) error {
	err := n.change(ctx, func(r *raft.Raft) raft.Future {
		if s.Suffrage == raft.Voter {
			return r.AddVoter(s.ID, address, 0, n.cfg.Timing.RPC)
		}
		return r.AddNonvoter(s.ID, address, 0, n.cfg.Timing.RPC)
	})
	if err != nil {
		return fmt.Errorf("changing the address of node %q: %w", s.ID, err)
	}
	return nil
}

// change changes the configuration and waits until that is committed. Only one change may be under way:
// the caller holds the admission.
func (n *Node) change(ctx context.Context, ask func(*raft.Raft) raft.Future) error {
	r := n.raft.Load()
	if r == nil || !n.futures.enter() {
		return ErrStopped
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.Propose)
	defer cancel()
	return n.await(ctx, ask(r))
}

// note writes down what has become of a member. The change itself stands: without the note only history is
// the poorer.
func (n *Node) note(ctx context.Context, note Note) {
	if err := n.cfg.Roster.Note(ctx, note); err != nil {
		n.log.Warn("what became of a member is missing in the history", "node", note.NodeID, "change", note.Change, "error", err)
	}
}

// RemoveMember takes a node out of the cluster for ever; it stops as soon as it hears of that. It returns errors
// wrapping ErrNoMember and ErrQuorum; the latter not when force is set. At the node that is to be removed
// itself it hands leadership over and returns an error wrapping ErrNotLeader: the next leader does it.
func (n *Node) RemoveMember(ctx context.Context, id, reason string, force bool) error {
	if err := n.changeable(ctx, id); err != nil {
		return err
	}
	n.peers.admission.Lock()
	defer n.peers.admission.Unlock()
	s, ok := n.member(id)
	if !ok {
		if n.cfg.Forget != nil {
			return n.cfg.Forget(ctx, id) // let in, and never a member
		}
		return fmt.Errorf("%w %q", ErrNoMember, id)
	}
	if err := n.quorumWithout(ctx, s.ID); err != nil && (!force || len(voters(n.raft.Load())) == 1) {
		return fmt.Errorf("removing node %q: %w", id, err)
	}
	return n.remove(ctx, s, reason)
}

// CheckRemoval returns what RemoveMember and DemoteMember would refuse, and changes nothing.
func (n *Node) CheckRemoval(ctx context.Context, id string, force bool) error {
	if err := n.CheckMember(id); err != nil {
		return err
	}
	if err := n.quorumWithout(ctx, raft.ServerID(id)); err != nil && (!force || len(voters(n.raft.Load())) == 1) {
		return fmt.Errorf("removing node %q: %w", id, err)
	}
	return nil
}

// CheckMember returns an error wrapping ErrNoMember where the cluster has no such node.
func (n *Node) CheckMember(id string) error {
	if !n.LeaderReady() {
		return ErrNotLeader
	}
	if _, ok := n.member(id); !ok {
		return fmt.Errorf("%w %q", ErrNoMember, id)
	}
	return nil
}

// remove is RemoveMember without its checks. The caller holds the admission.
func (n *Node) remove(ctx context.Context, s raft.Server, reason string) error {
	id := string(s.ID)
	if s.Suffrage == raft.Voter {
		// First of all: a leader that dies when nobody believes the node any more must not need its vote.
		if err := n.change(ctx, func(r *raft.Raft) raft.Future { return r.DemoteVoter(s.ID, 0, n.cfg.Timing.RPC) }); err != nil {
			return fmt.Errorf("removing node %q: taking its vote: %w", id, err)
		}
	}
	if n.cfg.Forget != nil {
		if err := n.cfg.Forget(ctx, id); err != nil && !errors.Is(err, ErrNoMember) {
			return fmt.Errorf("removing node %q: forgetting its key: %w", id, err)
		}
	}
	if err := n.change(ctx, func(r *raft.Raft) raft.Future { return r.RemoveServer(s.ID, 0, n.cfg.Timing.RPC) }); err != nil {
		return fmt.Errorf("removing node %q: %w", id, err)
	}
	n.log.Warn("node removed", "node", id, "reason", reason)
	n.contacts.forget(id)
	n.note(ctx, Note{NodeID: id, Change: ChangeRemoved, Reason: reason})
	return nil
}

// PromoteMember gives a node a vote without waiting for it to prove itself for long; it must answer and have caught
// up. It returns errors wrapping ErrNoMember and ErrUnready.
func (n *Node) PromoteMember(ctx context.Context, id, reason string) error {
	if !n.LeaderReady() {
		return ErrNotLeader
	}
	n.peers.admission.Lock()
	defer n.peers.admission.Unlock()
	s, ok := n.member(id)
	switch {
	case !ok:
		return fmt.Errorf("%w %q", ErrNoMember, id)
	case s.Suffrage == raft.Voter:
		return nil
	}
	if trouble := n.lookAt(ctx, s); trouble != "" {
		return fmt.Errorf("promoting node %q: %w: it %s", id, ErrUnready, trouble)
	}
	return n.promote(ctx, s, reason)
}

func (n *Node) promote(ctx context.Context, s raft.Server, reason string) error {
	if err := n.change(ctx, func(r *raft.Raft) raft.Future { return r.AddVoter(s.ID, s.Address, 0, n.cfg.Timing.RPC) }); err != nil {
		return fmt.Errorf("giving node %q a vote: %w", s.ID, err)
	}
	n.log.Info("node votes", "node", s.ID, "reason", reason)
	n.note(ctx, Note{NodeID: string(s.ID), Change: ChangePromoted, Reason: reason})
	return nil
}

// DemoteMember takes a node's vote away until an operator promotes it. It returns what RemoveMember does.
func (n *Node) DemoteMember(ctx context.Context, id, reason string) error {
	if err := n.changeable(ctx, id); err != nil {
		return err
	}
	n.peers.admission.Lock()
	defer n.peers.admission.Unlock()
	s, ok := n.member(id)
	if !ok {
		return fmt.Errorf("%w %q", ErrNoMember, id)
	}
	if err := n.quorumWithout(ctx, s.ID); err != nil {
		return fmt.Errorf("demoting node %q: %w", id, err)
	}
	// First, or it would get its vote back at once.
	if err := n.cfg.Roster.Note(ctx, Note{NodeID: id, Change: ChangeDemoted, Reason: reason}); err != nil {
		return fmt.Errorf("demoting node %q: %w", id, err)
	}
	if s.Suffrage != raft.Voter {
		return nil
	}
	if err := n.change(ctx, func(r *raft.Raft) raft.Future { return r.DemoteVoter(s.ID, 0, n.cfg.Timing.RPC) }); err != nil {
		return fmt.Errorf("demoting node %q: %w", id, err)
	}
	n.log.Warn("node votes no more", "node", id, "reason", reason)
	return nil
}

// changeable refuses to change a member elsewhere than at the leader, and hands leadership over when it is the
// leader itself that is to change.
func (n *Node) changeable(ctx context.Context, id string) error {
	if !n.LeaderReady() {
		return ErrNotLeader
	}
	if id != n.NodeID() {
		return nil
	}
	if len(voters(n.raft.Load())) < 2 {
		return fmt.Errorf("%w: node %q is the only one that votes", ErrQuorum, id)
	}
	if err := n.TransferLeadership(ctx, ""); err != nil {
		return fmt.Errorf("node %q leads: %w", id, err)
	}
	return fmt.Errorf("%w any more: it handed over first", ErrNotLeader)
}

// member returns the member of that name.
func (n *Node) member(id string) (raft.Server, bool) {
	all := servers(n.raft.Load())
	i := slices.IndexFunc(all, func(s raft.Server) bool { return string(s.ID) == id })
	if i < 0 {
		return raft.Server{}, false
	}
	return all[i], true
}

// quorumWithout asks, now, the voters that would stay without one node, and returns an error wrapping ErrQuorum when
// those that answer are no majority of them.
func (n *Node) quorumWithout(ctx context.Context, id raft.ServerID) error {
	stay := slices.DeleteFunc(voters(n.raft.Load()), func(s raft.Server) bool { return s.ID == id })
	silent := n.silentOf(ctx, stay)
	need := len(stay)/2 + 1
	switch {
	case len(stay) == 0:
		return fmt.Errorf("%w: no node would be left that votes", ErrQuorum)
	case len(stay)-len(silent) < need:
		return fmt.Errorf("%w: of the %d nodes that vote without it %s, and %d are needed; bring them back, or remove first what is gone for good",
			ErrQuorum, len(stay), notAnswering(silent), need)
	}
	return nil
}

func notAnswering(ids []string) string {
	if len(ids) == 1 {
		return ids[0] + " does not answer"
	}
	return strings.Join(ids, ", ") + " do not answer"
}

// silentOf asks nodes who they are, all at once, and returns those that do not answer.
func (n *Node) silentOf(ctx context.Context, nodes []raft.Server) (silent []string) {
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, s := range nodes {
		if string(s.ID) == n.NodeID() {
			continue
		}
		asking.Go(func() {
			if _, err := n.report(ctx, s); err != nil {
				mu.Lock()
				defer mu.Unlock()
				silent = append(silent, string(s.ID))
			}
		})
	}
	asking.Wait()
	slices.Sort(silent)
	return silent
}

var (
	// ErrNoMember is returned when the cluster has no node of that name.
	ErrNoMember = errors.New("the cluster has no node")

	// ErrQuorum is returned when a change of membership would leave no quorum of nodes that answer.
	ErrQuorum = errors.New("the cluster would lose its quorum")

	// ErrUnready is returned when a node is to get a vote that does not answer or has not caught up.
	ErrUnready = errors.New("the node is not ready")

	// ErrTooOld is returned when a feature level is to be raised that a member does not read.
	ErrTooOld = errors.New("a node does not read that feature level")
)
