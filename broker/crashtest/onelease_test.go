package crashtest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"broker/broker"
)

// script is the life of one lease, or of a few that end together.
type script struct {
	name  string
	alike int // so many leases live alike: of what happens to each, play one
	enter func(w *world)
}

var scripts = []script{
	{"expire", 1, func(w *world) {
		w.enter("c1", func(c *client) {
			c.issue("key", 5*time.Second)
			wait(time.Second)
			c.renew("renewal", broker.RenewSpec{TTL: 3 * time.Second})
			wait(10 * time.Second)
			c.issue("key", 5*time.Second) // the lease has ended meanwhile
		})
	}},
	{"revoke", 1, func(w *world) {
		w.enter("c1", func(c *client) {
			c.issue("key", 5*time.Second)
			wait(time.Second)
			c.revoke(c.lease)
		})
	}},
	{"swept", 5, func(w *world) {
		w.sweep = 1500 * time.Millisecond
		w.plant(time.Second)
		for i := range 3 {
			name := fmt.Sprintf("c%d", i+1)
			w.enter(name, func(c *client) { c.issue("key "+name, time.Duration(2+i)*time.Second) })
		}
	}},
	{"three expire together", 3, func(w *world) {
		for _, name := range []string{"c1", "c2", "c3"} {
			w.enter(name, func(c *client) { c.issue("key "+name, 5*time.Second) })
		}
	}},
}

// exact injects planned faults at the points with the given numbers; everything else goes on in the
// order in which it came.
type exact struct {
	faults map[int]string
	met    []met
}

// met is a point that a run came to and what could have happened there.
type met struct {
	point string
	can   []fault
}

func (e *exact) choose(able []*point) *point { return able[0] }

func (e *exact) fault(p *point, can []fault) fault {
	name := e.faults[len(e.met)]
	e.met = append(e.met, met{p.name(), can})
	if f, planned := named(can, name); planned {
		return f
	}
	return ok
}

func (e *exact) elect(able []*node) *node { return able[0] }
func (e *exact) notice() time.Duration    { return 3 * time.Second }

func (e *exact) String() string { return fmt.Sprint(e.faults) }

// exactly plays a script with planned faults.
func (k *kit) exactly(t *testing.T, s script, faults map[int]string) *exact {
	t.Helper()
	plan := &exact{faults: faults}
	k.play(t, plan, s.enter)
	k.note(plan)
	return plan
}

// TestOneLease plays the life of one lease with every fault at every point. Of the pairs of faults it
// plays a sample (all of them with -crashtest.pairs=1), and as many more faults as it takes to bring each
// fault to each point where it can happen.
func TestOneLease(t *testing.T) {
	reached, possible := map[string]int{}, map[string]bool{}
	t.Run("scripts", func(t *testing.T) {
		for _, s := range scripts {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				kit := newKit(t)
				pairs := kit.upToTwo(t, s)
				t.Logf("%d worlds, %d pairs of faults in all", kit.played, pairs)
				merging.Lock()
				defer merging.Unlock()
				for name, n := range kit.reached {
					reached[name] += n
				}
				maps.Copy(possible, kit.possible)
			})
		}
	})
	if !t.Failed() {
		checkTable(t, reached, possible)
	}
}

var merging sync.Mutex // guards what parallel tests add up

// upToTwo plays a script with one fault everywhere, with a sample of two, and with more where that is the
// only way to a point. It returns how many pairs there are.
func (k *kit) upToTwo(t *testing.T, s script) (pairs int) {
	first := k.exactly(t, s, nil)
	for i, m := range first.met {
		for n, f := range m.can {
			if k.reached[m.point+": "+f.name] > 0 && (i+n)%s.alike != 0 {
				continue
			}
			second := k.exactly(t, s, map[int]string{i: f.name})
			for j := i + 1; j < len(second.met); j++ {
				for _, g := range second.met[j].can {
					if pairs++; pairs%(*everyPair*s.alike*s.alike) == 0 {
						k.exactly(t, s, map[int]string{i: f.name, j: g.name})
					}
				}
			}
		}
	}
	for len(k.open) > 0 {
		crash := slices.Sorted(maps.Keys(k.open))[0]
		faults := k.open[crash]
		delete(k.open, crash)
		if k.reached[crash] > 0 {
			continue
		}
		if k.exactly(t, s, faults); k.reached[crash] == 0 {
			t.Errorf("the faults %v do not lead to %q a second time", faults, crash)
		}
	}
	return pairs
}

// note remembers how to bring every fault to every point that a run came to.
func (k *kit) note(plan *exact) {
	for i, m := range plan.met {
		for _, f := range m.can {
			crash := m.point + ": " + f.name
			if k.possible[crash] {
				continue
			}
			k.possible[crash] = true
			faults := map[int]string{i: f.name}
			for j, name := range plan.faults {
				if j < i {
					faults[j] = name
				}
			}
			k.open[crash] = faults
		}
	}
}
