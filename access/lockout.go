package access

import (
	"container/list"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// The bounds of failing to sign in.
const (
	lockAfter        = 10  // failures of one name
	lockAddressAfter = 100 // failures from one address
	lockWindow       = 15 * time.Minute
	maxLockEntries   = 20_000
)

// LockedError refuses a try to sign in after too many failures, right or wrong.
type LockedError struct{ Wait time.Duration }

// Error says until when.
func (e *LockedError) Error() string {
	return fmt.Sprintf("too many failures to sign in: try again in %s", e.Wait.Round(time.Second))
}

// lockout counts failures to sign in, by name and by address, whether there is such a name or not. It is memory of one
// node, and bounded: the oldest entry makes room. It is safe for concurrent use.
type lockout struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[string]*list.Element
	order   *list.List // of *failures, those that began first in front
}

type failures struct {
	key   string
	since time.Time
	count int
}

func newLockout(now func() time.Time) *lockout {
	return &lockout{now: now, entries: map[string]*list.Element{}, order: list.New()}
}

// check returns a *LockedError when there were too many failures.
func (l *lockout) check(name, address string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait := max(l.locked(name, lockAfter), l.locked(address, lockAddressAfter))
	if wait > 0 {
		return &LockedError{Wait: wait}
	}
	return nil
}

// locked returns for how long a key is locked. The caller holds the lock.
func (l *lockout) locked(key string, most int) time.Duration {
	found, ok := l.entries[key]
	if !ok {
		return 0
	}
	f := found.Value.(*failures)
	left := f.since.Add(lockWindow).Sub(l.now())
	if left <= 0 {
		l.forget(found)
		return 0
	}
	if f.count < most {
		return 0
	}
	return left
}

// failed counts a failure.
func (l *lockout) failed(keys ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		l.locked(key, 0) // forgets what is over
		found, ok := l.entries[key]
		if !ok {
			if len(l.entries) >= maxLockEntries {
				l.forget(l.order.Front())
			}
			found = l.order.PushBack(&failures{key: key, since: l.now()})
			l.entries[key] = found
		}
		found.Value.(*failures).count++
	}
}

// succeeded forgets the failures of a name. Those from its address stay: whoever has one account could else try others
// for ever.
func (l *lockout) succeeded(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if found, ok := l.entries[name]; ok {
		l.forget(found)
	}
}

func (l *lockout) forget(e *list.Element) {
	delete(l.entries, e.Value.(*failures).key)
	l.order.Remove(e)
}

// addressKey is what failures from an address are counted under: whoever has one address of IPv6 has many.
func addressKey(address netip.Addr) string {
	address = address.Unmap().WithZone("")
	if address.Is6() {
		if p, err := address.Prefix(64); err == nil {
			return "address " + p.String()
		}
	}
	return "address " + address.String()
}
