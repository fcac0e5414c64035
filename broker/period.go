package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"broker/broker/wheel"
	"broker/fsm"
)

// period is one period of leadership: everything the leader holds in memory lives and ends with it.
type period struct {
	*Broker
	ctx        context.Context // done when leadership is lost
	term       uint64
	clusterID  string
	restored   *fsm.Restored // set: nothing is changed at outside systems; see restored.go
	reborn     bool          // the cluster was restored or recovered at some time
	log        *slog.Logger
	work       sync.WaitGroup // requests and goroutines of this period
	requests   atomic.Int64   // under way; see yield
	backends   *backends
	operations poker // work for runOperations
	sealing    sealingWork
	rotating   *rotations // of root credentials
	rates      rates
	company    company
	watch      clockWatch
	advancing  sync.Mutex  // held while the ledger's clock is advanced
	over       chan error  // why the period ends by itself
	doubt      atomic.Bool // an outcome was unknown: look for leases nobody drives

	mu        sync.Mutex
	wheel     *wheel.Wheel[fsm.LeaseID]
	horizonAt fsm.Instant // leases due later are not in the wheel yet
	revokers  map[system]*revoker
	guards    map[system]*guard
	renewing  map[fsm.LeaseID]chan struct{} // closed when the renewal under way is done
	ending    map[fsm.LeaseID]chan struct{} // closed when an attempt to revoke has been recorded
}

// system names an outside system: a connection may have had several.
type system struct {
	connection fsm.ConnectionName
	number     uint64
}

// Lead carries out one period of leadership and returns when ctx is done. It is called once the local
// state holds everything committed before. An error before that means that this node cannot lead, or
// must not any more: its clock is wrong.
func (b *Broker) Lead(ctx context.Context, term uint64) error {
	for {
		err := b.lead(ctx, term)
		if !errors.Is(err, errClockRepaired) && !errors.Is(err, errReleased) || ctx.Err() != nil {
			return err
		}
	}
}

func (b *Broker) lead(ctx context.Context, term uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	p := &period{
		Broker: b, ctx: ctx, term: term,
		log:        b.log.With("term", term),
		wheel:      wheel.New[fsm.LeaseID](b.Timing.Tick, b.wall()),
		revokers:   map[system]*revoker{},
		renewing:   map[fsm.LeaseID]chan struct{}{},
		ending:     map[fsm.LeaseID]chan struct{}{},
		guards:     map[system]*guard{},
		rates:      rates{bucket: map[string]*limit{}},
		operations: make(poker, 1),
		sealing:    sealingWork{poke: make(poker, 1)},
		rotating:   newRotations(),
		over:       make(chan error, 1),
		company:    company{most: b.Timing.Company},
	}
	var meta fsm.Meta
	var sealingKeys []fsm.SealingKey
	err := b.view(func(v *fsm.View) { meta, sealingKeys = v.Meta(), v.SealingKeys() })
	if err == nil {
		err = p.checkKeyring(meta.KeyCheck)
	}
	p.clusterID, p.restored, p.reborn = meta.ClusterID, meta.Restored, meta.Reborn()
	if err == nil {
		err = p.follow(sealingKeys)
	}
	if err != nil {
		cancel()
		return err
	}
	p.backends = newBackends(p)
	defer func() {
		// Calls of outside systems are cancelled before anything else; then nothing new begins;
		// then everything that runs is waited for.
		cancel()
		b.gate.Lock()
		b.period.CompareAndSwap(p, nil)
		b.gate.Unlock()
		p.work.Wait()
		p.backends.close()
	}()
	p.watch.reset(b.wall())
	if p.restored == nil {
		if err = p.takeOver(); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("taking over: %w", err)
		}
		p.goes(p.runWheel)
		p.goes(p.runPrune)
		p.goes(p.runOperations)
		p.goes(p.runRotations)
		if p.Sealing != nil {
			p.goes(p.runSealing)
		}
	} else {
		p.log.Warn(p.restored.Refusal().Message)
	}
	p.goes(p.runClock)
	p.goes(p.runSweeps)
	b.period.Store(p)
	p.log.Info("leading")
	select {
	case <-ctx.Done():
		err = nil
	case err = <-p.over:
	}
	p.log.Info("leading no more")
	return err
}

// goes runs f as part of the period.
func (p *period) goes(f func()) {
	p.work.Add(1)
	go func() {
		defer p.work.Done()
		f()
	}()
}

// sleep waits for d and reports false when the period ended first.
func (p *period) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// portion is how many leases one command ends: fewer while requests are under way, which would wait for
// all of it.
func (p *period) portion() int {
	if p.requests.Load() > 0 {
		return pageSize / 5
	}
	return pageSize
}

// yield gives requests that are under way as much time as ending leases has just taken. Late is allowed;
// that everybody waits while very many leases end is not.
func (p *period) yield(began time.Time) {
	if p.requests.Load() > 0 {
		p.sleep(min(time.Since(began), 200*time.Millisecond))
	}
}

// now is the leader's clock, as commands are stamped with it.
func (p *period) now() fsm.Instant { return fsm.At(p.Now()) }

// wall is the clock without its monotonic reading: ends of leases are instants of the wall clock, and
// when that is stepped the wheel must follow it.
func (b *Broker) wall() time.Time { return b.Now().Round(0) }
