package crashtest

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"broker/broker"
)

// script is the life of one lease.
type script struct {
	name string
	run  func(c *client)
}

var scripts = []script{
	{"issue, renew, expire", func(c *client) {
		c.issue("key", 5*time.Second)
		wait(time.Second)
		c.renew("renewal", broker.RenewSpec{TTL: 3 * time.Second})
	}},
	{"issue, revoke", func(c *client) {
		c.issue("key", 5*time.Second)
		wait(time.Second)
		c.revoke(c.lease)
	}},
}

// exact injects planned faults at the points with the given numbers, everything else goes on in order.
type exact struct {
	faults map[int]string
	n      int
	met    []met // every point that was met
}

// met is a point that a run came to and what could have happened there.
type met struct {
	point string
	can   []fault
}

func (e *exact) choose(able []*point) *point { return able[0] }

func (e *exact) fault(p *point, can []fault) fault {
	name := e.faults[e.n]
	e.n++
	e.met = append(e.met, met{p.name(), can})
	if f, can := named(can, name); can {
		return f
	}
	return ok
}

func (e *exact) elect(able []*node) *node { return able[0] }
func (e *exact) notice() time.Duration    { return 3 * time.Second }

// play runs one world to its end and returns it.
func play(t *testing.T, nodes int, plan planner, bugs bugs, seed uint64, enter func(w *world)) (w *world) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(dir, nodes, plan)
		w.bugs, w.seed = bugs, seed
		enter(w)
		w.run()
		w.stop()
		synctest.Wait()
		w.close()
	})
	return w
}

func TestOneLease(t *testing.T) {
	began := time.Now()
	n := 0
	for _, s := range scripts {
		base := &exact{}
		w := play(t, 2, base, bugs{}, 0, func(w *world) { w.enter("c1", s.run) })
		n++
		fmt.Println(s.name, len(base.met), w.check.violations)
		fmt.Println(strings.Join(w.trace, "\n"))
		for i, m := range base.met {
			for _, f := range m.can {
				plan := &exact{faults: map[int]string{i: f.name}}
				w := play(t, 2, plan, bugs{}, 0, func(w *world) { w.enter("c1", s.run) })
				n++
				if w.check.broken() {
					t.Errorf("%s: %d %s: %s:\n%s\n%s", s.name, i, m.point, f.name, strings.Join(w.check.violations, "\n"), strings.Join(w.trace, "\n"))
				}
			}
		}
	}
	fmt.Println(n, "runs", time.Since(began))
}
