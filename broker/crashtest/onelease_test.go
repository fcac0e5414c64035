package crashtest

import (
	"fmt"
	"testing"
	"time"

	"broker/broker"
)

// script is the life of one lease.
type script struct {
	name string
	run  func(c *client)
}

var scripts = []script{
	{"expire", func(c *client) {
		c.issue("key", 5*time.Second)
		wait(time.Second)
		c.renew("renewal", broker.RenewSpec{TTL: 3 * time.Second})
	}},
	{"revoke", func(c *client) {
		c.issue("key", 5*time.Second)
		wait(time.Second)
		c.revoke(c.lease)
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

// TestOneLease plays the life of one lease with every fault at every point, and with a sample of all
// pairs of faults, all of them with -crashtest.pairs=1.
func TestOneLease(t *testing.T) {
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			kit := newKit(t)
			one := func(faults map[int]string) *exact {
				plan := &exact{faults: faults}
				kit.play(t, plan, func(w *world) { w.enter("c1", s.run) })
				return plan
			}
			pairs := 0
			for i, m := range one(nil).met {
				for _, f := range m.can {
					first := one(map[int]string{i: f.name})
					for j := i + 1; j < len(first.met); j++ {
						for _, g := range first.met[j].can {
							if pairs++; pairs%*everyPair == 0 {
								one(map[int]string{i: f.name, j: g.name})
							}
						}
					}
				}
			}
			t.Logf("%d worlds, %d pairs of faults in all", kit.played, pairs)
		})
	}
}
