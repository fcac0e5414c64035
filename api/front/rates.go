package front

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is how often something may happen. The zero Rate is no limit.
type Rate struct {
	PerSecond float64
	Burst     int // how often at once, after a rest; zero: one second's worth
}

// Rates keep each key to one rate, in bounded memory. They are safe for concurrent use.
//
// Keys are kept in two generations. A key that is used moves to the young one; when that is full, or has been filled
// for so long that a bucket which was not used since is full again, it becomes the old one and the old one is
// forgotten. Forgetting by age therefore changes nothing; forgetting for want of room gives whoever was not seen
// for longest a full bucket.
type Rates[K comparable] struct {
	limit Rate
	half  int           // of the keys that may be kept
	rest  time.Duration // after which an unused bucket is full

	mu         sync.Mutex
	young, old map[K]*rate.Limiter
	turnedAt   time.Time
}

// NewRates returns rates for at most so many keys at a time.
func NewRates[K comparable](limit Rate, most int) *Rates[K] {
	if limit.Burst <= 0 {
		limit.Burst = max(1, int(limit.PerSecond))
	}
	r := &Rates[K]{limit: limit, half: max(1, most/2), young: map[K]*rate.Limiter{}}
	if limit.PerSecond > 0 {
		// No shorter than a minute, so that few are made anew; no longer than the clock can count.
		r.rest = time.Duration(min(max(float64(limit.Burst)/limit.PerSecond, 60), 1e9) * float64(time.Second))
	}
	return r
}

// Take counts one of the key. It returns for how long the key has to wait when it was too often, and then counts
// nothing; else zero.
func (r *Rates[K]) Take(key K, now time.Time) (wait time.Duration) {
	if r.limit.PerSecond <= 0 {
		return 0
	}
	limiter := r.of(key, now)
	if limiter.AllowN(now, 1) {
		return 0
	}
	return max(time.Duration((1-limiter.TokensAt(now))/r.limit.PerSecond*float64(time.Second)), 1)
}

// Spent reports whether the key would have to wait. It counts nothing and keeps nothing.
func (r *Rates[K]) Spent(key K, now time.Time) bool {
	if r.limit.PerSecond <= 0 {
		return false
	}
	r.mu.Lock()
	limiter := r.young[key]
	if limiter == nil {
		limiter = r.old[key]
	}
	r.mu.Unlock()
	return limiter != nil && limiter.TokensAt(now) < 1
}

// Kept returns how many keys are kept.
func (r *Rates[K]) Kept() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.young) + len(r.old)
}

func (r *Rates[K]) of(key K, now time.Time) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.turnedAt) >= r.rest {
		if now.Sub(r.turnedAt) >= 2*r.rest {
			r.young = map[K]*rate.Limiter{} // nobody was here for so long
		}
		r.turn(now)
	}
	limiter := r.young[key]
	if limiter != nil {
		return limiter
	}
	if limiter = r.old[key]; limiter == nil {
		limiter = rate.NewLimiter(rate.Limit(r.limit.PerSecond), r.limit.Burst)
	} else {
		delete(r.old, key)
	}
	if len(r.young) >= r.half {
		r.turn(now)
	}
	r.young[key] = limiter
	return limiter
}

// turn makes the young generation the old one.
func (r *Rates[K]) turn(now time.Time) {
	r.old, r.young, r.turnedAt = r.young, map[K]*rate.Limiter{}, now
}
