package broker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"broker/fsm"
	"broker/providers"
)

const (
	// breakAfter is how many calls in a row must find an outside system unavailable before it is left
	// alone until a probe succeeds.
	breakAfter = 3

	// maxMaking is how many logins are made at one outside system at a time. Who waits has no lease yet.
	maxMaking = 128
)

// guard stands before one outside system: it is a circuit breaker and bounds what is made at a time.
// While it is open nothing is called there but a probe, so that requests are refused before anything is
// recorded, and those that are under way do not pile up.
type guard struct {
	p      *period
	system system
	making chan struct{} // a slot for each login that is being made

	mu       sync.Mutex
	failures int       // in a row
	openedAt time.Time // zero: closed
	nextTry  time.Time
	err      error
}

func (p *period) guard(s system) *guard {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.guards[s]
	if g == nil {
		g = &guard{p: p, system: s, making: make(chan struct{}, maxMaking)}
		p.guards[s] = g
	}
	return g
}

// unavailable returns an error when the system is not to be called now.
func (g *guard) unavailable() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.openedAt.IsZero() {
		return nil
	}
	return &UnavailableError{
		Connection: g.system.connection, RetryAfter: max(g.nextTry.Sub(g.p.Now()), time.Second),
		Err: fmt.Errorf("it has not answered since %s: %w", g.openedAt.UTC().Format(time.RFC3339), g.err),
	}
}

// enter waits for a slot in which a login may be made; leave must be called.
func (g *guard) enter(ctx context.Context) (leave func(), err error) {
	if err := g.unavailable(); err != nil {
		return nil, err
	}
	leave = func() { <-g.making }
	select {
	case g.making <- struct{}{}:
		return leave, nil
	default:
	}
	timer := time.NewTimer(g.p.Timing.Queue)
	defer timer.Stop()
	select {
	case g.making <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		if g.p.ctx.Err() != nil {
			return nil, ErrNotLeader
		}
		return nil, ctx.Err()
	case <-timer.C:
	}
	return nil, (&fsm.Refusal{Code: CodeConnectionBusy, Message: fmt.Sprintf("connection %q is busy: %d logins are being made and the queue has not moved for %s", g.system.connection, maxMaking, fsm.FormatTTL(g.p.Timing.Queue))}).
		With("retry_after", "2")
}

// report tells how a call went.
func (g *guard) report(err error) {
	if g.p.ctx.Err() != nil || busy(err) {
		return // cut off by us, or told nothing
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil || !silent(err) {
		g.failures = 0
		return
	}
	g.failures++
	if g.failures < breakAfter || !g.openedAt.IsZero() {
		return
	}
	g.openedAt, g.err = g.p.Now(), classify(err)
	g.nextTry = g.openedAt.Add(g.p.Timing.RetryMin)
	g.p.log.Warn("an outside system is unavailable: it is left alone until it answers", "connection", g.system.connection, "error", g.err)
	g.p.goes(g.probe)
}

// probe asks until the system answers, whatever it says, and then lets calls through again.
func (g *guard) probe() {
	pause := g.p.newPause()
	pause.MaxInterval = min(g.p.Timing.RetryMax, 15*time.Second)
	for {
		d := g.p.jittered(pause.NextBackOff())
		g.mu.Lock()
		g.nextTry = g.p.Now().Add(d)
		g.mu.Unlock()
		if !g.p.sleep(d) {
			return
		}
		if until := g.p.pausedUntil(g.system.connection); !until.IsZero() {
			continue
		}
		err := g.check()
		if err == nil || !silent(err) {
			break
		}
		if g.p.ctx.Err() != nil {
			return
		}
		g.mu.Lock()
		g.err = classify(err)
		g.mu.Unlock()
		g.p.revoker(g.system).recordWaiting(err)
	}
	g.mu.Lock()
	since := g.openedAt
	g.failures, g.openedAt, g.err, g.nextTry = 0, time.Time{}, nil, time.Time{}
	g.mu.Unlock()
	g.p.log.Info("an outside system answers again", "connection", g.system.connection, "after", g.p.Now().Sub(since).Round(time.Millisecond).String())
	g.p.revoker(g.system).resume()
}

// silent reports whether an error means that the system did not answer. Any answer is a sign of life.
func silent(err error) bool {
	pe := classify(err)
	return !pe.Blocked && (pe.Kind == providers.KindUnavailable || pe.Kind == providers.KindUnknown)
}

// busy reports whether an error tells nothing about the system, since the call was waiting for its turn
// while others got theirs.
func busy(err error) bool { return err != nil && classify(err).Busy }

func (g *guard) check() error {
	backend, release, err := g.p.backends.use(g.system)
	if err != nil {
		return nil //nolint:nilerr // nothing that waiting would mend: who calls next is told
	}
	defer release()
	ctx, cancel := context.WithTimeout(g.p.ctx, checkTimeout)
	defer cancel()
	_, err = backend.Check(ctx)
	return err
}

// blocked reports that the system is not to be called, and until when at least.
func (g *guard) blocked() (until time.Time, blocked bool) {
	if until := g.p.pausedUntil(g.system.connection); !until.IsZero() {
		return until, true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.nextTry, !g.openedAt.IsZero()
}

// pausedUntil returns the end of a connection's pause; zero when it is not paused.
func (p *period) pausedUntil(name fsm.ConnectionName) time.Time {
	c, ok, err := recall(p.Broker, name, func(v *fsm.View) (fsm.Connection, bool) { return v.Connection(name) })
	if err != nil || !ok || !c.Paused(p.now()) {
		return time.Time{}
	}
	return c.PausedUntilAt.Time()
}
