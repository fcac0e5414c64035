package cluster

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// fitness is why this node must not lead, for those who wait for that to change.
type fitness struct {
	mu      sync.Mutex
	reason  string
	changed chan struct{} // closed and replaced by another reason; nil while nobody waits
}

// set notes the present reason; nil: there is none.
func (f *fitness) set(err error) {
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed != nil && (err != nil || reason != f.reason) {
		close(f.changed)
		f.changed = nil
	}
	f.reason = reason
}

// news returns what is closed when the reason changes.
func (f *fitness) news() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.changed
}

// unfit says why this node does not lead and does not stand for election; nil when it may: a state that is wrong,
// a wrong clock, a bad disk.
func (n *Node) unfit() error {
	if err := n.Diverged(); err != nil {
		return err
	}
	if err := n.clockOff(); err != nil {
		return err
	}
	return n.diskOff()
}

// whileFit returns a context that ends, with the reason as its cause, as soon as this node must not lead.
// release must be called.
func (n *Node) whileFit(period context.Context) (ctx context.Context, release func()) {
	ctx, end := context.WithCancelCause(period)
	n.workers.Go(func() {
		for {
			news := n.fitness.news()
			if err := n.unfit(); err != nil {
				end(err)
				return
			}
			select {
			case <-news:
			case <-ctx.Done():
				return
			}
		}
	})
	return ctx, func() { end(nil) }
}

// successor returns the voter that had better lead, when this node must not.
func (n *Node) successor(r *raft.Raft) (raft.Server, bool) {
	clock, agree := n.clocks.judgement()
	most, diverged := n.states.judgement()
	candidates, bad := voters(r), clock.Off() != nil || diverged != nil
	if n.Disk().Trouble != nil {
		if well := n.well(r); len(well) > 0 {
			candidates, bad = well, true
		}
	}
	if !bad {
		return raft.Server{}, false
	}
	for _, v := range candidates {
		id := string(v.ID)
		if id != n.NodeID() && (clock.Off() == nil || slices.Contains(agree, id)) && (diverged == nil || slices.Contains(most, id)) {
			return v, true
		}
	}
	return raft.Server{}, false
}

// retryPause is how long a leader waits whose work failed and whom nobody relieved. While it is unfit
// it waits longer each time: nothing that it does helps.
func (n *Node) retryPause(err error, last time.Duration) time.Duration {
	if !isUnfit(err) {
		return n.cfg.Timing.Retry
	}
	return min(max(2*last, n.cfg.Timing.Retry), 16*n.cfg.Timing.Retry)
}
