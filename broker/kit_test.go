package broker_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"broker/access"
	"broker/broker"
	"broker/fsm"
	"broker/providers"
	"broker/providers/providertest"
	"broker/seal"
)

const (
	rootCanary = "root-canary-7c1f"
	env        = fsm.EnvironmentName("payments/production")
	ordersRO   = fsm.SecretName("payments/production/orders-ro")
)

// outcome is what a Propose is made to answer.
type outcome uint8

const (
	committed        outcome = iota
	notCommitted             // certainly not in the log
	lostUnknown              // not in the log, and nobody knows
	committedUnknown         // in the log, and nobody knows
	committedLater           // nobody knows, and it is in the log before the next command
)

// memLog is a log of one node: what is proposed is applied at once, unless planned otherwise.
type memLog struct {
	state *fsm.State

	mu      sync.Mutex
	term    uint64
	index   uint64
	entries [][]byte
	plan    map[fsm.CommandType][]outcome
	before  func(fsm.Command) // called before a command is applied
	hold    func(fsm.Command) // called before anything, without the lock
	after   func(fsm.Command) // called when a command was applied and its proposer does not know yet, without the lock
	stalled bool              // the disk stands still: what is proposed waits, in order
	waiting []func()
	later   [][]byte // see committedLater
}

// patience is how long a proposal waits for a log that stands still, as in package cluster.
const patience = 10 * time.Second

type definiteError struct{}

func (definiteError) Error() string      { return "not the leader" }
func (definiteError) NotCommitted() bool { return true }

func (l *memLog) Propose(ctx context.Context, data []byte) (any, uint64, error) {
	c, err := fsm.DecodeCommand(data)
	if err != nil {
		return nil, 0, err
	}
	if l.hold != nil {
		l.hold(c)
	}
	if l.after != nil {
		defer l.after(c)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	planned := committed
	if list := l.plan[c.Type]; len(list) > 0 {
		planned, l.plan[c.Type] = list[0], list[1:]
	}
	switch planned {
	case notCommitted:
		return nil, 0, definiteError{}
	case lostUnknown:
		return nil, 0, errors.New("enqueued, then silence")
	case committedLater:
		l.later = append(l.later, data)
		return nil, 0, errors.New("enqueued, then silence")
	}
	for _, data := range l.later {
		l.append(data)
	}
	l.later = nil
	if l.before != nil {
		l.before(c)
	}
	if l.stalled {
		return l.wait(ctx, data)
	}
	result := l.append(data)
	if planned == committedUnknown {
		return nil, 0, errors.New("leadership lost while committing")
	}
	return result, l.index, nil
}

// wait queues an entry until the log moves again; its proposer may give up before.
func (l *memLog) wait(ctx context.Context, data []byte) (any, uint64, error) {
	applied := make(chan any, 1)
	l.waiting = append(l.waiting, func() { applied <- l.append(data) })
	l.mu.Unlock()
	defer l.mu.Lock()
	select {
	case result := <-applied:
		return result, result.(*fsm.Result).Index, nil
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	case <-time.After(patience):
		return nil, 0, context.DeadlineExceeded
	}
}

// written returns how many entries there are.
func (l *memLog) written() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

// append applies an entry. The caller holds the lock.
func (l *memLog) append(data []byte) any {
	l.index++
	l.entries = append(l.entries, data)
	return l.state.Apply(&raft.Log{Index: l.index, Term: l.term, Data: data})
}

// beginLife has the state begin a new life, between two entries, behind which the log goes on.
func (l *memLog) beginLife(life fsm.Life) (term uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	life.Index, life.Term = fsm.NextLife(l.state.Index(), l.term)
	if err := l.state.BeginLife(life); err != nil {
		return 0, err
	}
	l.index = life.Index
	return life.Term, nil
}

// stall has the disk stand still for some time; leadership stays.
func (l *memLog) stall(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stalled = true
	time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.stalled = false
		for _, apply := range l.waiting {
			apply()
		}
		l.waiting = nil
	})
}

