package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// load is clients that issue leases one after another, each with its own key, and repeat a request with
// the same key until it is answered.
type load struct {
	t    *testing.T
	h    *house
	stop func()

	mu           sync.Mutex
	acknowledged []types.Issued
	successAt    []time.Time
}

// startLoad runs clients that know the given nodes only.
func startLoad(t *testing.T, h *house, clients int, nodes ...int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{t: t, h: h}
	var running sync.WaitGroup
	l.stop = func() {
		cancel()
		running.Wait()
	}
	for w := range clients {
		c := h.client(nodes[w%len(nodes)], nodes[(w+1)%len(nodes)])
		running.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				l.issue(ctx, c, fmt.Sprintf("load-%d-%d", w, i))
			}
		})
	}
	return l
}

func (l *load) issue(ctx context.Context, c *client.Client, key string) {
	ttl := types.Duration(leaseTTL)
	for ctx.Err() == nil {
		issued, err := c.IssueLease(ctx, secretName, types.IssueSpec{TTL: &ttl}, client.WithIdempotencyKey(key))
		if err != nil {
			continue
		}
		l.mu.Lock()
		l.acknowledged, l.successAt = append(l.acknowledged, issued), append(l.successAt, time.Now())
		l.mu.Unlock()
		return
	}
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acknowledged)
}

// waitFor waits until so many more requests have succeeded.
func (l *load) waitFor(more int, within time.Duration) {
	l.t.Helper()
	from := l.count()
	eventually(l.t, within, fmt.Sprintf("%d more leases", more), func() bool { return l.count() >= from+more })
}

// longestGap returns the longest time without a success, from a given instant on.
func (l *load) longestGap(from time.Time) (longest time.Duration) {
	last := from
	for _, at := range l.successAt {
		if at.After(from) {
			longest, last = max(longest, at.Sub(last)), at
		}
	}
	return longest
}

// checkLedger holds what must be true once everything has settled: every login belongs to a live lease,
// every live lease has its login, and what was acknowledged is there, once.
func (l *load) checkLedger() {
	l.t.Helper()
	c := l.h.client()
	eventually(l.t, time.Minute, "nothing pending or revoking", func() bool { return len(l.h.leases(c, "pending", "revoking")) == 0 })
	live := map[string]bool{}
	for _, lease := range l.h.leases(c, "active") {
		live[lease.Username] = true
	}
	logins := l.h.logins()
	for name := range logins {
		if !live[name] {
			l.t.Errorf("login %s belongs to no live lease", name)
		}
	}
	for name := range live {
		if !logins[name] {
			l.t.Errorf("an active lease has no login %s", name)
		}
	}
	seen := map[string]bool{}
	for _, a := range l.acknowledged {
		if !live[a.Lease.Username] {
			l.t.Errorf("lease %s was acknowledged and is not live", a.Lease.ID)
		}
		if seen[a.Lease.ID] {
			l.t.Errorf("lease %s was given to two requests", a.Lease.ID)
		}
		seen[a.Lease.ID] = true
	}
	if err := l.h.logIn(l.acknowledged[len(l.acknowledged)-1]); err != nil {
		l.t.Errorf("the newest credential does not log in: %v", err)
	}
	l.t.Logf("%d leases acknowledged, %d live", len(l.acknowledged), len(live))
}
