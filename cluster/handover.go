package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// ServeAsLeader reports whether this node leads and takes a request as leader, to be served with the returned
// context. Leadership is not handed over before done is called.
func (n *Node) ServeAsLeader(ctx context.Context) (serving context.Context, done func(), ok bool) {
	if _, ok := ctx.Value(servedKey{}).(*served); ok {
		return ctx, func() {}, n.LeaderReady() // it came from another node, and counts already
	}
	if !n.serving.enter() {
		return ctx, nil, false
	}
	one := &served{leave: sync.OnceFunc(n.serving.leave)}
	if !n.LeaderReady() {
		one.leave()
		return ctx, nil, false
	}
	return context.WithValue(ctx, servedKey{}, one), one.leave, true
}

type servedKey struct{}

// served is a request that is being served by the leader.
type served struct{ leave func() }

// stepAside has the request of a context be waited for no more: it is what hands over.
func stepAside(ctx context.Context) {
	if one, ok := ctx.Value(servedKey{}).(*served); ok {
		one.leave()
	}
}

// handOverAsked ends the leader's work because somebody wants another leader.
type handOverAsked struct {
	to   string // empty: whoever is fit
	done chan error
}

func (*handOverAsked) Error() string { return "leadership is to be handed over" }

// TransferLeadership passes leadership to another voter: the one named, or one that is fit. Requests that this node
// serves as leader are finished before, for a while; those that come meanwhile wait for the next leader. It returns
// ErrNotLeader at a node that does not lead, an error wrapping ErrNoMember for a name that does not vote, and an
// error when no other voter took over within an election timeout; this node then leads on.
func (n *Node) TransferLeadership(ctx context.Context, to string) error {
	if !n.LeaderReady() {
		return ErrNotLeader
	}
	if to == n.NodeID() {
		return nil
	}
	if s, ok := n.member(to); to != "" && (!ok || s.Suffrage != raft.Voter) {
		return fmt.Errorf("%w %q that votes", ErrNoMember, to)
	}
	stepAside(ctx)
	grace, cancel := context.WithTimeout(ctx, stopGrace(ctx))
	defer cancel()
	if err := n.serving.wait(grace); err != nil {
		n.log.Warn("handing over before all requests are finished", "error", err)
	}
	err := n.handOverWork(ctx, to)
	if err != nil || !n.stopping.Load() {
		n.serving.reopen()
	}
	return err
}

// handOverWork ends the leader's work, then has another voter take over.
func (n *Node) handOverWork(ctx context.Context, to string) error {
	asked := &handOverAsked{to: to, done: make(chan error, 1)}
	// Its work may end meanwhile for another reason, and nobody takes the wish.
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for taken := false; !taken; {
		select {
		case n.handOvers <- asked:
			taken = true
		case <-look.C:
			if !n.IsLeader() {
				return ErrNotLeader
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	select {
	case err := <-asked.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// whileNobodyAsks returns a context that ends, with the wish as its cause, as soon as leadership is to be handed over.
// release must be called.
func (n *Node) whileNobodyAsks(period context.Context) (ctx context.Context, release func()) {
	ctx, end := context.WithCancelCause(period)
	n.workers.Go(func() {
		select {
		case asked := <-n.handOvers:
			end(asked)
		case <-ctx.Done():
		}
	})
	return ctx, func() { end(nil) }
}

// obey hands over as somebody asked, and reports whether that is why the work ended.
func (n *Node) obey(why error) (asked, done bool) {
	var wish *handOverAsked
	if !errors.As(why, &wish) {
		return false, false
	}
	// Not cut short by the end of the period, which is what it is for.
	err := n.handOver(n.lifetime, wish.to)
	if err != nil {
		n.log.Warn("nobody took over, leading on", "error", err)
	}
	wish.done <- err
	return true, err == nil
}
