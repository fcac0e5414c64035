package crashtest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"broker/broker"
)

// script is the life of one lease, or of a few that end together.
type script struct {
	name   string
	sample int // play one out of so many times -crashtest.pairs
	enter  func(w *world)
}

var scripts = []script{
	{"expire", 1, func(w *world) {
		w.enter("c1", func(c *client) {
			c.issue("key", 5*time.Second)
			wait(time.Second)
			c.renew("renewal", broker.RenewSpec{TTL: 3 * time.Second})
		})
	}},
	{"revoke", 1, func(w *world) {
		w.enter("c1", func(c *client) {
			c.issue("key", 5*time.Second)
			wait(time.Second)
			c.revoke(c.lease)
		})
	}},
	{"three expire together", 50, func(w *world) {
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
	return plan
}

// TestOneLease plays the life of one lease with every fault at every point. Of the pairs of faults it
// plays a sample, and each that brings a fault to a point where it has not been yet; all of them with
// -crashtest.pairs=1.
func TestOneLease(t *testing.T) {
	reached := map[string]int{}
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
			})
		}
	})
	if !t.Failed() {
		checkTable(t, reached)
	}
}

var merging sync.Mutex // guards what parallel tests add up

// upToTwo plays a script with one fault everywhere and with two, and returns how many pairs there are.
func (k *kit) upToTwo(t *testing.T, s script) (pairs int) {
	for i, m := range k.exactly(t, s, nil).met {
		for _, f := range m.can {
			first := k.exactly(t, s, map[int]string{i: f.name})
			for j := i + 1; j < len(first.met); j++ {
				for _, g := range first.met[j].can {
					pairs++
					if pairs%(*everyPair*s.sample) == 0 || k.reached[first.met[j].point+": "+g.name] == 0 {
						k.exactly(t, s, map[int]string{i: f.name, j: g.name})
					}
				}
			}
		}
	}
	return pairs
}
