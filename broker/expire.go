package broker

import (
	"time"

	"broker/fsm"
)

// reconcileEvery is how often the leader compares what it drives with what the state says. The wheel
// is exact; this finds what an unknown outcome hid from it.
const reconcileEvery = time.Second

// schedule arms the wheel for a lease that was prepared, activated or renewed. One that is due
// beyond the window is left to the index.
func (p *period) schedule(l fsm.Lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := l.DueAt()
	if !ok || at >= p.horizonAt {
		p.wheel.Cancel(l.ID)
		return
	}
	p.wheel.Schedule(l.ID, at.Time())
}

// fillWheel brings the next window of the index into the wheel.
func (p *period) fillWheel() error {
	p.mu.Lock()
	from := fsm.Due{At: p.horizonAt}
	p.horizonAt = p.now().Add(p.Timing.Window)
	until := p.horizonAt
	p.mu.Unlock()
	for {
		var due []fsm.Due
		if err := p.view(func(v *fsm.View) { due = v.DueLeases(from, until, pageSize) }); err != nil {
			return err
		}
		p.mu.Lock()
		for _, d := range due {
			p.wheel.Schedule(d.Lease, d.At.Time())
		}
		p.mu.Unlock()
		if len(due) < pageSize {
			return nil
		}
		from = due[len(due)-1]
	}
}

// runWheel is the expiry clock.
func (p *period) runWheel() {
	tick := time.NewTicker(p.Timing.Tick)
	defer tick.Stop()
	var reconciledAt time.Time
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-tick.C:
		}
		if !p.clockHolds() {
			continue
		}
		now := p.wall()
		var due []fsm.LeaseID
		p.mu.Lock()
		p.wheel.Advance(now, func(id fsm.LeaseID) { due = append(due, id) })
		refill := p.horizonAt.Sub(fsm.At(now)) < p.Timing.Window/2
		p.mu.Unlock()
		p.expire(due)
		if refill {
			if err := p.fillWheel(); err != nil {
				p.log.Error("filling the wheel failed", "error", err)
			}
		}
		if now.Sub(reconciledAt) >= reconcileEvery {
			reconciledAt = now
			p.reconcile()
		}
	}
}

// expire begins the end of those leases whose time has come: active ones that are over, pending ones
// past their create deadline. The state machine decides which; only those it moved are removed.
func (p *period) expire(due []fsm.LeaseID) {
	for len(due) > 0 {
		began := time.Now()
		page := due[:min(p.portion(), len(due))]
		due = due[len(page):]
		var over, late []fsm.LeaseID
		err := p.view(func(v *fsm.View) {
			for _, id := range page {
				switch l, _ := v.Lease(id); l.State {
				case fsm.Active:
					over = append(over, id)
				case fsm.Pending:
					late = append(late, id)
				}
			}
		})
		if err == nil && len(over) > 0 {
			err = p.beginEnds(&fsm.ExpireLeases{IDs: over})
		}
		if err == nil && len(late) > 0 {
			err = p.beginEnds(&fsm.RollbackLeases{IDs: late})
		}
		if err != nil && p.ctx.Err() == nil {
			p.log.Warn("ending leases failed; trying again", "count", len(page), "error", err)
		}
		p.yield(began)
	}
}

func (p *period) beginEnds(body fsm.Body) error {
	moved, _, err := propose[[]fsm.Lease](p.ctx, p, p.self(), body)
	if err == nil {
		p.expiring(moved)
		p.drive(moved...)
	}
	return err
}

// reconcile picks up what nobody drives: leases that are due and were not moved, and, when an
// outcome was unknown, leases that were moved and not handed to a revoker.
func (p *period) reconcile() {
	var missed []fsm.LeaseID
	err := p.view(func(v *fsm.View) {
		for _, d := range v.DueLeases(fsm.Due{}, p.now().Add(-reconcileEvery/2), pageSize) {
			missed = append(missed, d.Lease)
		}
	})
	if err != nil {
		p.log.Error("looking for due leases failed", "error", err)
		return
	}
	p.expire(missed)
	doubt := p.doubt.Swap(false)
	if doubt {
		// A command of unknown outcome may still be on its way into the log. Once this empty one,
		// proposed later, is applied, the other is applied too or never will be.
		if err := p.confirm(p.ctx); err != nil {
			p.doubt.Store(true)
			return
		}
	}
	if !doubt && !p.undriven() {
		return
	}
	if err := p.driveRevoking(); err != nil {
		p.doubt.Store(true)
		p.log.Error("looking for revoking leases failed", "error", err)
	}
}

// undriven reports whether the state has more revoking leases than the revokers know of.
func (p *period) undriven() bool {
	var revoking uint64
	if err := p.peek(func(v *fsm.View) { revoking = v.LeaseCounts()[fsm.Revoking] }); err != nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var driven int
	for _, r := range p.revokers {
		driven += r.size()
	}
	return revoking > uint64(driven)
}

// runPrune forgets what is old enough, from time to time.
func (p *period) runPrune() {
	for p.sleep(p.Timing.Prune) {
		if err := p.backends.forget(); err != nil {
			p.log.Error("looking for systems that are gone failed", "error", err)
		}
		for {
			body := &fsm.Prune{KeyTTL: p.Timing.KeyTTL, HistoryTTL: p.Timing.HistoryTTL, Limit: pageSize}
			would, _, err := try[fsm.Pruned](p, p.self(), body)
			if err != nil || would == (fsm.Pruned{}) {
				break
			}
			done, _, err := propose[fsm.Pruned](p.ctx, p, p.self(), body)
			if err != nil || !done.More(pageSize) {
				break
			}
		}
	}
}
