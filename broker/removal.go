package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"broker/fsm"
	"broker/providers"
)

// removal is one lease of a batch and how its removal went.
type removal struct {
	task  *task
	lease fsm.Lease
	login providers.Login
	err   error
	own   bool // the failure is this lease's own, not the system's

	notBefore fsm.Instant // what absence was to be confirmed for, when that was asked
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
	alive := r.reportTo(r.p.guard(r.system), answers)
	for _, m := range batch {
		if m.err = answerFor(answers, m.login.Name); m.err != nil {
			m.own = alive || len(batch) == 1
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
		m.notBefore = notBefore
		if m.err = answerFor(answers, m.login.Name); m.err != nil {
			m.own = true
			failed = append(failed, m)
		} else {
			gone = append(gone, fsm.Removed{ID: m.lease.ID, Confirmed: true})
		}
	}
	return gone, failed
}

// reportTo tells the guard how a call went. One answer of any kind is a sign of life.
func (r *revoker) reportTo(g *guard, answers map[providers.LoginName]error) (alive bool) {
	var silence error = &providers.Error{Kind: providers.KindUnknown, Err: errors.New("the outside system gave no answer")}
	for _, err := range answers {
		if err == nil || !silent(err) {
			g.report(nil)
			return true
		}
		silence = err
	}
	g.report(silence)
	return false
}

// recordWaiting records for leases that are due that their system is still unavailable.
func (r *revoker) recordWaiting(err error) {
	var waiting []removal
	r.mu.Lock()
	for lane, q := range r.tasks {
		due, _ := q.take(r.p.Now(), pageSize)
		for _, t := range due {
			waiting = append(waiting, removal{task: t, lease: fsm.Lease{ID: t.id}, err: err})
		}
		r.tasks[lane].giveBack(due, r.p.Now())
	}
	r.mu.Unlock()
	r.recordTrouble(waiting)
}

// record commits what is gone and plans the next try of what is not.
func (r *revoker) record(gone []fsm.Removed, failed []removal) {
	for len(gone) > 0 {
		began := time.Now()
		page := gone[:min(r.p.portion(), len(gone))]
		gone = gone[len(page):]
		finished, _, err := propose[[]fsm.Lease](r.p.ctx, r.p, r.p.self(), &fsm.FinishRevoke{Removed: page})
		r.p.removed(finished)
		for _, l := range finished {
			r.done(l.ID)
		}
		if err != nil || len(finished) < len(page) {
			// Removing again what is gone does no harm; the state says what is still open.
			for _, g := range page {
				r.postpone(g.ID, r.p.Now().Add(r.p.Timing.RetryMin))
			}
		}
		if err != nil && r.p.ctx.Err() == nil {
			r.p.log.Warn("recording the end of leases failed; trying again", "count", len(page), "error", err)
		}
		if len(page) > 1 {
			r.p.yield(began)
		}
	}
	if len(failed) > 0 && r.p.ctx.Err() == nil {
		r.recordTrouble(failed)
	}
}

func (r *revoker) recordTrouble(failed []removal) {
	var failures []fsm.RevokeFailure
	for _, m := range failed {
		// Not yet is no trouble: the outside system's clock is behind, or a late create came after
		// the removal.
		pe := classify(m.err)
		switch pe.Kind {
		case providers.KindTooEarly:
			r.postpone(m.lease.ID, r.behind(m.lease.CreateDeadlineAt, cmp.Or(m.notBefore, m.lease.CreateDeadlineAt)))
			continue
		case providers.KindExists:
			r.postpone(m.lease.ID, r.p.Now().Add(r.p.Timing.RetryMin/2))
			continue
		}
		tries, at := r.failedAgain(m.task, silent(m.err))
		if m.own && (pe.Kind != providers.KindUnavailable || pe.Blocked) {
			r.isolate(m.task)
		}
		failures = append(failures, fsm.RevokeFailure{
			ID: m.lease.ID, Error: m.err.Error(), NextTryAt: fsm.At(at), Stuck: tries >= r.p.Timing.StuckAfter,
		})
		r.p.log.Warn("removing a login failed; trying again", "lease", m.lease.ID, "connection", r.system.connection, "tries", tries, "error", m.err)
	}
	for page := range pages(failures) {
		if _, _, err := propose[[]fsm.Lease](r.p.ctx, r.p, r.p.self(), &fsm.RecordTrouble{Failures: page}); err != nil && r.p.ctx.Err() == nil {
			r.p.log.Warn("recording failed removals failed", "error", err)
		}
		for _, f := range page {
			r.p.signal(f.ID)
		}
	}
}

// failedAgain counts a failure and plans the next try.
func (r *revoker) failedAgain(t *task, waits bool) (tries int, at time.Time) {
	at = r.p.Now().Add(r.p.jittered(t.pause.NextBackOff()))
	r.mu.Lock()
	defer r.mu.Unlock()
	t.tries++
	t.waits = waits
	for _, q := range r.tasks {
		q.postpone(t.id, at)
	}
	return t.tries, at
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
