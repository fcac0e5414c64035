package crashtest

import (
	"fmt"
	"slices"
	"time"

	"broker/fsm"
	"broker/providers"
	"broker/providers/providertest"
)

// fault is one thing that can happen at a point.
type fault struct {
	name    string
	at      func(p *point) bool      // where it can
	before  func(w *world, p *point) // instead of going on at once
	call    func(w *world, p *point) // instead of carrying the call out
	outcome outcome                  // of a proposal
	after   func(w *world, p *point) // when the point has been carried out
	rare    int                      // random worlds draw it so many times less often
}

// outcome is what becomes of a proposal.
type outcome uint8

const (
	committed outcome = iota
	definitelyNot
	lost
	committedUnknown
)

var ok = fault{name: "goes on"}

const (
	pauseTime = 4 * time.Second // longer than a create may take
	delayTime = 1500 * time.Millisecond
	jumpTime  = 7 * time.Second
	wrongTime = 6 * time.Second // how long a clock is wrong
	downTime  = 15 * time.Second
)

// faults lists all of them.
var faults = slices.Concat([]fault{
	// What happens to a process, wherever it is.
	{name: "crash", at: inProcess, before: func(w *world, p *point) { w.crash(p.inc.node) }},
	{name: "deposed", at: leading_, before: func(w *world, _ *point) { w.elect(w.term) }},
	{name: "paused", at: inProcess, before: func(w *world, p *point) { w.pause(p.inc, pauseTime) }},
	{name: "delayed", at: inProcess, before: func(_ *world, p *point) { p.notBefore = time.Now().Add(delayTime) }},
	{name: "clock jumps ahead", at: inProcess, before: func(w *world, p *point) { w.jump(p.inc, jumpTime) }},
	{name: "clock jumps back", at: inProcess, before: func(w *world, p *point) { w.jump(p.inc, -jumpTime) }},

	// What happens to a proposal.
	{name: "not committed", at: proposing, outcome: definitelyNot},
	{name: "lost, unknown", at: proposing, outcome: lost},
	{name: "committed, unknown", at: proposing, outcome: committedUnknown},
	{name: "committed, crash", at: proposing, outcome: committedUnknown, after: func(w *world, p *point) { w.crash(p.inc.node) }},
	{name: "committed, deposed", at: proposing, outcome: committedUnknown, after: func(w *world, _ *point) { w.elect(w.term) }},
	{name: "committed, paused", at: proposing, after: func(w *world, p *point) { w.pause(p.inc, pauseTime) }},

	// What happens to a call.
	{name: "refused", at: calling, call: func(_ *world, p *point) { p.call.err = providers.Errorf(providers.KindRejected, "refused") }},
	{name: "unreachable", at: calling, call: func(_ *world, p *point) {
		p.call.err = &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: errSilence}
	}},
	{name: "call lost", at: calling, call: func(_ *world, p *point) { p.call.err = unknown() }},
	{name: "half done", at: calling, call: func(w *world, p *point) { w.half(p) }},
	{name: "late", at: changing, call: func(w *world, p *point) { w.late(p) }},
	{name: "late, crash", at: changing, call: func(w *world, p *point) { w.late(p) }, after: func(w *world, p *point) { w.crash(p.inc.node) }},
	{name: "late, deposed", at: changing, call: func(w *world, p *point) { w.late(p) }, after: func(w *world, _ *point) { w.elect(w.term) }},
	{name: "left out", at: answering, call: func(_ *world, p *point) { p.call.do(none) }},
	{name: "done, left out", at: answering, call: func(_ *world, p *point) { p.call.do(all); p.call.leftOut = true }},
	{name: "arrives twice", at: repeatable, call: func(w *world, p *point) { w.twice(p) }},
	{name: "left open", at: creating, call: func(w *world, p *point) { w.beginCreate(p, p.call.deadline.Add(time.Second)) }},
	{name: "left open, crash", at: creating, call: func(w *world, p *point) { w.beginCreate(p, p.call.deadline.Add(time.Second)) },
		after: func(w *world, p *point) { w.crash(p.inc.node) }},
	{name: "down for long", at: calling, call: func(w *world, p *point) {
		w.downUntil = time.Now().Add(downTime)
		p.call.err = unknown()
	}},

	// What happens to an answer.
	{name: "answer lost", at: answered, before: func(_ *world, p *point) {
		if p.call != nil {
			p.call.err = unknown()
		} else {
			p.lost = true
		}
	}},

	// What others do meanwhile.
	{name: "secret disabled meanwhile", at: proposing, before: func(w *world, _ *point) { w.disable() }},
	{name: "secret changed meanwhile", at: proposing, before: func(w *world, _ *point) { w.meddle(&fsm.UpdateSecret{Name: secretName, Labels: &map[string]string{}}) }},
	{name: "connection moved meanwhile", at: proposing, before: func(w *world, _ *point) { w.changeConnection(false) }},
	{name: "connection replaced meanwhile", at: proposing, before: func(w *world, _ *point) { w.changeConnection(true) }},
	{name: "revoked meanwhile", at: concerned, before: func(w *world, p *point) { w.revokeMeanwhile(p) }},
	{name: "asked twice", at: asking, before: func(w *world, p *point) { w.askAgain(p) }},

	// What a deposed leader that does not know it yet learns of the log, as any follower.
	{name: "catches up", at: following, before: func(w *world, p *point) { p.inc.catchUp(uint64(len(w.log))) }},
	{name: "gets a snapshot", at: following, before: func(w *world, p *point) { p.inc.restore(w.snapshot()) }},
}, interventions())

