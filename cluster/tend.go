package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// minVoters is below how many voters nobody is removed unasked.
const minVoters = 3

// watchMembers looks how the members do, at every node; what follows from it is the leader's work.
func (n *Node) watchMembers() {
	tick := time.NewTicker(max(min(n.cfg.PromoteAfter/4, time.Second), 10*time.Millisecond))
	defer tick.Stop()
	for {
		n.lookAround()
		if n.LeaderReady() {
			n.tend(n.lifetime)
		}
		n.noticeRemoval()
		n.rememberLevel()
		select {
		case <-tick.C:
		case <-n.lifetime.Done():
			return
		}
	}
}

// tend does what is due about the members, one change at a time: a node that has proved itself gets a vote, one
// that is dead is removed where that is wanted, and a feature level is raised that all of them read.
func (n *Node) tend(ctx context.Context) {
	n.peers.admission.Lock()
	defer n.peers.admission.Unlock()
	if !n.LeaderReady() {
		return
	}
	for _, due := range []func(context.Context) error{n.noteInstances, n.promoteNext, n.removeDead, n.raiseLevel} {
		if err := due(ctx); err != nil && n.LeaderReady() {
			n.log.Warn("tending the members", "error", err)
		}
	}
}

// noteInstances records the directories of members that were there before any was recorded: the node that began
// the cluster.
func (n *Node) noteInstances(ctx context.Context) error {
	for _, s := range servers(n.raft.Load()) {
		id := string(s.ID)
		known, _ := n.cfg.Roster.Member(id)
		if id == n.NodeID() && known.Instance != "" && known.Instance != n.self.Load().instance {
			// What is remembered came from a snapshot of another life of the cluster.
			note := Note{NodeID: id, Change: ChangeAdmitted, Instance: n.self.Load().instance, Address: n.self.Load().clusterAddr}
			if err := n.cfg.Roster.Note(ctx, note); err != nil {
				return fmt.Errorf("recording this node's data directory: %w", err)
			}
		}
		if known.Instance != "" {
			continue
		}
		instance := ""
		if one, ok := n.contacts.look(id); ok && one.silentSince.IsZero() && !one.report.Fresh {
			instance = one.report.Instance
		}
		if id == n.NodeID() {
			instance = n.self.Load().instance
		}
		if instance == "" {
			continue
		}
		if err := n.cfg.Roster.Note(ctx, Note{NodeID: id, Change: ChangeNoted, Instance: instance}); err != nil {
			return fmt.Errorf("recording the data directory of node %q: %w", id, err)
		}
	}
	return nil
}

// promoteNext gives a vote to a node that has been fit for one long enough, when it and the voters that are well would be
// a majority.
func (n *Node) promoteNext(ctx context.Context) error {
	all := servers(n.raft.Load())
	votes, well := 0, 0
	for _, s := range all {
		if s.Suffrage != raft.Voter {
			continue
		}
		votes++
		if one, _ := n.contacts.look(string(s.ID)); string(s.ID) == n.NodeID() || one.trouble == "" && one.silentSince.IsZero() {
			well++
		}
	}
	for _, s := range all {
		one, ok := n.contacts.look(string(s.ID))
		known, _ := n.cfg.Roster.Member(string(s.ID))
		if !ok || s.Suffrage == raft.Voter || known.Held || one.fitSince.IsZero() || time.Since(one.fitSince) < n.cfg.PromoteAfter || well+1 < (votes+1)/2+1 {
			continue
		}
		return n.promote(ctx, s, fmt.Sprintf("stable for %s", n.cfg.PromoteAfter))
	}
	return nil
}

// removeDead removes a member that neither gossip nor this node has heard of for as long as the operator
// said, when a majority of the others answers and enough of them stay.
func (n *Node) removeDead(ctx context.Context) error {
	after := n.cfg.RemoveDeadAfter
	if after <= 0 {
		return nil
	}
	for _, s := range servers(n.raft.Load()) {
		id := string(s.ID)
		one, ok := n.contacts.look(id)
		if !ok || one.silentSince.IsZero() || time.Since(one.silentSince) < after {
			continue
		}
		if n.gossip != nil && n.gossip.knows(id) {
			continue
		}
		if _, err := n.report(ctx, s); err == nil {
			continue // it answers this very call
		}
		if s.Suffrage == raft.Voter && len(voters(n.raft.Load()))-1 < minVoters {
			continue
		}
		if err := n.quorumWithout(ctx, s.ID); err != nil {
			return fmt.Errorf("node %q is dead and cannot be removed: %w", id, err)
		}
		return n.remove(ctx, s, fmt.Sprintf("it did not answer for %s", after))
	}
	return nil
}

// fittest returns the voter to hand leadership to: one that answers, is not stopping and has most of the log.
func (n *Node) fittest() (raft.Server, bool) {
	r := n.raft.Load()
	var list []raft.Server
	lag := make(map[raft.ServerID]uint64)
	for _, s := range voters(r) {
		one, ok := n.contacts.look(string(s.ID))
		if ok && string(s.ID) != n.NodeID() && one.trouble == "" {
			list = append(list, s)
			lag[s.ID] = one.lag
		}
	}
	if len(list) == 0 {
		return raft.Server{}, false
	}
	return slices.MinFunc(list, func(x, y raft.Server) int { return int(lag[x.ID]) - int(lag[y.ID]) }), true
}