func (l *memLog) next(t fsm.CommandType, outcomes ...outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.plan[t] = append(l.plan[t], outcomes...)
}

// house is one broker with a fake outside system, in a bubble of virtual time.
type house struct {
	t      *testing.T
	b      *broker.Broker
	state  *fsm.State
	log    *memLog
	fake   *providertest.Fake
	cancel context.CancelFunc
	led    chan error
	clock  *steppedClock
}

// inHouse runs a test in virtual time, with a leading broker that has an environment, a connection
// and a secret.
func inHouse(t *testing.T, test func(t *testing.T, h *house)) {
	// Sweeps come when a test asks for them.
	inHouseOf(t, broker.Timing{Sweep: 1000 * time.Hour}, test)
}

func inHouseOf(t *testing.T, timing broker.Timing, test func(t *testing.T, h *house)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, dir, timing)
		defer h.close()
		h.lead(1)
		h.furnish()
		test(t, h)
	})
}

func newHouse(t *testing.T, dir string, timing broker.Timing) *house {
	t.Helper()
	state, err := fsm.Open(fsm.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(dir, "keyring.json")
	if err := seal.Create(keys); err != nil {
		t.Fatal(err)
	}
	keyring, err := seal.Load(keys)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, state: state, clock: &steppedClock{}, fake: providertest.NewFake(), log: &memLog{state: state, plan: map[fsm.CommandType][]outcome{}}}
	h.fake.SetRootPassword(rootCanary)
	registry, err := providers.NewRegistry(h.fake.Provider(), h.fake.Fixed(), providertest.Authority{})
	if err != nil {
		t.Fatal(err)
	}
	rules, err := access.New(access.DeciderConfig{State: state})
	if err != nil {
		t.Fatal(err)
	}
	h.b, err = broker.New(broker.Config{State: state, Log: h.log, Providers: registry, Keyring: keyring, NodeID: "n1", Now: h.clock.now, Timing: timing, Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	h.log.term = 1
	if err := h.b.Init(t.Context(), 1, broker.InitSpec{ClusterID: "01jd0000000000000000cluster", Account: "alice", TokenHash: []byte("h"), Accessor: "t1"}); err != nil {
		t.Fatal(err)
	}
	return h
}

// steppedClock is the wall clock of a machine that somebody steps.
type steppedClock struct{ off atomic.Int64 }

func (c *steppedClock) now() time.Time       { return time.Now().Add(time.Duration(c.off.Load())) }
func (c *steppedClock) jump(d time.Duration) { c.off.Add(int64(d)) }

func (h *house) close() {
	h.depose()
	if err := h.state.Close(); err != nil {
		h.t.Error(err)
	}
}

// lead begins a leadership period and waits until it serves.
func (h *house) lead(term uint64) {
	h.t.Helper()
	h.log.mu.Lock()
	h.log.term = term
	h.log.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel, h.led = cancel, make(chan error, 1)
	go func() { h.led <- h.b.Lead(ctx, term) }()
	h.eventually("leading", h.b.Leading)
}

// depose ends the leadership period and waits until nothing of it runs any more.
func (h *house) depose() {
	h.t.Helper()
	if h.cancel == nil {
		return
	}
	h.cancel()
	if err := <-h.led; err != nil {
		h.t.Errorf("leading: %v", err)
	}
	h.cancel = nil
}

func (h *house) furnish() {
	h.t.Helper()
	if _, err := h.b.CreateEnvironment(h.t.Context(), alice(), broker.EnvironmentSpec{Name: env}); err != nil {
		h.t.Fatal(err)
	}
	h.mustConnection("orders-db", "main")
	h.mustSecret(ordersRO, "orders-db", "DB")
}

func (h *house) mustConnection(name fsm.ConnectionName, system string) {
	h.t.Helper()
	if _, _, err := h.b.CreateConnection(h.t.Context(), alice(), broker.ConnectionSpec{
		Name: name, Provider: "fake", Environments: []fsm.Pattern{"payments/*"},
		Settings: map[string]any{"system": system, "password": rootCanary},
	}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) mustSecret(name fsm.SecretName, connection fsm.ConnectionName, prefix string) {
	h.t.Helper()
	if _, _, err := h.b.CreateSecret(h.t.Context(), alice(), broker.SecretSpec{
		Name: name, Connection: connection, DefaultTTL: time.Hour, MaxTTL: 2 * time.Hour,
		Outputs: []fsm.Output{{Key: prefix + "_USER", Source: "username"}, {Key: prefix + "_PASSWORD", Source: "password"}, {Key: prefix + "_URL", Source: "fake://{{username}}:{{password | urlencode}}@{{host}}"}},
	}); err != nil {
		h.t.Fatal(err)
	}
}

func alice() broker.Request { return broker.Request{Actor: fsm.Actor{Account: "alice", Node: "n2"}} }

func keyed(key string) broker.Request {
	r := alice()
	r.Key = &broker.Key{Value: key, Route: "POST /leases", Body: []byte("body")}
	return r
}

func (h *house) issue(req broker.Request, ttl time.Duration) (broker.Issued, error) {
	return h.b.Issue(h.t.Context(), req, broker.IssueSpec{Secret: ordersRO, TTL: ttl})
}

func (h *house) mustIssue(ttl time.Duration) broker.Issued {
	h.t.Helper()
	issued, err := h.issue(alice(), ttl)
	if err != nil {
		h.t.Fatal(err)
	}
	return issued
}

func (h *house) lease(id fsm.LeaseID) (l fsm.Lease) {
	h.t.Helper()
	h.view(func(v *fsm.View) { l, _ = v.Lease(id) })
	return l
}

func (h *house) leases() (list []fsm.Lease) {
	h.t.Helper()
	h.view(func(v *fsm.View) {
		list = v.Leases(fsm.LeaseSelector{}, fsm.LeasePage{Limit: 10_000, Order: fsm.OldestFirst})
	})
	return list
}

func (h *house) view(read func(*fsm.View)) {
	h.t.Helper()
	if err := h.state.View(func(v *fsm.View) error { read(v); return nil }); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) history(id fsm.LeaseID) (types []fsm.EventType) {
	h.view(func(v *fsm.View) {
		for _, e := range v.LeaseEvents(id) {
			types = append(types, e.Type)
		}
	})
	return types
}

// pass lets virtual time go on.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// eventually waits in virtual time until the condition holds.
func (h *house) eventually(what string, holds func() bool) {
	h.t.Helper()
	for range 100_000 {
		if holds() {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	h.t.Fatalf("never came: %s", what)
}

// wantState waits until the lease is in the state.
func (h *house) wantState(id fsm.LeaseID, want fsm.LeaseState) {
	h.t.Helper()
	h.eventually(string(id)+" "+string(want), func() bool { return h.lease(id).State == want })
}

// wantNoLogins fails when any login of ours exists.
func (h *house) wantNoLogins() {
	h.t.Helper()
	if list := h.fake.Logins(); len(list) > 0 {
		h.t.Errorf("logins are left: %+v", list)
	}
}

func reveal(values []broker.Value) map[string]string {
	m := map[string]string{}
	for _, v := range values {
		m[v.Key] = v.Value.Reveal()
	}
	return m
}

func refusal(err error) fsm.Code {
	var r *fsm.Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	var i *broker.InvalidError
	if errors.As(err, &i) {
		return fsm.CodeInvalid
	}
	return ""
}

// apply puts a command into the log from inside Propose.
func (l *memLog) apply(t *testing.T, c fsm.Command) {
	t.Helper()
	data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	l.append(data)
}
