package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// reign is the time in which one node is known to lead. What was forwarded to it is given up a while
// after its end: a leader that hangs would be waited for much longer, and one that handed over has
// answered by then.
type reign struct {
	leader raft.ServerID
	term   uint64
	ctx    context.Context
	end    context.CancelFunc
}

// reigns keeps the present one.
type reigns struct {
	lifetime context.Context
	grace    time.Duration
	begins   func() // called when another reign begins; it must not block

	mu      sync.Mutex
	present *reign // nil: nobody is known to lead
	past    *reign // ends when its timer fires
	timer   *time.Timer
}

// changed notes who leads now; empty: nobody.
func (rs *reigns) changed(leader raft.ServerID, term uint64) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	is := func(r *reign) bool { return r != nil && r.leader == leader && r.term == term }
	if is(rs.present) {
		return
	}
	if rs.present != nil {
		if rs.past != nil && rs.timer.Stop() {
			rs.past.end()
		}
		rs.past, rs.present = rs.present, nil
		rs.timer = time.AfterFunc(rs.grace, rs.past.end)
	}
	switch {
	case leader == "":
	case is(rs.past) && rs.timer.Stop():
		rs.present, rs.past = rs.past, nil // it was out of sight for a moment
	default:
		rs.begins()
		rs.present = &reign{leader: leader, term: term}
		rs.present.ctx, rs.present.end = context.WithCancel(rs.lifetime)
	}
}

// during returns a context that is also done some time after that leader's reign, when it is the present
// one.
func (rs *reigns) during(ctx context.Context, leader raft.ServerID) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.present == nil || rs.present.leader != leader {
		return ctx, cancel
	}
	stop := context.AfterFunc(rs.present.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// noteLeader tells the reigns who leads. Leader and term belong together only if the term was the same
// before and after.
func (n *Node) noteLeader(r *raft.Raft) {
	for range 3 {
		term := r.CurrentTerm()
		if _, leader := r.LeaderWithID(); r.CurrentTerm() == term {
			n.reigns.changed(leader, term)
			return
		}
	}
}

// watchLeader keeps the reigns until the node ends.
func (n *Node) watchLeader(r *raft.Raft) {
	changes := make(chan raft.Observation, 64)
	observer := raft.NewObserver(changes, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok || n.countCandidacy(o)
	})
	r.RegisterObserver(observer)
	defer r.DeregisterObserver(observer)
	// Besides the news it is asked for: news is dropped when too much of it comes at once.
	ask := time.NewTicker(n.cfg.Timing.Heartbeat)
	defer ask.Stop()
	for {
		n.noteLeader(r)
		select {
		case <-changes:
		case <-ask.C:
		case <-n.lifetime.Done():
			return
		}
	}
}
