package cluster_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/go-cmp/cmp"

	"broker/cluster/clustertest"
)

// access is one read or write of the register by a client.
type access struct {
	write bool
	value string // written or read
	node  string
	note  string

	call, ret int64 // ns since the beginning
	unknown   bool  // a write of unknown outcome
}

func (a access) String() string {
	verb := "read"
	if a.write {
		verb = "wrote"
	}
	return fmt.Sprintf("%s %s %q from %s to %s (unknown: %t; %s)", a.node, verb, a.value, time.Duration(a.call), time.Duration(a.ret), a.unknown, a.note)
}

// register is a cluster whose newest command is the value of a register, and
// what its clients saw.
type register struct {
	c     *clustertest.Cluster
	began time.Time

	acknowledged, reads atomic.Int64

	mu      sync.Mutex
	history []access
}

func (r *register) now() int64 { return int64(time.Since(r.began)) }

func (r *register) record(a access) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, a)
}

// client accesses the register through changing nodes until ctx ends.
func (r *register) client(ctx context.Context, id int, write bool) {
	random := rand.New(rand.NewPCG(1, uint64(id)))
	// Checking takes time with every access: a few thousand will do.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		<-tick.C
		n := r.c.Nodes[random.IntN(len(r.c.Nodes))]
		a := access{write: write, node: n.ID, value: fmt.Sprintf("%d/%d", id, i)}
		try, done := context.WithTimeout(ctx, time.Second)
		a.call = r.now()
		var err error
		if write {
			_, _, err = n.Live().Propose(try, []byte(a.value))
		} else {
			a.value, err = readLast(try, n)
		}
		a.ret = r.now()
		done()
		switch {
		case err == nil && write:
			r.acknowledged.Add(1)
		case err == nil:
			r.reads.Add(1)
		case write && !definitelyNot(err):
			a.unknown = true
			a.note = err.Error()
		default:
			continue
		}
		r.record(a)
	}
}

// settle waits until all nodes agree, and returns the place of every value in
// the log.
func (r *register) settle(t *testing.T) map[string]int {
	t.Helper()
	r.c.Heal()
	index := r.c.MustPropose([]byte("the end"))
	for _, n := range r.c.Nodes {
		n.MustApply(index)
	}
	want := r.c.Nodes[0].Journal().Entries()
	for _, n := range r.c.Nodes[1:] {
		if diff := cmp.Diff(want, n.Journal().Entries()); diff != "" {
			t.Errorf("the log of %s differs (-%s +%s):\n%s", n.ID, r.c.Nodes[0].ID, n.ID, diff)
		}
	}
	place := map[string]int{"": 0}
	for i, e := range want {
		place[e.Data] = i + 1
	}
	return place
}

// check compares what clients saw with the order of the log, which is the order
// that must have been seen.
func (r *register) check(t *testing.T, place map[string]int) {
	t.Helper()
	for _, a := range r.history {
		at, applied := place[a.value]
		if !applied {
			if !a.unknown {
				t.Errorf("not in the log: %v", a)
			}
			continue
		}
		if a.write {
			continue
		}
		for _, w := range r.history {
			if w.write && !w.unknown && w.ret < a.call && place[w.value] > at {
				t.Errorf("old value: %v\nafter %v", a, w)
				break
			}
		}
	}
}

// porcupine checks the same without believing the log.
func (r *register) porcupine(t *testing.T, place map[string]int) porcupine.CheckResult {
	t.Helper()
	var ops []porcupine.Operation
	for i, a := range r.history {
		if _, applied := place[a.value]; !applied {
			continue // never took effect
		}
		if a.unknown {
			a.ret = math.MaxInt64
		}
		ops = append(ops, porcupine.Operation{ClientId: i, Input: a, Call: a.call, Return: a.ret})
	}
	model := porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, _ any) (bool, any) {
			a := input.(access)
			return a.write || a.value == state, a.value
		},
	}
	return porcupine.CheckOperationsTimeout(model, ops, 30*time.Second)
}

// A register written and read by several clients through all nodes while
// leaders are cut off and replaced must look as if it were on one machine.
func TestRegisterIsLinearizable(t *testing.T) {
	t.Parallel()
	const length = 6 * time.Second
	r := &register{c: clustertest.New(t, 3), began: time.Now()}
	r.c.WaitLeader()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()

	var clients sync.WaitGroup
	for id := range 8 {
		clients.Go(func() { r.client(ctx, id, id < 3) })
	}
	changes := 0
	for ctx.Err() == nil {
		enough := r.acknowledged.Load() + 40
		clustertest.Eventually(t, "some writes", func() bool { return r.acknowledged.Load() >= enough || ctx.Err() != nil })
		leader := r.c.Leader()
		if changes%3 == 2 {
			_ = leader.Live().TransferLeadership(ctx, "") // another way to lose it
		} else {
			r.c.Isolate(leader)
			r.c.Leader()
			r.c.Heal()
		}
		changes++
		r.c.WaitLeader()
	}
	clients.Wait()

	place := r.settle(t)
	r.check(t, place)
	result := r.porcupine(t, place)
	t.Logf("%d writes, %d reads, %d changes of leader: %s", r.acknowledged.Load(), r.reads.Load(), changes, result)
	if result != porcupine.Ok {
		t.Errorf("the history is not linearizable: %s", result)
	}
	if r.reads.Load() < 50 || r.acknowledged.Load() < 50 || changes < 2 {
		t.Error("too little happened for this to show anything")
	}
}
