package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// lead runs one leadership period after another until the node stops. Being a
// single goroutine it never begins one before the last has ended.
func (n *Node) lead() {
	leading := false
	for {
		if !leading {
			select {
			case leading = <-n.notify:
			case <-n.leading.Done():
				return
			}
			continue
		}
		leading = n.leadPeriod()
		if n.leading.Err() != nil {
			return
		}
	}
}

// leadPeriod is one leadership period, from the news of it to the end of its
// work. It reports whether another one was won meanwhile.
func (n *Node) leadPeriod() (again bool) {
	period, end := context.WithCancel(n.leading)
	defer end()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.work(period)
	}()
	for {
		select {
		case again = <-n.notify:
			// Any news ends the period, but its work must end before we return.
			// Meanwhile Raft must not wait for us.
			end()
		case <-ended:
			return again
		}
	}
}

// work leads until the period is over. Work that fails before that is handed to
// another node, or tried again here if nobody takes it.
func (n *Node) work(period context.Context) {
	var pause time.Duration
	for {
		err := n.workOnce(period)
		if asked, done := n.obey(err); asked {
			if done {
				<-period.Done() // Raft's news of it are on their way
			}
			pause = 0
			continue
		}
		if period.Err() != nil {
			return
		}
		n.log.Error("the leader's work ended early, handing leadership over", "error", err)
		if err := n.handOver(period, ""); err != nil && period.Err() == nil {
			n.log.Error("nobody took over, trying again", "error", err)
		}
		pause = n.retryPause(err, pause)
		select {
		case <-period.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (n *Node) workOnce(period context.Context) error {
	if err := n.unfit(); err != nil {
		return err
	}
	fit, release := n.whileFit(period)
	defer release()
	term, err := n.establish(fit)
	if err != nil {
		return fmt.Errorf("establishing leadership: %w", err)
	}
	n.established.Store(term)
	defer n.established.Store(0)
	n.log.Info("leading", "term", term)
	defer n.log.Info("no longer leading", "term", term)
	unasked, done := n.whileNobodyAsks(fit)
	defer done()
	err = n.cfg.Lead(unasked, term)
	var wish *handOverAsked
	if errors.As(context.Cause(unasked), &wish) || period.Err() == nil && unasked.Err() != nil {
		return context.Cause(unasked)
	}
	if err != nil {
		return err
	}
	return errors.New("the work returned before leadership was lost")
}

// establish applies everything committed in earlier terms and returns the term
// this node leads in.
func (n *Node) establish(period context.Context) (term uint64, err error) {
	r := n.raft.Load()
	term = r.CurrentTerm()
	ctx, cancel := context.WithTimeout(period, n.cfg.Timing.Establish)
	defer cancel()
	if !n.futures.enter() {
		return 0, ErrStopped
	}
	if err := n.await(ctx, r.Barrier(n.cfg.Timing.Establish)); err != nil {
		return 0, err
	}
	// Terms only grow, so the barrier was of this term if it still is the term.
	if !leads(r, term) {
		return 0, fmt.Errorf("%w in term %d any more", ErrNotLeader, term)
	}
	return term, nil
}

// leads reports whether this node is the leader of exactly that term, as far as
// it knows.
func leads(r *raft.Raft, term uint64) bool {
	return r.CurrentTerm() == term && r.State() == raft.Leader && r.CurrentTerm() == term
}

// handOver asks Raft to pass leadership to the voter named, else to one that is well,
// else to the most advanced other one; to one that may lead, when this node may not.
func (n *Node) handOver(ctx context.Context, to string) error {
	r := n.raft.Load()
	if r == nil || !n.futures.enter() {
		return ErrStopped
	}
	// Raft gives the transfer one election timeout, then its last message.
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.Election+n.cfg.Timing.RPC)
	defer cancel()
	transfer := r.LeadershipTransfer
	next, chosen := n.member(to)
	if !chosen {
		next, chosen = n.successor(r)
	}
	if !chosen {
		next, chosen = n.fittest()
	}
	if chosen {
		transfer = func() raft.Future { return r.LeadershipTransferToServer(next.ID, next.Address) }
	}
	err := n.await(ctx, transfer())
	if err != nil && chosen && n.diskOff() != nil {
		err = n.push(next)
	}
	if err != nil {
		return fmt.Errorf("handing leadership over: %w", err)
	}
	return nil
}
