package crashtest

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"broker/broker"
	"broker/fsm"
	"broker/providers"
	"broker/providers/providertest"
)

// world is a cluster, its outside system and its clients, in a bubble of virtual time. Everything that
// happens in it, happens because the scheduler let it.
type world struct {
	dir  string
	plan planner
	bugs bugs
	seed uint64

	log    []entry
	truth  *fsm.State // has applied every committed entry
	term   uint64
	leader *node // nil: none
	nodes  []*node
	fake   *providertest.Fake
	open   map[providers.LoginName]*openCreate
	check  *checker

	downUntil time.Time // the outside system cannot be reached before
	events    []event   // what the scheduler does by itself, in order of time
	names     map[fsm.LeaseID]string
	opened    []*fsm.State
	systems   int                          // that the connection pointed at before the present one
	sweep     time.Duration                // how often outside systems are swept; zero: never in a world's time
	planted   map[providers.LoginName]bool // logins that nobody made
	archive   *archive                     // what nodes that start begin with; nil: the whole log
	others    int                          // clients that a fault brought in
	deletions int                          // operations that a fault brought in
	mended    bool                         // what is deleted is made anew
	noAccount atomic.Bool                  // the clients' account is deleted, or soon will be
	clients   atomic.Int32                 // that have not finished
	leads     atomic.Int32                 // calls of Lead that have not returned
	faults    int                          // injected so far
	steps     int
	trace     []string
	left      []fsm.Lease    // at the end
	reached   map[string]int // crash points: point and fault

	mu     sync.Mutex
	parked []*point
	wake   chan struct{} // of size one
	over   bool          // the run ends: nothing parks any more
}

// event is something that the scheduler does at an instant.
type event struct {
	at time.Time
	do func()
}

// node is one machine of the cluster; its incarnation is the process that runs there now.
type node struct {
	w    *world
	name string
	inc  *incarnation
}

// incarnation is one process: its memory is gone when it crashes.
type incarnation struct {
	node    *node
	state   *fsm.State
	broker  *broker.Broker
	applied uint64
	clock   atomic.Int64  // how far its wall clock is off
	ended   atomic.Uint64 // the newest term of its own of which it knows that it is over

	dead        atomic.Bool // crashed: nothing it does from now on has an effect
	pausedUntil time.Time
	period      *leading
}

// leading is one call of Broker.Lead.
type leading struct {
	term   uint64
	cancel context.CancelFunc
	err    error
	done   atomic.Bool
}

const (
	environmentName = fsm.EnvironmentName("payments/production")
	secretName      = fsm.SecretName("payments/production/orders-ro")
	connectionName  = fsm.ConnectionName("orders-db")
	accountName     = fsm.AccountName("alice")
	operatorName    = fsm.AccountName("oscar") // who can delete alice
	defaultTTL      = 10 * time.Second
	maxTTL          = 20 * time.Second
	createTTL       = 2 * time.Second
	quarantine      = 2 * time.Second
	clusterID       = "01jd0000000000000000cluster"
	callTTL         = 3 * time.Second
)

func newWorld(dir string, nodes int, plan planner) *world {
	w := &world{
		dir: dir, plan: plan, term: 1, fake: providertest.NewFake(), open: map[providers.LoginName]*openCreate{},
		names: map[fsm.LeaseID]string{}, planted: map[providers.LoginName]bool{}, reached: map[string]int{}, wake: make(chan struct{}, 1),
	}
	w.truth = w.openState()
	w.check = newChecker(w)
	w.furnish()
	for i := range nodes {
		n := &node{w: w, name: fmt.Sprintf("n%d", i+1)}
		w.nodes = append(w.nodes, n)
		n.start()
	}
	w.leader = w.nodes[0]
	return w
}

func (w *world) openState() *fsm.State {
	state, err := fsm.Open(fsm.Config{Dir: filepath.Join(w.dir, fmt.Sprint(len(w.opened)))})
	must(err)
	w.opened = append(w.opened, state)
	return state
}

// start begins a new process on the node, with an empty state: the log brings it back.
func (n *node) start() { n.inc = &incarnation{node: n} }

// open gives a process its state and its broker. Most never need them.
func (inc *incarnation) open() {
	if inc.broker != nil {
		return
	}
	w := inc.node.w
	inc.state = w.openState()
	if w.archive != nil {
		inc.restore(w.archive)
		w.reached[fromSnapshot]++
	}
	registry, err := providers.NewRegistry(outside{w.fake.Provider(), inc})
	must(err)
	inc.broker, err = broker.New(broker.Config{
		State: inc.state, Log: nodeLog{inc}, Providers: registry, Keyring: openKeyring{}, NodeID: inc.node.name,
		Now:    inc.now,
		Random: newRandom(w.seed, uint64(len(w.opened))),
		Timing: broker.Timing{
			Company: -1, // who goes together would be a race
			Create:  createTTL, Call: callTTL, RevokeWait: 2 * time.Second, Tick: 200 * time.Millisecond,
			RetryMin: 200 * time.Millisecond, RetryMax: 2 * time.Second, StuckAfter: 3,
			Sweep: w.sweep, Quarantine: quarantine,
		},
	})
	must(err)
}

// pinch is next to nothing: many of them pass within a moment.
const pinch = time.Nanosecond

