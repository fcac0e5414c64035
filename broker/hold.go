package broker

import (
	"errors"
	"time"

	"broker/providers"
)

// drainTimeout is how long an exchange of a root credential waits for the calls that are under way. Those that take longer
// may fail, and are tried again like any other.
const drainTimeout = 2 * time.Second

// hold has new calls of a system wait, and waits for those under way. letGo lets them through again: with the settings
// that are the newest then.
func (bs *backends) hold(s system) (letGo func()) {
	bs.mu.Lock()
	held := make(chan struct{})
	bs.held[s] = held // nobody else holds it: a connection's rotation is in one hand
	bs.mu.Unlock()
	bs.wait(drainTimeout, func() bool {
		b := bs.open[s]
		return b == nil || b.users == 0
	})
	return func() {
		bs.mu.Lock()
		delete(bs.held, s)
		bs.mu.Unlock()
		close(held)
	}
}

// pass waits until a system is not held, for as long as a request waits for its turn.
func (bs *backends) pass(s system) error {
	bs.mu.Lock()
	held := bs.held[s]
	bs.mu.Unlock()
	if held == nil {
		return nil
	}
	timer := time.NewTimer(bs.p.Timing.Queue)
	defer timer.Stop()
	select {
	case <-held:
		return nil
	case <-timer.C:
	case <-bs.p.ctx.Done():
	}
	return &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Busy: true, Err: errors.New("its root credential is being exchanged")}
}

// drain waits until the backends of a system that were replaced are closed, or as long as a call may take.
func (bs *backends) drain(s system, most time.Duration) {
	bs.wait(most, func() bool { return bs.leaving[s] == 0 })
}

// wait waits until something holds of what mu guards.
func (bs *backends) wait(most time.Duration, holds func() bool) {
	for end := time.Now().Add(most); time.Now().Before(end); {
		bs.mu.Lock()
		done := holds()
		bs.mu.Unlock()
		if done || !bs.p.sleep(5*time.Millisecond) {
			return
		}
	}
}