// interventions are what administrators do to that which leases hang on; while a lease is being made, also
// with what happens to the leader right after.
func interventions() (list []fault) {
	for _, f := range []fault{
		{name: "account disabled meanwhile", rare: 4, before: func(w *world, _ *point) { w.disableAccount() }},
		{name: "account deleted meanwhile", rare: 20, before: func(w *world, _ *point) { w.delete(fsm.TargetAccount, string(accountName)) }},
		{name: "secret deleted meanwhile", rare: 4, before: func(w *world, _ *point) { w.delete(fsm.TargetSecret, string(secretName)) }},
		{name: "connection deleted meanwhile", rare: 4, before: func(w *world, _ *point) { w.delete(fsm.TargetConnection, string(connectionName)) }},
	} {
		crash, deposed, paused := f, f, f
		f.at = func(p *point) bool { return proposing(p) || making(p) }
		crash.name, crash.outcome, crash.after = f.name+", crash", committedUnknown, func(w *world, p *point) { w.crash(p.inc.node) }
		deposed.name, deposed.outcome, deposed.after = f.name+", deposed", committedUnknown, func(w *world, _ *point) { w.elect(w.term) }
		paused.name, paused.after = f.name+", paused", func(w *world, p *point) { w.pause(p.inc, pauseTime) }
		list = append(list, f)
		for _, with := range []fault{crash, deposed, paused} {
			with.at = making
			list = append(list, with)
		}
	}
	return list
}

func inProcess(p *point) bool { return p.inc != nil && p.kind != arrive }
func leading_(p *point) bool  { return inProcess(p) && p.inc.node.w.leader == p.inc.node }
func following(p *point) bool { return inProcess(p) && p.inc.node.w.leader != p.inc.node }
func proposing(p *point) bool { return p.kind == propose && leading_(p) }

// making: the leader is making a lease, from its Prepare until it is active.
func making(p *point) bool {
	if !leading_(p) {
		return false
	}
	return p.kind == propose && (p.command.Type == fsm.TypePrepareLease || p.command.Type == fsm.TypeActivateLease) ||
		(p.kind == send || p.kind == answer) && p.call.op == providertest.OpCreate
}
func calling(p *point) bool { return p.kind == send }
func changing(p *point) bool {
	return calling(p) && p.call.op != providertest.OpCheck && p.call.op != providertest.OpList
}
func creating(p *point) bool   { return calling(p) && p.call.op == providertest.OpCreate }
func repeatable(p *point) bool { return changing(p) && !creating(p) }
func answering(p *point) bool  { return repeatable(p) || calling(p) && p.call.op == providertest.OpList }
func answered(p *point) bool   { return p.kind == answer || p.kind == reply }
func asking(p *point) bool     { return p.kind == ask }
func concerned(p *point) bool {
	return (p.kind == propose || p.kind == send || p.kind == answer) && p.inc.node.w.leader != nil && len(p.leases()) > 0
}

// possible returns what can happen at a point.
func (w *world) possible(p *point) (can []fault) {
	for _, f := range faults {
		if f.at(p) {
			can = append(can, f)
		}
	}
	return can
}

// jump puts a process's clock wrong for a while. Outside systems keep the right time.
func (w *world) jump(inc *incarnation, d time.Duration) {
	inc.clock.Add(int64(d))
	w.after(wrongTime, func() { inc.clock.Add(-int64(d)) })
}

// revokeMeanwhile has somebody revoke the leases that a point is about, before it goes on.
func (w *world) revokeMeanwhile(p *point) {
	for _, id := range p.leases() {
		w.others++
		w.enter(fmt.Sprintf("another%d", w.others), func(c *client) { c.revoke(id) })
	}
	p.notBefore = time.Now().Add(50 * time.Millisecond)
}
