package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// roster remembers members in memory, for all nodes of a test.
type roster struct {
	mu      sync.Mutex
	members map[string]cluster.Remembered
	notes   []string
}

func (r *roster) Member(id string) (cluster.Remembered, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.members[id]
	return m, ok
}

func (r *roster) Note(_ context.Context, note cluster.Note) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.members == nil {
		r.members = make(map[string]cluster.Remembered)
	}
	m := r.members[note.NodeID]
	switch note.Change {
	case cluster.ChangeNoted, cluster.ChangeAdmitted:
		m.Instance = note.Instance
	case cluster.ChangePromoted:
		m.Held = false
	case cluster.ChangeDemoted:
		m.Held = true
	}
	r.members[note.NodeID] = m
	if note.Change == cluster.ChangeRemoved {
		delete(r.members, note.NodeID)
	}
	r.notes = append(r.notes, note.NodeID+" "+string(note.Change))
	return nil
}

func (r *roster) has(note string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.notes, note)
}

// watched is a cluster whose nodes say when they find that they were removed.
type watched struct {
	*clustertest.Cluster
	roster *roster

	mu      sync.Mutex
	removed map[string]error
	leave   map[string]bool
	forgot  []string
}

func newWatched(t *testing.T, size int, change func(*cluster.Config)) *watched {
	t.Helper()
	w := &watched{roster: &roster{}, removed: make(map[string]error), leave: make(map[string]bool)}
	w.Cluster = clustertest.New(t, size, &clustertest.Options{Configure: func(node *clustertest.Node, cfg *cluster.Config) {
		cfg.Roster = w.roster
		cfg.Removed = func(err error) { w.mu.Lock(); defer w.mu.Unlock(); w.removed[node.ID] = err }
		cfg.Leave = func() { w.mu.Lock(); defer w.mu.Unlock(); w.leave[node.ID] = true }
		cfg.Forget = func(_ context.Context, id string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if id == "n9" { // nobody was ever let in under that name
				return fmt.Errorf("%w %q", cluster.ErrNoMember, id)
			}
			w.forgot = append(w.forgot, id)
			return nil
		}
		if change != nil {
			change(cfg)
		}
	}})
	return w
}

func (w *watched) removedAt(n *clustertest.Node) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.removed[n.ID]
}

// mustRemove has whoever leads remove a node, and again when leadership moves meanwhile, and returns who did it.
func (w *watched) mustRemove(t *testing.T, n *clustertest.Node) (leader *clustertest.Node) {
	t.Helper()
	clustertest.Eventually(t, n.ID+" to be removed", func() bool {
		leader = w.Leader()
		return leader != n && leader.Live().RemoveMember(within(t, time.Minute), n.ID, "", false) == nil
	})
	return leader
}

func memberOf(n *clustertest.Node, id string) (cluster.Member, bool) {
	for _, m := range n.Live().Status().Members {
		if m.ID == id {
			return m, true
		}
	}
	return cluster.Member{}, false
}

// throughout fails the test when a condition stops to hold within a length of time.
func throughout(t *testing.T, length time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(length); time.Now().Before(end); <-tick.C {
		if !holds() {
			t.Fatal(what)
		}
	}
}

// A second node that has not proved itself cannot cost a cluster of one its quorum.
func TestUnprovedNodeCostsNoQuorum(t *testing.T) {
	c := clustertest.New(t, 1, &clustertest.Options{Configure: func(_ *clustertest.Node, cfg *cluster.Config) {
		cfg.PromoteAfter = time.Hour
	}})
	one := c.Nodes[0]
	two := c.Add()
	if m, ok := memberOf(one, "n2"); !ok || m.Voter {
		t.Fatalf("a node that has just joined is %+v", m)
	}
	two.MustApply(one.MustPropose([]byte("with it")))
	c.Kill(two)
	one.MustPropose([]byte("without it"))
	if err := one.Live().PromoteMember(within(t, time.Minute), "n2", ""); !errors.Is(err, cluster.ErrUnready) || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("promoting a dead node: %v", err)
	}
	c.Restart(two)
	clustertest.Eventually(t, "the second node to be promoted by hand", func() bool {
		return one.Live().PromoteMember(within(t, time.Minute), "n2", "") == nil
	})
	if m, _ := memberOf(one, "n2"); !m.Voter {
		t.Errorf("promoted by hand, and is %+v", m)
	}
	if err := one.Live().PromoteMember(within(t, time.Minute), "n9", ""); !errors.Is(err, cluster.ErrNoMember) {
		t.Errorf("promoting nobody: %v", err)
	}
}

