package broker

import (
	"context"
	"sync"
	"time"
)

// company has commands of requests go into the log together. An entry that goes alone costs the three
// nodes three times what one among others does: writes, flushes, messages and wake-ups are for all
// entries of a batch. Where requests wait for an outside system most of the time, their commands come one
// by one; a small part of that time, spent waiting for others, saves the work of most batches. The same
// idea is known from databases as commit delay.
//
// Nobody waits who has no company, and nobody where requests are quick: those meet others anyway.
type company struct {
	most time.Duration // the longest wait; none when it is not positive

	mu    sync.Mutex
	usual time.Duration // how long an issue takes, smoothed
	leave chan struct{} // closed when those who wait go; nil: nobody waits
}

const (
	// companions is how many requests must be under way.
	companions = 4
	// shareOfWait is the part of an issue's usual time that one of its commands waits at the most.
	shareOfWait = 12
	// worthWaiting is the least wait: a shorter one meets hardly anybody.
	worthWaiting = 2 * time.Millisecond
	// smoothing is the weight of what was before one more measurement.
	smoothing = 16
)

// took notes how long an issue took.
func (c *company) took(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.usual += (d - c.usual) / smoothing
}

// wait lets others catch up, when that is worth it.
func (c *company) wait(ctx context.Context, underWay int64) {
	if underWay < companions {
		return
	}
	leave := c.join()
	if leave == nil {
		return
	}
	select {
	case <-leave:
	case <-ctx.Done():
	}
}

// join returns what is closed when it is time to go; nil: now.
func (c *company) join() chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leave != nil {
		return c.leave
	}
	window := min(c.usual/shareOfWait, c.most)
	if window < worthWaiting {
		return nil
	}
	leave := make(chan struct{})
	c.leave = leave
	time.AfterFunc(window, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.leave = nil
		close(leave)
	})
	return leave
}
