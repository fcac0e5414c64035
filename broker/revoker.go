package broker

import (
	"encoding/binary"
	"io"
	"math"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"broker/fsm"
)

// batchSize is how many logins one call removes at the most.
const batchSize = 200

// revoker removes the logins of revoking leases at one outside system. It never gives up. One that
// hangs holds up no other system. It has two lanes: most logins go in batches; one whose removal
// failed for a reason of its own goes by itself from then on, so that it holds up no batch.
type revoker struct {
	p      *period
	system system
	wake   [lanes]chan struct{} // of size one

	mu    sync.Mutex
	tasks [lanes]*taskQueue // a lease has a task in one of them
	lag   time.Duration     // by how much the outside system's clock was seen to be behind
}

// The lanes of a revoker.
const (
	together = iota
	alone
	lanes
)

// drive hands revoking leases to the revokers of their systems, those of one system at once, so that
// they can share a call. One that is there already stays as it is.
func (p *period) drive(list ...fsm.Lease) {
	bySystem := map[system][]fsm.Lease{}
	for _, l := range list {
		if l.State == fsm.Revoking {
			bySystem[systemOf(l)] = append(bySystem[systemOf(l)], l)
		}
	}
	for s, leases := range bySystem {
		p.revoker(s).add(leases)
	}
}

func (p *period) revoker(s system) *revoker {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.revokers[s]
	if r == nil {
		r = &revoker{p: p, system: s}
		for lane := range lanes {
			r.wake[lane], r.tasks[lane] = make(chan struct{}, 1), newTaskQueue()
			p.goes(func() { r.run(lane) })
		}
		p.revokers[s] = r
	}
	return r
}

// add takes leases on. One that never became active waits for its create deadline: before, its login
// may still come into being, and nobody knows its password.
func (r *revoker) add(list []fsm.Lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.p.Now()
	for _, l := range list {
		if r.tasks[alone].byID[l.ID] != nil {
			continue
		}
		at := now
		if !l.WasActive() {
			at = later(at, l.CreateDeadlineAt.Time().Add(r.lag+10*time.Millisecond))
		}
		r.tasks[together].add(&task{id: l.ID, at: at, tries: l.Attempts, pause: r.p.newPause()})
	}
	r.poke(together)
}

// newPause returns the growing pauses between the tries of one revocation.
func (p *period) newPause() *backoff.ExponentialBackOff {
	pause := backoff.NewExponentialBackOff()
	pause.RandomizationFactor = 0 // see jittered
	pause.InitialInterval, pause.Multiplier, pause.MaxInterval = p.Timing.RetryMin, 2, p.Timing.RetryMax
	return pause
}

func (r *revoker) poke(lane int) {
	select {
	case r.wake[lane] <- struct{}{}:
	default: // it is awake already
	}
}

// size returns how many leases are in hand.
func (r *revoker) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.tasks[together].byID) + len(r.tasks[alone].byID)
}

func (r *revoker) run(lane int) {
	guard := r.p.guard(r.system)
	for {
		if until, blocked := guard.blocked(); blocked {
			r.rest(lane, max(until.Sub(r.p.Now()), r.p.Timing.RetryMin))
			if r.p.ctx.Err() != nil {
				return
			}
			continue
		}
		batch, next := r.due(lane)
		if len(batch) > 0 {
			r.work(lane, batch)
			continue
		}
		pause := time.Hour // nothing to do until somebody says so
		if !next.IsZero() {
			pause = max(next.Sub(r.p.Now()), time.Millisecond)
		}
		r.rest(lane, pause)
		if r.p.ctx.Err() != nil {
			return
		}
	}
}

// rest waits until somebody pokes, the pause is over or the period ends.
func (r *revoker) rest(lane int, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-r.p.ctx.Done():
	case <-r.wake[lane]: // there is more to do
	case <-timer.C: // something is due
	}
}

// resume tries at once what failed because the system was unavailable.
func (r *revoker) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for lane, q := range r.tasks {
		q.release(r.p.Now())
		r.poke(lane)
	}
}

// due takes a batch of what is due, or returns the instant of the next one.
func (r *revoker) due(lane int) (batch []*task, next time.Time) {
	limit := batchSize
	if lane == alone {
		limit = 1
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.p.ctx.Err() != nil {
		return nil, time.Time{}
	}
	return r.tasks[lane].take(r.p.Now(), limit)
}

// work removes the logins of a batch and records what certainly is gone.
func (r *revoker) work(lane int, batch []*task) {
	var active, unborn, failed []removal
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
			failed = append(failed, m)
		case lease.WasActive():
			active = append(active, m)
		default:
			unborn = append(unborn, m)
		}
	}
	r.record(nil, failed)
	r.record(r.remove(active, false))
	r.record(r.remove(unborn, true))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tasks[lane].giveBack(batch, r.p.Now().Add(r.p.Timing.RetryMin))
}

func (r *revoker) lease(id fsm.LeaseID) (l fsm.Lease, err error) {
	err = r.p.peek(func(v *fsm.View) { l, _ = v.Lease(id) })
	return l, err
}

func (r *revoker) postpone(id fsm.LeaseID, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.tasks {
		q.postpone(id, at)
	}
}

// now has a lease tried at once.
func (r *revoker) now(id fsm.LeaseID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for lane, q := range r.tasks {
		q.advance(id, r.p.Now())
		r.poke(lane)
	}
}

// pokeRevokers wakes the revokers of a connection: what they wait for may be over.
func (p *period) pokeRevokers(name fsm.ConnectionName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s, r := range p.revokers {
		if s.connection == name {
			for lane := range lanes {
				r.poke(lane)
			}
		}
	}
}

// isolate has a task tried by itself from now on.
func (r *revoker) isolate(t *task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tasks[together].byID[t.id] == t {
		r.tasks[together].done(t.id)
		r.tasks[alone].add(t)
		r.poke(alone)
	}
}

// behind notes that the outside system's clock has not come to a create deadline yet, and returns
// when to ask again. Leases to come wait as long, or the newest would hold up all others of its batch.
func (r *revoker) behind(deadline, asked fsm.Instant) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.p.Now()
	r.lag = max(r.lag, now.Sub(asked.Time())+r.p.Timing.RetryMin/2)
	return later(now.Add(r.p.Timing.RetryMin/2), deadline.Time().Add(r.lag))
}

func (r *revoker) done(id fsm.LeaseID) {
	r.mu.Lock()
	for _, q := range r.tasks {
		q.done(id)
	}
	r.mu.Unlock()
	r.p.signal(id)
}

// jittered returns between half of d and one and a half: what failed together is not tried again
// together.
func (p *period) jittered(d time.Duration) time.Duration {
	var b [2]byte
	if _, err := io.ReadFull(p.Random, b[:]); err != nil {
		return d
	}
	return d/2 + d*time.Duration(binary.BigEndian.Uint16(b[:]))/math.MaxUint16
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