// The leader dies when only it and a node that it has just promoted know of that vote. The other two elect a leader
// all the same.
func TestPromotionThatOneHasNotHeardOf(t *testing.T) {
	c := clustertest.New(t, 1, &clustertest.Options{Configure: func(_ *clustertest.Node, cfg *cluster.Config) {
		cfg.PromoteAfter = time.Hour
	}})
	leader := c.Nodes[0]
	promote := func(n *clustertest.Node) {
		t.Helper()
		clustertest.Eventually(t, n.ID+" to be promoted", func() bool {
			return leader.Live().PromoteMember(within(t, time.Minute), n.ID, "") == nil
		})
	}
	two := c.Add()
	promote(two)
	three := c.Add()
	clustertest.Eventually(t, "the second node to know the third", func() bool { _, ok := memberOf(two, three.ID); return ok })
	c.CutDials(leader, two) // it hears no more of the leader
	promote(three)
	clustertest.Eventually(t, "the third node to know its vote", func() bool { m, _ := memberOf(three, three.ID); return m.Voter })
	if m, _ := memberOf(two, three.ID); m.Voter {
		t.Fatal("the second node has heard of it: the test shows nothing")
	}
	c.Kill(leader)
	clustertest.Eventually(t, "one of the two others to lead", func() bool {
		return two.Live().LeaderReady() || three.Live().LeaderReady()
	})
}

// The node hears of its removal, does not start again, and disturbs nobody.
func TestRemovedNodeStops(t *testing.T) {
	w := newWatched(t, 3, nil)
	leader := w.WaitLeader()
	gone := w.Followers(leader)[0]
	term := leader.Live().Term()
	if err := leader.Live().RemoveMember(within(t, time.Minute), gone.ID, "sold", false); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the node to hear of its removal", func() bool { return w.removedAt(gone) != nil })
	if err := w.removedAt(gone); !errors.Is(err, cluster.ErrRemoved) || !strings.Contains(err.Error(), "give it an empty data directory instead of "+gone.Dir) {
		t.Errorf("it says %v", err)
	}
	if w.mu.Lock(); !slices.Equal(w.forgot, []string{gone.ID}) {
		t.Errorf("forgotten: %v", w.forgot)
	}
	w.mu.Unlock()
	if !w.roster.has(gone.ID + " removed") {
		t.Error("the removal was not recorded")
	}
	leader.MustPropose([]byte("without it"))
	if got := w.Leader().Live().Term(); got != term {
		t.Errorf("the term grew from %d to %d", term, got)
	}
	w.Stop(gone)
	again, err := cluster.New(w.Config(gone))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Start(within(t, time.Minute)); !errors.Is(err, cluster.ErrRemoved) {
		t.Errorf("starting it again: %v", err)
	}
	// With an empty directory it is a new node.
	if err := os.RemoveAll(gone.Dir); err != nil {
		t.Fatal(err)
	}
	w.Restart(gone)
	w.AllVote()
}

// A node that was away while it was removed finds out from the others.
func TestRemovedWhileAway(t *testing.T) {
	w := newWatched(t, 4, nil)
	gone := w.Followers(w.WaitLeader())[0]
	w.Kill(gone)
	leader := w.mustRemove(t, gone)
	term := leader.Live().Term()
	w.Restart(gone)
	clustertest.Eventually(t, "the node to hear of its removal", func() bool { return w.removedAt(gone) != nil })
	if got := leader.Live().Term(); got != term {
		t.Errorf("it raised the term from %d to %d", term, got)
	}
}

