package crashtest

import (
	"slices"
	"testing/synctest"
	"time"

	"broker/fsm"
	"broker/providers"
	"broker/providers/providertest"
)

// planner makes the decisions that a run consists of.
type planner interface {
	// choose returns which point goes on, or nil to let time pass.
	choose(able []*point) *point

	// fault says what happens at a point, out of what can. It is asked once for each point.
	fault(p *point, can []fault) fault

	elect(able []*node) *node
	notice() time.Duration // how long a deposed leader does not know
}

// limit is how long the world has to come to rest once all clients have finished: longer than the
// longest lease, every deadline, pause and jump of a clock together.
const limit = 2 * time.Minute

// maxSteps is more than any world needs: one that takes them goes round in circles.
const maxSteps = 20_000

// moment is how long a step takes. Timers begun in different steps fire at different instants, and so
// never two goroutines race for what the engine holds in memory: with that, a run can be repeated.
const moment = time.Microsecond

// run lets the world go on until it rests, a promise is broken, or the time is over.
func (w *world) run() {
	var end time.Time
	for !w.check.broken() {
		synctest.Wait()
		if w.tend() {
			time.Sleep(moment)
			continue
		}
		w.look()
		able := w.able()
		if len(able) > 0 {
			if p := w.plan.choose(able); p != nil {
				w.handle(p)
				time.Sleep(moment)
				continue
			}
			w.idle(time.Now().Add(100 * time.Millisecond))
			continue
		}
		if w.clients.Load() == 0 {
			if end.IsZero() {
				end = time.Now().Add(limit)
			}
			if w.check.atRest() {
				w.check.end()
				return
			}
			if time.Now().After(end) {
				w.check.restless()
				return
			}
		}
		w.idle(w.next())
	}
}

// look has the checker see the points that were reached since the last step.
func (w *world) look() {
	for _, p := range w.points() {
		if !p.looked {
			p.looked = true
			w.check.reached(p)
		}
	}
	if w.steps++; w.steps > maxSteps {
		w.check.fail("END", "%d steps, and no end", w.steps)
	}
}

// idle lets time pass until something is reached or an instant has come. Nothing runs when it begins.
func (w *world) idle(until time.Time) {
	select {
	case <-w.wake: // what was reached is known
	default:
	}
	t := time.NewTimer(max(time.Until(until), time.Millisecond))
	defer t.Stop()
	select {
	case <-w.wake:
	case <-t.C:
	}
}

// stop ends everything that runs.
func (w *world) stop() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	for _, n := range w.nodes {
		n.inc.dead.Store(true)
		if n.inc.period != nil {
			n.inc.period.cancel()
		}
	}
	for _, tx := range w.open {
		close(tx.done)
	}
	w.release(func(*point) bool { return true })
	for w.running() {
		<-time.After(time.Second)
	}
}

// running reports whether a client or a leadership period has not come to its end.
func (w *world) running() bool {
	synctest.Wait()
	return w.clients.Load() > 0 || w.leads.Load() > 0
}

// handle decides what happens at a point and lets it go on, unless it has to wait.
func (w *world) handle(p *point) {
	f := ok
	if !p.seen {
		p.seen = true
		if can := w.possible(p); len(can) > 0 {
			f = w.plan.fault(p, can)
		}
		w.reached[p.name()+": "+f.name]++
		if f.name != ok.name {
			w.faults++
			w.tracef("%-4s %s %s  ← %s", p.who(), p.name(), p.detail, f.name)
		}
	}
	if f.before != nil {
		f.before(w, p)
		if p.inc != nil && p.inc.dead.Load() && p.kind != arrive || p.notBefore.After(time.Now()) || p.inc != nil && p.inc.paused() {
			return // it is gone, or goes on later
		}
	}
	w.carryOut(p, f)
	if f.after != nil {
		f.after(w, p)
	}
	if p.inc != nil && p.inc.dead.Load() && p.proceed != nil {
		return // released by the crash
	}
	w.letGo(p, true)
}

