package broker

import (
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"broker/fsm"
)

// CodeRateLimited is answered when leases are asked for faster than a secret or an account allows.
const CodeRateLimited fsm.Code = "rate_limited"

// rates keeps to the issue rates of secrets and accounts. It begins anew with each leadership period.
type rates struct {
	mu     sync.Mutex
	bucket map[string]*limit
}

// limit is one token bucket and the rate it was made for.
type limit struct {
	fsm.Rate
	*rate.Limiter
}

// allow takes one from the bucket of the secret and of the account, or refuses and takes none.
func (p *period) allow(secret fsm.Secret, account fsm.Account) error {
	now := p.Now()
	p.rates.mu.Lock()
	defer p.rates.mu.Unlock()
	var taken []*rate.Reservation
	for _, l := range []struct {
		noun, name string
		rate       fsm.Rate
	}{{"secret", string(secret.Name), secret.IssueRate}, {"account", string(account.Name), account.IssueRate}} {
		key := l.noun + " " + l.name
		if l.rate.IsZero() {
			delete(p.rates.bucket, key)
			continue
		}
		r := p.rates.of(key, l.rate).ReserveN(now, 1)
		taken = append(taken, r)
		wait := r.DelayFrom(now)
		if wait == 0 {
			continue
		}
		for _, r := range taken {
			r.CancelAt(now)
		}
		seconds := int64(math.Ceil(wait.Seconds()))
		return (&fsm.Refusal{Code: CodeRateLimited, Message: fmt.Sprintf("%s %q allows %d leases in %s: ask again in %d s", l.noun, l.name, l.rate.Count, fsm.FormatTTL(l.rate.Per), seconds)}).
			With("retry_after", fmt.Sprint(seconds))
	}
	return nil
}

// of returns the bucket of a name, a full one when it is new or its rate was changed.
func (r *rates) of(key string, want fsm.Rate) *limit {
	l := r.bucket[key]
	if l == nil || l.Rate != want {
		every := want.Per / time.Duration(want.Count)
		l = &limit{want, rate.NewLimiter(rate.Every(max(every, 1)), int(min(want.Count, math.MaxInt32)))}
		r.bucket[key] = l
	}
	return l
}
