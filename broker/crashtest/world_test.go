package crashtest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
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
	clients   atomic.Int32 // that have not finished
	leads     atomic.Int32 // calls of Lead that have not returned
	faults    int          // injected so far
	steps     int
	trace     []string
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
	clock   atomic.Int64 // how far its wall clock is off

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
	told   bool // that leadership is lost
}

const (
	secretName  = fsm.SecretName("payments/production/orders-ro")
	accountName = fsm.AccountName("alice")
	defaultTTL  = 10 * time.Second
	maxTTL      = 20 * time.Second
	createTTL   = 2 * time.Second
	callTTL     = 3 * time.Second
)

func newWorld(dir string, nodes int, plan planner) *world {
	w := &world{
		dir: dir, plan: plan, term: 1, fake: providertest.NewFake(), open: map[providers.LoginName]*openCreate{},
		names: map[fsm.LeaseID]string{}, reached: map[string]int{}, wake: make(chan struct{}, 1),
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

// furnish writes what leases need into the log.
func (w *world) furnish() {
	for _, body := range []fsm.Body{
		&fsm.InitCluster{ClusterID: "01jd0000000000000000cluster", Account: fsm.Account{Name: accountName, Kind: fsm.KindUser}, Token: fsm.Token{Accessor: "t1", Account: accountName, Hash: []byte("hash")}},
		&fsm.CreateEnvironment{Name: "payments/production"},
		&fsm.CreateConnection{Name: "orders-db", Provider: "fake", Environments: []fsm.Pattern{"payments/*"}, Settings: []byte(`{"system":"main"}`), Sealed: []byte(`{"password":"root"}`)},
		&fsm.CreateSecret{Name: secretName, Connection: "orders-db", Options: []byte("{}"), DefaultTTL: defaultTTL, MaxTTL: maxTTL, Outputs: []fsm.Output{{Key: "DB_USER", Source: "username"}, {Key: "DB_PASSWORD", Source: "password"}}},
	} {
		if r := w.meddle(body); r.Refusal != nil {
			panic(r.Refusal)
		}
	}
}

// meddle commits a command of somebody else, whoever leads.
func (w *world) meddle(body fsm.Body) *fsm.Result {
	c, err := fsm.NewCommand(body, time.Now(), fsm.Actor{Account: accountName}, 0)
	must(err)
	data, err := c.Encode()
	must(err)
	result := w.append(data)
	w.check.changed()
	return result
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
	registry, err := providers.NewRegistry(outside{w.fake.Provider(), inc})
	must(err)
	inc.broker, err = broker.New(broker.Config{
		State: inc.state, Log: nodeLog{inc}, Providers: registry, Keyring: openKeyring{}, NodeID: inc.node.name,
		Now:    func() time.Time { return time.Now().Add(time.Duration(inc.clock.Load())) },
		Random: newRandom(w.seed, uint64(len(w.opened))),
		Timing: broker.Timing{
			Create: createTTL, Call: callTTL, RevokeWait: 2 * time.Second, Tick: 200 * time.Millisecond,
			RetryMin: 200 * time.Millisecond, RetryMax: 2 * time.Second, StuckAfter: 3,
		},
	})
	must(err)
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
	if !period.told && !inc.dead.Load() {
		w.tracef("%s notices that term %d is over", inc.node.name, period.term)
		period.told = true
		period.cancel()
	}
}

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
	acted := false
	for len(w.events) > 0 && !w.events[0].at.After(time.Now()) {
		e := w.events[0]
		w.events = w.events[1:]
		e.do()
		acted = true
	}
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

// newRandom returns a source of random bytes that is the same for the same seeds.
func newRandom(a, b uint64) io.Reader {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[0:], a)
	binary.LittleEndian.PutUint64(seed[8:], b)
	return &lockedReader{r: rand.NewChaCha8(seed)}
}

type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}

// openKeyring seals nothing; stored answers open with the client's own key only, as the real one has it.
type openKeyring struct{}

func (openKeyring) Seal(plain []byte, _ string) ([]byte, error)  { return plain, nil }
func (openKeyring) Open(sealed []byte, _ string) ([]byte, error) { return sealed, nil }
func (openKeyring) SealFor(secret string, plain []byte, record string) ([]byte, error) {
	return []byte(secret + "\x00" + record + "\x00" + string(plain)), nil
}
func (openKeyring) OpenFor(secret string, sealed []byte, record string) ([]byte, error) {
	plain, ok := strings.CutPrefix(string(sealed), secret+"\x00"+record+"\x00")
	if !ok {
		return nil, fmt.Errorf("the answer of %s does not open with this key", record)
	}
	return []byte(plain), nil
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
