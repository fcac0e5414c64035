package faultproxy

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// retransmission is how late a lost segment of a TCP connection is: the shortest that Linux waits before it sends
// one again.
const retransmission = 200 * time.Millisecond

// Way is one direction between two hosts. The zero value passes on everything at once, and so does nil. It may be
// changed at any time and is safe for concurrent use.
type Way struct {
	mu            sync.Mutex
	healed        chan struct{} // nil: not cut
	delay, jitter time.Duration
	loss          float64
}

// Cut lets nothing through any more.
func (w *Way) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.healed == nil {
		w.healed = make(chan struct{})
	}
}

// Delay makes everything late, by the delay and up to the jitter more.
func (w *Way) Delay(delay, jitter time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay, w.jitter = delay, jitter
}

// Lose loses a share of what is sent, from 0 to less than 1.
func (w *Way) Lose(share float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loss = share
}

// Heal ends every trouble.
func (w *Way) Heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.healed != nil {
		close(w.healed)
		w.healed = nil
	}
	w.delay, w.jitter, w.loss = 0, 0, 0
}

// pass waits as long as the way is cut.
func (w *Way) pass(ctx context.Context) error {
	for {
		healed := w.cut()
		if healed == nil {
			return ctx.Err()
		}
		select {
		case <-healed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// cut returns what is closed when the way heals; nil: it is not cut.
func (w *Way) cut() <-chan struct{} {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.healed
}

// draw decides about a piece: how late it is and whether it is lost.
func (w *Way) draw() (late time.Duration, lost bool) {
	if w == nil {
		return 0, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	late = w.delay
	if w.jitter > 0 {
		late += rand.N(w.jitter)
	}
	return late, rand.Float64() < w.loss
}

// drawReliably decides about a piece that is sent until it arrives: how late it is.
func (w *Way) drawReliably() time.Duration {
	late, lost := w.draw()
	for again := retransmission; lost && again < time.Minute; again *= 2 {
		late += again
		_, lost = w.draw()
	}
	return late
}