// A node that was removed while it was away may come back, receive the entry that removes it, and ask at once to be found
// where it is, as its log names no address of it. That makes it no member again.
func TestRemovedNodeIsNotLetInAgain(t *testing.T) {
	w := newWatched(t, 3, nil)
	gone := w.Followers(w.WaitLeader())[0]
	leader := w.mustRemove(t, gone)
	clustertest.Eventually(t, "it to be refused", func() bool {
		err := gone.Live().AskAdmission(within(t, time.Minute), leader.Live().Status().ClusterAddr)
		if err == nil {
			t.Fatal("it asked and was let in")
		}
		return strings.Contains(err.Error(), "of an earlier membership") // else there was no leader to ask
	})
	if m, ok := memberOf(leader, gone.ID); ok {
		t.Errorf("it is a member again: %+v", m)
	}
}

func TestRemovingLeaderTransfersFirst(t *testing.T) {
	w := newWatched(t, 3, nil)
	old := w.WaitLeader()
	if err := old.Live().RemoveMember(within(t, time.Minute), old.ID, "", false); !errors.Is(err, cluster.ErrNotLeader) {
		t.Fatalf("the leader asked to remove itself: %v", err)
	}
	var successor *clustertest.Node
	clustertest.Eventually(t, "another leader", func() bool { successor = w.Leader(); return successor != old })
	if err := successor.Live().RemoveMember(within(t, time.Minute), old.ID, "", false); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "it to hear of its removal", func() bool { return w.removedAt(old) != nil })
	successor.MustPropose([]byte("goes on"))
}

func TestRemovalKeepsQuorum(t *testing.T) {
	w := newWatched(t, 3, nil)
	leader := w.WaitLeader()
	dead, alive := w.Followers(leader)[0], w.Followers(leader)[1]
	w.Kill(dead)
	for doing, change := range map[string]func() error{
		"removing": func() error { return leader.Live().RemoveMember(within(t, time.Minute), alive.ID, "", false) },
		"demoting": func() error { return leader.Live().DemoteMember(within(t, time.Minute), alive.ID, "") },
	} {
		err := change()
		if !errors.Is(err, cluster.ErrQuorum) || !strings.Contains(err.Error(), dead.ID+" does not answer, and 2 are needed") {
			t.Errorf("%s one of two that are left: %v", doing, err)
		}
	}
	if err := leader.Live().RemoveMember(within(t, time.Minute), dead.ID, "", false); err != nil {
		t.Errorf("removing the dead one: %v", err)
	}
	if err := leader.Live().RemoveMember(within(t, time.Minute), alive.ID, "", false); err != nil {
		t.Errorf("removing the second of two that are well: %v", err)
	}
	if err := leader.Live().RemoveMember(within(t, time.Minute), leader.ID, "", true); !errors.Is(err, cluster.ErrQuorum) {
		t.Errorf("removing the last one by force: %v", err)
	}
	if err := leader.Live().RemoveMember(within(t, time.Minute), "n9", "", true); !errors.Is(err, cluster.ErrNoMember) {
		t.Errorf("removing nobody: %v", err)
	}
	leader.MustPropose([]byte("goes on alone"))
}

// A node demoted by hand stays so, until it is promoted by hand.
func TestDemotedStaysSo(t *testing.T) {
	w := newWatched(t, 3, nil)
	leader := w.WaitLeader()
	n := w.Followers(leader)[0]
	if err := leader.Live().DemoteMember(within(t, time.Minute), n.ID, "slow"); err != nil {
		t.Fatal(err)
	}
	throughout(t, 300*time.Millisecond, "it got its vote back by itself", func() bool {
		m, ok := memberOf(leader, n.ID)
		return ok && !m.Voter
	})
	n.MustApply(leader.MustPropose([]byte("it follows")))
	clustertest.Eventually(t, "it to be promoted", func() bool {
		return leader.Live().PromoteMember(within(t, time.Minute), n.ID, "") == nil
	})
	w.AllVote()
}

