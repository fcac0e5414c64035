package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"broker/fsm"
	"broker/providers"
)

// batchSize is how many logins one call removes at the most.
const batchSize = 200

// revoker removes the logins of revoking leases at one outside system. It never gives up. One that
// hangs holds up no other system.
type revoker struct {
	p      *period
	system system
	wake   chan struct{} // of size one

	mu      sync.Mutex
	tasks   *taskQueue
	waiting map[fsm.LeaseID]chan struct{} // closed when a task is done
}

// drive hands revoking leases to the revokers of their systems.
func (p *period) drive(list ...fsm.Lease) {
	for _, l := range list {
		if l.State == fsm.Revoking {
			p.revoker(systemOf(l)).add(l)
		}
	}
}

func (p *period) revoker(s system) *revoker {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.revokers[s]
	if r == nil {
		r = &revoker{p: p, system: s, wake: make(chan struct{}, 1), tasks: newTaskQueue(), waiting: map[fsm.LeaseID]chan struct{}{}}
		p.revokers[s] = r
		p.goes(r.run)
	}
	return r
}

// add takes a lease on. A lease that never became active waits for its create deadline: before, its
// login may still come into being, and nobody knows its password.
func (r *revoker) add(l fsm.Lease) {
	at := r.p.Now()
	if !l.WasActive() {
		at = later(at, l.CreateDeadlineAt.Time().Add(10*time.Millisecond))
	}
	pause := backoff.NewExponentialBackOff() // with jitter: what failed together is not tried again together
	pause.InitialInterval, pause.Multiplier, pause.MaxInterval = r.p.Timing.RetryMin, 2, r.p.Timing.RetryMax
	r.mu.Lock()
	r.tasks.add(&task{id: l.ID, at: at, tries: l.Attempts, pause: pause})
	r.mu.Unlock()
	r.poke()
}

func (r *revoker) poke() {
	select {
	case r.wake <- struct{}{}:
	default: // it is awake already
	}
}

// ended returns a channel that is closed when the next attempt at the lease has been recorded.
func (r *revoker) ended(id fsm.LeaseID) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.waiting[id]
	if c == nil {
		c = make(chan struct{})
		r.waiting[id] = c
	}
	return c
}

func (r *revoker) run() {
	for {
		batch, next := r.due(r.p.Now())
		if len(batch) > 0 {
			r.work(batch)
			continue
		}
		pause := time.Hour // nothing to do until somebody says so
		if !next.IsZero() {
			pause = max(next.Sub(r.p.Now()), time.Millisecond)
		}
		timer := time.NewTimer(pause)
		select {
		case <-r.p.ctx.Done():
		case <-r.wake: // there is more to do
		case <-timer.C: // something is due
		}
		timer.Stop()
		if r.p.ctx.Err() != nil {
			return
		}
	}
}

// due takes a batch of what is due, or returns the instant of the next one.
func (r *revoker) due(now time.Time) (batch []*task, next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.p.ctx.Err() != nil {
		return nil, time.Time{}
	}
	return r.tasks.take(now, batchSize)
}

// work removes the logins of a batch and records what certainly is gone.
func (r *revoker) work(batch []*task) {
	var active, unborn []removal
	for _, t := range batch {
		lease, err := r.lease(t.id)
		if err != nil || lease.State != fsm.Revoking {
			r.done(t.id)
			continue
		}
		login, err := r.p.loginOf(lease)
		m := removal{task: t, lease: lease, login: login, err: err}
		switch {
		case err != nil:
			r.record(nil, []removal{m})
		case lease.WasActive():
			active = append(active, m)
		default:
			unborn = append(unborn, m)
		}
	}
	r.record(r.remove(active, false))
	r.record(r.remove(unborn, true))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tasks.giveBack(batch, r.p.Now().Add(r.p.Timing.RetryMin))
}

// removal is one lease of a batch and how its removal went.
type removal struct {
	task  *task
	lease fsm.Lease
	login providers.Login
	err   error
}

// remove calls the outside system for a batch. For leases that never became active it also confirms
// that no login can come into being any more.
func (r *revoker) remove(batch []removal, confirm bool) (gone []fsm.Removed, failed []removal) {
	if len(batch) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(r.p.ctx, r.p.Timing.Call)
	defer cancel()
	backend, release, err := r.p.backends.use(r.system)
	if err != nil {
		for i := range batch {
			batch[i].err = err
		}
		return nil, batch
	}
	defer release()
	answers := backend.Revoke(ctx, logins(batch))
	for _, m := range batch {
		if m.err = answerFor(answers, m.login.Name); m.err != nil {
			failed = append(failed, m)
		} else if !confirm {
			gone = append(gone, fsm.Removed{ID: m.lease.ID})
		}
	}
	if !confirm {
		return gone, failed
	}
	return r.confirm(ctx, backend, batch, failed)
}

