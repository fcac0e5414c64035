package crashtest

import (
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
var faults = []fault{
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
	{name: "late", at: calling, call: func(w *world, p *point) { w.late(p) }},
	{name: "late, crash", at: calling, call: func(w *world, p *point) { w.late(p) }, after: func(w *world, p *point) { w.crash(p.inc.node) }},
	{name: "late, deposed", at: calling, call: func(w *world, p *point) { w.late(p) }, after: func(w *world, _ *point) { w.elect(w.term) }},
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
	{name: "revoked meanwhile", at: concerned, before: func(w *world, p *point) { w.revokeMeanwhile(p) }},
	{name: "asked twice", at: asking, before: func(w *world, p *point) { w.askAgain(p) }},
}

func inProcess(p *point) bool  { return p.inc != nil && p.kind != arrive }
func leading_(p *point) bool   { return inProcess(p) && p.inc.node.w.leader == p.inc.node }
func proposing(p *point) bool  { return p.kind == propose && leading_(p) }
func calling(p *point) bool    { return p.kind == send }
func creating(p *point) bool   { return p.kind == send && p.call.op == providertest.OpCreate }
func repeatable(p *point) bool { return p.kind == send && p.call.op != providertest.OpCreate }
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

// disable has an administrator disable the secret for a while.
func (w *world) disable() {
	set := func(disabled bool) { w.meddle(&fsm.UpdateSecret{Name: secretName, Disabled: &disabled}) }
	set(true)
	w.after(2*time.Second, func() { set(false) })
}

// revokeMeanwhile has somebody revoke the leases that a point is about, before it goes on.
func (w *world) revokeMeanwhile(p *point) {
	for _, id := range p.leases() {
		w.enter("another", func(c *client) { c.revoke(id) })
	}
	p.notBefore = time.Now().Add(50 * time.Millisecond)
}