// now reads the process's clock. A revoker that was woken waits for a pinch: who woke it may have more leases
// for it, and chance would decide which of them share a call.
func (inc *incarnation) now() time.Time {
	var callers [3]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	for more := true; more; {
		var f runtime.Frame
		if f, more = frames.Next(); strings.HasSuffix(f.Function, ".(*guard).blocked") {
			time.Sleep(pinch)
		}
	}
	return time.Now().Add(time.Duration(inc.clock.Load()))
}

// crash ends the node's process at this instant.
func (w *world) crash(n *node) {
	if n.inc.dead.Load() {
		return
	}
	w.tracef("%s CRASHES", n.name)
	n.inc.dead.Store(true)
	if n.inc.period != nil {
		n.inc.period.cancel()
	}
	w.release(func(p *point) bool { return p.inc == n.inc })
	w.after(5*time.Second, func() { n.start(); w.tracef("%s starts again", n.name) })
	if w.leader == n {
		w.leader = nil
		w.electLater(time.Second)
	}
}

func (w *world) electLater(d time.Duration) { term := w.term; w.after(d, func() { w.elect(term) }) }

// elect makes another node the leader, unless that happened since the term given.
func (w *world) elect(term uint64) {
	if w.term != term {
		return
	}
	var able []*node
	for _, n := range w.nodes {
		if n != w.leader && !n.inc.dead.Load() && !n.inc.paused() {
			able = append(able, n)
		}
	}
	if len(able) == 0 {
		w.electLater(time.Second)
		return
	}
	// What an old leader has proposed and nobody has got is lost with it; the points still parked
	// are resolved when they are let go.
	old := w.leader
	w.term++
	w.leader = w.plan.elect(able)
	w.tracef("%s leads in term %d", w.leader.name, w.term)
	if old != nil && old.inc.period != nil {
		inc, period := old.inc, old.inc.period
		w.after(w.plan.notice(), func() { w.notice(inc, period) })
	}
}

// notice tells a deposed leader that it is one.
func (w *world) notice(inc *incarnation, period *leading) {
	if inc.paused() {
		w.at(inc.pausedUntil, func() { w.notice(inc, period) })
		return
	}
	if !inc.knowsEndOf(period.term) && !inc.dead.Load() {
		w.tracef("%s notices that term %d is over", inc.node.name, period.term)
		inc.ended.Store(period.term)
		period.cancel()
	}
}

// knowsEndOf reports whether the process was told that a term of its own is over. The contexts of what runs
// in a period end one by one, in an order of chance: what looks at this is the same in every run.
func (inc *incarnation) knowsEndOf(term uint64) bool { return term <= inc.ended.Load() }

// pause stops a process for a while; others elect another leader meanwhile.
func (w *world) pause(inc *incarnation, d time.Duration) {
	w.tracef("%s is PAUSED", inc.node.name)
	inc.pausedUntil = time.Now().Add(d)
	if w.leader == inc.node {
		w.elect(w.term)
	}
}

func (inc *incarnation) paused() bool { return time.Now().Before(inc.pausedUntil) }

// tend does what is due by itself, begins leadership periods, and reports whether it did anything.
func (w *world) tend() bool {
	if len(w.events) > 0 && !w.events[0].at.After(time.Now()) {
		e := w.events[0]
		w.events = w.events[1:]
		e.do()
		return true // others of this instant wait until what it set going has come to rest
	}
	acted := false
	for _, n := range w.nodes {
		inc := n.inc
		if inc.period != nil && inc.period.done.Load() {
			if err := inc.period.err; err != nil && w.leader == n && w.term == inc.period.term {
				w.tracef("%s cannot lead: %v", n.name, err)
				w.elect(w.term) // it hands leadership over
			}
			inc.period = nil
		}
		if w.leader == n && inc.period == nil && !inc.dead.Load() && !inc.paused() {
			w.begin(inc)
			acted = true
		}
	}
	return acted
}

// begin starts a leadership period: the node has applied everything committed before.
func (w *world) begin(inc *incarnation) {
	inc.open()
	known := uint64(len(w.log))
	if w.bugs.noBarrier && w.term > 1 {
		known--
	}
	inc.catchUp(known)
	w.check.leads(inc)
	ctx, cancel := context.WithCancel(context.Background())
	period := &leading{term: w.term, cancel: cancel}
	inc.period = period
	w.leads.Add(1)
	go func() {
		err := inc.broker.Lead(ctx, period.term)
		period.err = err
		period.done.Store(true)
		w.leads.Add(-1)
		w.poke()
	}()
}

func (w *world) after(d time.Duration, do func()) { w.at(time.Now().Add(d), do) }

func (w *world) at(at time.Time, do func()) {
	i, _ := slices.BinarySearchFunc(w.events, at, func(e event, at time.Time) int {
		if e.at.After(at) {
			return 1
		}
		return -1 // after those of the same instant
	})
	w.events = slices.Insert(w.events, i, event{at, do})
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // when every bubble begins

func (w *world) tracef(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%8.3f  ", time.Since(epoch).Seconds())+fmt.Sprintf(format, args...))
}

// name gives a lease a short name for traces.
func (w *world) name(id fsm.LeaseID) string {
	if w.names[id] == "" {
		w.names[id] = fmt.Sprintf("L%d", len(w.names)+1)
	}
	return w.names[id]
}

func joinSorted(names []string) string {
	slices.Sort(names)
	return strings.Join(names, ",")
}

// close releases the state files. Nothing runs any more.
func (w *world) close() {
	for _, s := range w.opened {
		must(s.Close())
	}
}
