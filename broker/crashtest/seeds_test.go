package crashtest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"broker/broker"
)

// wild decides by a seed. Decisions are drawn in the order in which points are met, which virtual time
// makes the same in every run of the same seed.
type wild struct {
	seed   uint64
	rand   *rand.Rand
	until  time.Time // no more faults after this
	chance float64   // of a fault at a point
}

func newWild(seed uint64) *wild {
	r := rand.New(rand.NewPCG(seed, 1))
	return &wild{seed: seed, rand: r, until: epoch.Add(time.Duration(20+r.IntN(40)) * time.Second), chance: []float64{0.02, 0.05, 0.1, 0.2}[r.IntN(4)]}
}

func (p *wild) choose(able []*point) *point {
	if time.Now().Before(p.until) && p.rand.IntN(20) == 0 {
		return nil // everything stands still for a moment
	}
	return able[p.rand.IntN(len(able))]
}

func (p *wild) fault(_ *point, can []fault) fault {
	if time.Now().After(p.until) || p.rand.Float64() >= p.chance {
		return ok
	}
	return can[p.rand.IntN(len(can))]
}

func (p *wild) elect(able []*node) *node { return able[p.rand.IntN(len(able))] }
func (p *wild) notice() time.Duration {
	return time.Duration(p.rand.IntN(5000)) * time.Millisecond
}

func (p *wild) String() string {
	return fmt.Sprintf("of seed %d (go test ./broker/crashtest -run TestSeeds -crashtest.from=%d -crashtest.seeds=1)", p.seed, p.seed)
}

// populate brings in clients whose wishes follow from the seed.
func (p *wild) populate(w *world) {
	for i := range 2 + p.rand.IntN(6) {
		r := rand.New(rand.NewPCG(p.seed, uint64(100+i)))
		name := fmt.Sprintf("c%d", i+1)
		w.enter(name, func(c *client) {
			for n := range 1 + r.IntN(4) {
				live(c, r, fmt.Sprintf("%s-%d", name, n))
			}
		})
	}
}

// live is what a client does with one lease.
func live(c *client, r *rand.Rand, key string) {
	wait(time.Duration(r.IntN(3000)) * time.Millisecond)
	ttl := time.Duration(1+r.IntN(12)) * time.Second
	if r.IntN(8) == 0 {
		ttl = time.Until(epoch.Add(time.Duration(15+r.IntN(3)) * time.Second)) // many end together
		ttl = min(max(ttl, time.Second), maxTTL)
	}
	if r.IntN(4) == 0 {
		key = "" // what has no answer is asked for anew
	}
	c.issue(key, ttl)
	for i := range r.IntN(3) {
		wait(time.Duration(r.IntN(4000)) * time.Millisecond)
		switch r.IntN(5) {
		case 0:
			c.renew(fmt.Sprintf("%s-r%d", key, i), broker.RenewSpec{UntilMax: true})
		case 1:
			c.issue(key, ttl) // once more, for no reason
		case 2:
			c.revoke(c.lease)
		default:
			c.renew(fmt.Sprintf("%s-r%d", key, i), broker.RenewSpec{TTL: time.Duration(1+r.IntN(5)) * time.Second})
		}
	}
}

// regressions are seeds that once found something.
var regressions = []uint64{}

// TestSeeds plays worlds with many leases and many faults.
func TestSeeds(t *testing.T) {
	const shards = 2
	for shard := range uint64(shards) {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			kit := newKit(t)
			for n := shard; n < uint64(*seeds); n += shards {
				kit.playSeed(t, *seedFrom+n)
			}
			if shard == 0 {
				for _, seed := range regressions {
					kit.playSeed(t, seed)
				}
			}
		})
	}
}

func (k *kit) playSeed(t *testing.T, seed uint64) *world {
	t.Helper()
	plan := newWild(seed)
	return k.play(t, plan, plan.populate)
}
