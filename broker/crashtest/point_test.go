package crashtest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"broker/broker"
	"broker/fsm"
	"broker/providers"
)

// The kinds of points.
const (
	propose = "propose" // a command is about to be proposed
	send    = "send"    // a call is about to leave for the outside system
	answer  = "answer"  // the call was carried out, its answer is on its way
	arrive  = "arrive"  // a call that was long on its way reaches the outside system
	ask     = "ask"     // a client is about to ask
	reply   = "reply"   // the leader has answered a client
)

// point is a place in a run where something can go wrong, and the goroutine that waits there.
type point struct {
	kind   string
	what   string // which command, call or request
	detail string // which leases, for the trace and for the order of points
	inc    *incarnation
	client *client
	ctx    context.Context // of the caller; nil: none

	at        time.Time // when it was reached
	notBefore time.Time // it goes on no earlier
	looked    bool      // the checker has seen it
	seen      bool      // the planner was asked about it
	proceed   chan bool // false: the process is dead

	// Of a proposal.
	data     []byte
	command  fsm.Command
	response any
	index    uint64
	err      error

	// Of a call.
	call *call

	// Of a question: whom it goes to.
	target *incarnation

	// Of a reply.
	issued  *broker.Issued
	failure error  // the leader's answer
	lost    bool   // on its way to the client
	asked   uint64 // index of the newest entry when the question was put
}

func (p *point) name() string { return p.kind + " " + p.what }

func (p *point) who() string {
	if p.inc == nil {
		return ""
	}
	return p.inc.node.name
}

// park waits for the scheduler. It reports false when the process has crashed or the run is over.
func (w *world) park(p *point) bool {
	p.proceed = make(chan bool, 1)
	w.mu.Lock()
	if w.over || p.inc != nil && p.inc.dead.Load() {
		w.mu.Unlock()
		return false
	}
	p.at = time.Now()
	w.parked = append(w.parked, p)
	w.mu.Unlock()
	w.poke()
	return <-p.proceed
}

func (w *world) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// add parks a point that no goroutine waits at: something on its way.
func (w *world) add(p *point) {
	p.at = time.Now()
	w.mu.Lock()
	w.parked = append(w.parked, p)
	w.mu.Unlock()
}

// letGo takes a point off the list and lets its goroutine go on.
func (w *world) letGo(p *point, alive bool) {
	w.mu.Lock()
	w.parked = slices.DeleteFunc(w.parked, func(q *point) bool { return q == p })
	w.mu.Unlock()
	if p.proceed != nil {
		p.proceed <- alive
	}
}

// release ends every parked point that is chosen, as a crash does.
func (w *world) release(chosen func(*point) bool) {
	for _, p := range w.points() {
		if chosen(p) && p.proceed != nil {
			w.letGo(p, false)
		}
	}
}

// points returns all parked points in an order that does not depend on chance.
func (w *world) points() []*point {
	w.mu.Lock()
	list := slices.Clone(w.parked)
	w.mu.Unlock()
	for _, p := range list {
		if p.detail == "" {
			p.detail = w.detail(p)
		}
	}
	slices.SortStableFunc(list, func(a, b *point) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.who(), b.who()), cmp.Compare(a.kind, b.kind), cmp.Compare(a.what, b.what), cmp.Compare(a.detail, b.detail))
	})
	return list
}

func (w *world) detail(p *point) string {
	switch {
	case p.client != nil:
		return p.client.name
	case p.call != nil:
		return cmp.Or(w.namesOf(p.call.names), p.call.system)
	case p.kind == propose:
		return cmp.Or(leasesOf(w, p.command), p.command.Actor.Node) // a lease to be made has no name yet
	}
	return ""
}

func (w *world) namesOf(logins []providers.LoginName) string {
	var names []string
	for _, login := range logins {
		names = append(names, w.check.nameOf(login))
	}
	return joinSorted(names)
}

// able returns the points that may go on now.
func (w *world) able() []*point {
	now := time.Now()
	return slices.DeleteFunc(w.points(), func(p *point) bool {
		return now.Before(p.notBefore) || p.inc != nil && p.kind != arrive && !p.inc.dead.Load() && p.inc.paused() || w.waitsForOpen(p)
	})
}

// next returns the earliest instant at which something happens by itself.
func (w *world) next() time.Time {
	at := time.Now().Add(time.Second)
	if len(w.events) > 0 && w.events[0].at.Before(at) {
		at = w.events[0].at
	}
	now := time.Now()
	for _, p := range w.points() {
		for _, t := range []time.Time{p.notBefore, pausedUntil(p)} {
			if t.After(now) && t.Before(at) {
				at = t
			}
		}
	}
	return at
}

func pausedUntil(p *point) time.Time {
	if p.inc == nil {
		return time.Time{}
	}
	return p.inc.pausedUntil
}