func TestDeadNodesAreRemovedWhenWanted(t *testing.T) {
	t.Parallel()
	w := newWatched(t, 4, func(cfg *cluster.Config) { cfg.RemoveDeadAfter = 300 * time.Millisecond })
	leader := w.WaitLeader()
	first, second := w.Followers(leader)[0], w.Followers(leader)[1]
	w.Kill(first)
	clustertest.Eventually(t, "the dead node to be removed", func() bool {
		_, there := memberOf(leader, first.ID)
		return !there
	})
	clustertest.Eventually(t, "the removal to be recorded", func() bool { return w.roster.has(first.ID + " removed") })
	// Of three voters none is removed unasked.
	w.Kill(second)
	throughout(t, time.Second, "a cluster of three lost a voter", func() bool {
		_, there := memberOf(leader, second.ID)
		return there
	})
	leader.MustPropose([]byte("goes on"))
}

func TestLeaving(t *testing.T) {
	w := newWatched(t, 3, nil)
	leader := w.WaitLeader()
	for _, n := range []*clustertest.Node{w.Followers(leader)[0], leader} {
		asker := w.WaitLeader()
		if err := asker.Live().AskToLeave(within(t, time.Minute), n.ID); err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		asked := w.leave[n.ID]
		w.mu.Unlock()
		if !asked {
			t.Fatalf("%s was not asked to leave", n.ID)
		}
		if err := n.Live().Leave(within(t, time.Minute), "moving house"); err != nil {
			t.Fatal(err)
		}
		w.Stop(n)
		if err := w.removedAt(n); err != nil {
			t.Errorf("%s takes its leaving for a removal: %v", n.ID, err)
		}
	}
	last := w.Nodes[slices.IndexFunc(w.Nodes, (*clustertest.Node).Running)]
	clustertest.Eventually(t, "the last one to lead alone", last.Live().LeaderReady)
	if got := len(last.Live().Status().Members); got != 1 {
		t.Errorf("%d members are left", got)
	}
	if err := last.Live().AskToLeave(within(t, time.Minute), last.ID); !errors.Is(err, cluster.ErrQuorum) {
		t.Errorf("the last one leaves: %v", err)
	}
}

func TestTransferToNamedNode(t *testing.T) {
	w := newWatched(t, 3, nil)
	leader := w.WaitLeader()
	for _, to := range w.Followers(leader) {
		clustertest.Eventually(t, fmt.Sprintf("%s to lead", to.ID), func() bool {
			now := w.Leader()
			return now == to || now.Live().TransferLeadership(within(t, time.Minute), to.ID) == nil && w.Leader() == to
		})
	}
	if err := w.Leader().Live().TransferLeadership(within(t, time.Minute), "n9"); !errors.Is(err, cluster.ErrNoMember) {
		t.Errorf("to nobody: %v", err)
	}
	w.MustPropose([]byte("goes on"))
}

func TestReadyOnlyWhenCaughtUp(t *testing.T) {
	t.Parallel()
	w := newWatched(t, 3, nil)
	leader := w.WaitLeader()
	for _, n := range w.Nodes {
		clustertest.Eventually(t, n.ID+" to be ready", func() bool { return n.Live().Ready() == nil })
	}
	n := w.Followers(leader)[0]
	w.Isolate(n)
	clustertest.Eventually(t, "a node without a leader to be not ready", func() bool { return errors.Is(n.Live().Ready(), cluster.ErrNoLeader) })
	w.Heal()
	clustertest.Eventually(t, "it to be ready again", func() bool { return n.Live().Ready() == nil })
	n.Live().BeginStop()
	if err := n.Live().Ready(); err == nil || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("while it stops: %v", err)
	}
}
