package crashtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
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
	f := can[p.rand.IntN(len(can))]
	if f.rare > 0 && p.rand.IntN(f.rare) > 0 {
		return ok
	}
	return f
}

func (p *wild) elect(able []*node) *node { return able[p.rand.IntN(len(able))] }
func (p *wild) notice() time.Duration {
	return time.Duration(p.rand.IntN(5000)) * time.Millisecond
}

func (p *wild) String() string {
	return fmt.Sprintf("of seed %d, again with: go test ./broker/crashtest -run='^TestSeeds$' -crashtest.from=%d -crashtest.seeds=1", p.seed, p.seed)
}

// populate brings in clients whose wishes follow from the seed.
func (p *wild) populate(w *world) {
	p.tidy(w)
	p.disturb(w)
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

// tidy has outside systems swept in some worlds, and what must not be there put there.
func (p *wild) tidy(w *world) {
	if p.rand.IntN(3) > 0 {
		return
	}
	w.sweep = time.Duration(1+p.rand.IntN(5)) * time.Second
	for range p.rand.IntN(3) {
		w.plant(time.Duration(p.rand.IntN(30)) * time.Second)
	}
}

// live is what a client does with one lease.
func live(c *client, r *rand.Rand, key string) {
	wait(time.Duration(r.IntN(3000)) * time.Millisecond)
	ttl := time.Duration(1+r.IntN(12)) * time.Second
	if r.IntN(8) == 0 {
		ttl = time.Until(epoch.Add(time.Duration(15+r.IntN(3)) * time.Second)) // many end together
		ttl = min(max(ttl.Truncate(time.Millisecond), time.Second), maxTTL)
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
	if r.IntN(4) == 0 {
		wait(time.Duration(r.IntN(20)) * time.Second) // perhaps past the lease's end
		c.issue(key, ttl)
	}
}

// regressions are seeds that once found something, in the engine or in a mutant of it.
var regressions = []struct {
	seed  uint64
	found string
}{
	{4, "a renewal beyond the lease's longest time"},
	{7, "a lease that begins though it is locked"},
	{144, "calls during a pause"},
	{17957032561671, "a replaced system that is dropped after one listing that left a login out"},
	{207, "a sweep that judges what it listed by an older reading of the ledger"},
}

// TestSeeds plays worlds with many leases and many faults.
func TestSeeds(t *testing.T) {
	const shards = 2
	reached := map[string]int{}
	t.Run("shards", func(t *testing.T) {
		for shard := range uint64(shards) {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				kit := newKit(t)
				for n := shard; n < uint64(*seeds); n += shards {
					kit.playSeed(t, *seedFrom+n)
				}
				if shard == 0 && *seeds > 1 {
					for _, r := range regressions {
						t.Logf("seed %d once found: %s", r.seed, r.found)
						kit.playSeed(t, r.seed)
					}
				}
				merging.Lock()
				defer merging.Unlock()
				for name, n := range kit.reached {
					reached[name] += n
				}
			})
		}
	})
	if *seeds < enoughSeeds {
		return
	}
	if reached[fromSnapshot] == 0 {
		t.Errorf("never reached: %s", fromSnapshot)
	}
	for _, p := range operations {
		n := 0
		for name := range reached {
			if strings.HasPrefix(name, p+": ") {
				n++
			}
		}
		if t.Logf("%3d faults at: %s", n, p); n < 2 {
			t.Errorf("nothing ever went wrong at: %s", p)
		}
	}
}

// operations are what random worlds must have come to, so many of them.
var operations = points("propose create operation", "propose advance operation", "propose finish operation", "propose cancel operation",
	"propose retry", "propose forget", "propose lock", "propose unlock", "propose pause", "propose update account")

const enoughSeeds = 300

func (k *kit) playSeed(t *testing.T, seed uint64) *world {
	t.Helper()
	plan := newWild(seed)
	return k.play(t, plan, plan.populate)
}