func (r *revoker) confirm(ctx context.Context, backend providers.Backend, batch, failed []removal) ([]fsm.Removed, []removal) {
	var gone []fsm.Removed
	var rest []removal
	var notBefore fsm.Instant
	for _, m := range batch {
		if !slices.ContainsFunc(failed, func(f removal) bool { return f.lease.ID == m.lease.ID }) {
			rest = append(rest, m)
			notBefore = max(notBefore, m.lease.CreateDeadlineAt)
		}
	}
	if len(rest) == 0 {
		return nil, failed
	}
	answers := backend.ConfirmAbsent(ctx, logins(rest), notBefore.Time())
	for _, m := range rest {
		if m.err = answerFor(answers, m.login.Name); m.err != nil {
			failed = append(failed, m)
		} else {
			gone = append(gone, fsm.Removed{ID: m.lease.ID, Confirmed: true})
		}
	}
	return gone, failed
}

// record commits what is gone and plans the next try of what is not.
func (r *revoker) record(gone []fsm.Removed, failed []removal) {
	if len(gone) > 0 {
		finished, _, err := propose[[]fsm.Lease](r.p.ctx, r.p, r.p.self(), &fsm.FinishRevoke{Removed: gone})
		for _, l := range finished {
			r.done(l.ID)
		}
		if err != nil || len(finished) < len(gone) {
			// Removing again what is gone does no harm; the state says what is still open.
			for _, g := range gone {
				r.postpone(g.ID, r.p.Now().Add(r.p.Timing.RetryMin))
			}
		}
		if err != nil && r.p.ctx.Err() == nil {
			r.p.log.Warn("recording the end of leases failed; trying again", "count", len(gone), "error", err)
		}
	}
	if len(failed) > 0 && r.p.ctx.Err() == nil {
		r.recordTrouble(failed)
	}
}

func (r *revoker) recordTrouble(failed []removal) {
	body := &fsm.RecordTrouble{}
	for _, m := range failed {
		if pe := classify(m.err); pe.Kind == providers.KindTooEarly || pe.Kind == providers.KindExists {
			// No trouble, only not yet: the outside system's clock is behind, or a late create
			// came after the removal.
			r.postpone(m.lease.ID, r.p.Now().Add(r.p.Timing.RetryMin/2))
			continue
		}
		m.task.tries++
		at := r.p.Now().Add(m.task.pause.NextBackOff())
		r.postpone(m.lease.ID, at)
		body.Failures = append(body.Failures, fsm.RevokeFailure{
			ID: m.lease.ID, Error: m.err.Error(), NextTryAt: fsm.At(at), Stuck: m.task.tries >= r.p.Timing.StuckAfter,
		})
		r.p.log.Warn("removing a login failed; trying again", "lease", m.lease.ID, "connection", r.system.connection, "tries", m.task.tries, "error", m.err)
	}
	if len(body.Failures) == 0 {
		return
	}
	if _, _, err := propose[[]fsm.Lease](r.p.ctx, r.p, r.p.self(), body); err != nil && r.p.ctx.Err() == nil {
		r.p.log.Warn("recording failed removals failed", "error", err)
	}
	for _, f := range body.Failures {
		r.signal(f.ID)
	}
}

func (r *revoker) lease(id fsm.LeaseID) (l fsm.Lease, err error) {
	err = r.p.view(func(v *fsm.View) { l, _ = v.Lease(id) })
	return l, err
}

func (r *revoker) postpone(id fsm.LeaseID, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tasks.postpone(id, at)
}

func (r *revoker) done(id fsm.LeaseID) {
	r.mu.Lock()
	r.tasks.done(id)
	r.mu.Unlock()
	r.signal(id)
}

func (r *revoker) signal(id fsm.LeaseID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.waiting[id]; c != nil {
		close(c)
		delete(r.waiting, id)
	}
}

func logins(batch []removal) []providers.Login {
	list := make([]providers.Login, len(batch))
	for i, m := range batch {
		list[i] = m.login
	}
	slices.SortFunc(list, func(a, b providers.Login) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// answerFor reads one login's answer out of a batch's. What is not answered is unknown, never success.
func answerFor(answers map[providers.LoginName]error, name providers.LoginName) error {
	err, ok := answers[name]
	if !ok {
		return &providers.Error{Kind: providers.KindUnknown, Err: errors.New("the outside system gave no answer for this login")}
	}
	if err != nil {
		return fmt.Errorf("removing login %s: %w", name, err)
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