// carryOut does what the point is about.
func (w *world) carryOut(p *point, f fault) {
	switch p.kind {
	case propose:
		w.decide(p, f)
	case send, arrive:
		w.tracef("%-4s %s %s%s", p.who(), p.name(), p.detail, because(f))
		switch {
		case f.call != nil:
			f.call(w, p)
		case time.Now().Before(w.downUntil) && p.kind == send:
			p.call.err = &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: errSilence}
		default:
			p.call.do(all)
		}
		w.check.outside()
	case ask:
		p.target, p.asked = w.target(p.client), w.check.mark()
	case reply:
		p.client.last = p.inc
		if p.failure != nil {
			w.tracef("%-4s %s %s%s → %s", p.who(), p.name(), p.detail, because(f), p.why())
		}
		w.check.revealed(p)
	}
}

// decide settles a proposal.
func (w *world) decide(p *point, f fault) {
	leads := w.leader != nil && w.leader.inc == p.inc
	if !leads {
		w.reached["a deposed leader proposes "+p.what]++
	}
	switch {
	case w.bugs.replyBeforeCommit && leads && f.outcome == lost:
		result, err := p.inc.state.Try(p.command)
		p.response, p.err = result, err
	case f.outcome == definitelyNot || !leads && p.inc.period == nil:
		p.err = notCommitted{}
	case f.outcome == lost || !leads:
		p.err = errUnknown
	case f.outcome == committedUnknown:
		w.commit(p)
		p.err = errUnknown
	default:
		w.commit(p)
		w.check.told(p)
	}
	w.tracef("%-4s %s %s%s → %s", p.who(), p.name(), p.detail, because(f), outcomeOf(p))
}

// why says why a request failed. How one is cut off when its period ends is a matter of chance.
func (p *point) why() string {
	if period := p.inc.period; period == nil || p.inc.knowsEndOf(period.term) {
		return "cut off"
	}
	return p.failure.Error()
}

func because(f fault) string {
	if f.name == ok.name {
		return ""
	}
	return " (" + f.name + ")"
}

func all(int) bool           { return true }
func none(int) bool          { return false }
func everySecond(i int) bool { return i%2 == 0 }

func outcomeOf(p *point) string {
	if p.err != nil {
		return p.err.Error()
	}
	if r := p.response.(*fsm.Result); r.Refusal != nil {
		return "refused: " + r.Refusal.Message
	}
	return "committed"
}

// half carries a call out in part: of many logins every second one; a create makes its login and a
// removal of one login stops its log-ins, and both are refused then.
func (w *world) half(p *point) {
	c := p.call
	switch {
	case len(c.names) > 1:
		c.do(everySecond)
		return
	case c.op == providertest.OpRevoke:
		w.fake.Stick(c.names[0], "it owns what cannot be given away")
		c.do(all)
		w.fake.Unstick(c.names[0])
	default:
		c.do(all)
	}
	c.err = providers.Errorf(providers.KindRejected, "a later statement failed")
}

// late leaves a call on its way: it arrives when its caller has given up, or just before a create's
// deadline.
func (w *world) late(p *point) {
	c := p.call
	at := time.Now().Add(callTTL + time.Second)
	if c.op == providertest.OpCreate {
		at = c.deadline.Add(-20 * time.Millisecond)
	}
	c.hangs = true
	w.add(&point{kind: arrive, what: string(c.op), inc: p.inc, notBefore: at, call: &call{op: c.op, names: c.names, do: c.do}})
}

// twice has a call arrive a second time, much later.
func (w *world) twice(p *point) {
	c := p.call
	c.do(all)
	w.add(&point{kind: arrive, what: string(c.op) + " again", inc: p.inc, notBefore: time.Now().Add(callTTL), call: &call{op: c.op, names: c.names, do: c.do}})
}

func named(list []fault, name string) (fault, bool) {
	i := slices.IndexFunc(list, func(f fault) bool { return f.name == name })
	if i < 0 {
		return fault{}, false
	}
	return list[i], true
}
