package broker

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"broker/fsm"
	"broker/providers"
)

// SweepReport is what one sweep of an outside system found.
type SweepReport struct {
	Connection fsm.ConnectionName
	System     uint64
	Current    bool // the connection points at this system now
	Mode       fsm.SweepMode
	Skipped    string       // why the system was not listed; empty: it was
	Err        error        // listing failed; redacted
	Listed     uint64       // logins with this cluster's prefix
	Orphans    []fsm.Orphan // logins that no live lease knows
	Adopted    []fsm.Lease  // the records under which orphans are removed from now on
	Missing    []fsm.LeaseID
}

// sweepTimeout bounds one listing.
const sweepTimeout = 10 * time.Minute

// SweepNow sweeps a connection's outside systems, or those of all connections when name is empty, and
// reports on each. A listing that fails is part of the report. Errors: *fsm.Refusal, ErrNotLeader.
func (b *Broker) SweepNow(ctx context.Context, _ Request, name fsm.ConnectionName) ([]SweepReport, error) {
	p, _, leave, err := b.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	list, err := p.systems(name)
	if err != nil {
		return nil, err
	}
	wait, stop := p.waiting(ctx)
	defer stop()
	reports := make([]SweepReport, len(list))
	var all sync.WaitGroup
	for i, s := range list {
		all.Go(func() { reports[i] = p.sweep(wait, s) })
	}
	all.Wait()
	if p.ctx.Err() != nil {
		return nil, ErrNotLeader
	}
	return reports, nil
}

// runSweeps sweeps every outside system from time to time, one after another. A cluster that was restored or
// recovered begins with those that were not listed since.
func (p *period) runSweeps() {
	if p.reborn {
		p.sweepEach(func(s knownSystem) (never bool) {
			err := p.view(func(v *fsm.View) { _, listed := v.Sweep(s.Connection, s.Number); never = !listed })
			return err == nil && never
		})
	}
	for p.sleep(p.jittered(p.Timing.Sweep)) {
		p.sweepEach(func(knownSystem) bool { return true })
	}
}

// sweepEach sweeps those of all outside systems that are wanted.
func (p *period) sweepEach(wanted func(knownSystem) bool) {
	list, err := p.systems("")
	if err != nil {
		p.log.Error("looking for systems to sweep failed", "error", err)
		return
	}
	for _, s := range list {
		if !wanted(s) {
			continue
		}
		r := p.sweep(p.ctx, s)
		switch {
		case p.ctx.Err() != nil:
			return
		case r.Err != nil:
			p.log.Warn("sweeping failed", "connection", s.Connection, "error", r.Err)
		case len(r.Orphans)+len(r.Adopted)+len(r.Missing) > 0:
			p.log.Warn("a sweep found differences", "connection", s.Connection, "orphans", len(r.Orphans), "adopted", len(r.Adopted), "missing", len(r.Missing))
		}
	}
}

// sweep compares the logins of one outside system with the ledger. The order is what makes it safe:
// the system is listed first, and what was listed is then judged by a command, at a place in the log
// that comes after every PrepareLease that could have made it.
func (p *period) sweep(ctx context.Context, s knownSystem) SweepReport {
	r := SweepReport{Connection: s.Connection, System: s.Number, Current: s.current, Mode: s.connection.SweepMode()}
	guard := p.guard(system{s.Connection, s.Number})
	until := p.pausedUntil(s.Connection)
	switch {
	case r.Mode == fsm.SweepOff:
		r.Skipped = "sweeping is off"
	case !until.IsZero():
		r.Skipped = "the connection is paused until " + until.UTC().Format(time.RFC3339)
	default:
		r.Err = guard.unavailable()
	}
	if r.Skipped != "" || r.Err != nil {
		return r
	}
	err := p.compare(ctx, s, &r)
	if err != nil && classify(err).Kind == providers.KindUnsupported {
		r.Skipped, err = "provider "+s.Provider+" cannot list its logins", nil
	}
	r.Err = err
	return r
}

func (p *period) compare(ctx context.Context, s knownSystem, r *SweepReport) error {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	began, err := p.clock()
	if err != nil {
		return err
	}
	active, err := p.activeOf(s)
	if err != nil {
		return err
	}
	backend, release, err := p.backends.use(system{s.Connection, s.Number})
	if err != nil {
		return err
	}
	defer release()
	var page []fsm.FoundLogin
	for found, err := range backend.List(ctx, providers.Prefix(p.Prefix, providers.Cluster4(p.clusterID))) {
		if err != nil {
			return err
		}
		r.Listed++
		delete(active, hashOf(string(found.Name)))
		if page = append(page, fsm.FoundLogin{Username: string(found.Name), Ours: found.Ours}); len(page) == pageSize {
			if err := p.recordSweep(ctx, s, &fsm.RecordSweep{BeganAt: began, Unknown: page}); err != nil {
				return err
			}
			page = nil
		}
	}
	return p.concludeSweep(ctx, s, r, began, page, active)
}

// concludeSweep records the rest of a listing, and what is missing, and adopts what may be.
func (p *period) concludeSweep(ctx context.Context, s knownSystem, r *SweepReport, began fsm.Instant, page []fsm.FoundLogin, absent map[uint64]fsm.LeaseID) error {
	missing := make([]fsm.LeaseID, 0, len(absent))
	for _, id := range absent {
		missing = append(missing, id)
	}
	for ids := range pages(missing) {
		if err := p.recordSweep(ctx, s, &fsm.RecordSweep{BeganAt: began, Missing: ids}); err != nil {
			return err
		}
	}
	var present []fsm.LeaseID
	err := p.view(func(v *fsm.View) {
		for _, id := range v.MissingLeases(s.Connection, s.Number) {
			if l, ok := v.Lease(id); ok && absent[hashOf(l.Username)] != id {
				present = append(present, id)
			}
		}
	})
	if err != nil {
		return err
	}
	for ids := range pages(present) {
		if err := p.recordSweep(ctx, s, &fsm.RecordSweep{BeganAt: began, Present: ids}); err != nil {
			return err
		}
	}
	if err := p.recordSweep(ctx, s, &fsm.RecordSweep{BeganAt: began, Unknown: page, Complete: true, Listed: r.Listed, Quarantine: p.Timing.Quarantine}); err != nil {
		return err
	}
	if p.restored == nil {
		if r.Adopted, err = p.adoptOrphans(ctx, s); err != nil {
			return err
		}
	}
	return p.view(func(v *fsm.View) {
		r.Orphans, r.Missing = v.Orphans(s.Connection, s.Number), v.MissingLeases(s.Connection, s.Number)
	})
}

// recordSweep proposes what a listing showed. Logins that the leader knows a live lease of are left
// out; the others are judged when the command is applied.
func (p *period) recordSweep(ctx context.Context, s knownSystem, body *fsm.RecordSweep) error {
	body.Connection, body.System = s.Connection, s.Number
	if err := p.view(func(v *fsm.View) { body.Unknown = v.UnknownLogins(body.Unknown) }); err != nil {
		return err
	}
	if len(body.Unknown)+len(body.Missing)+len(body.Present) == 0 && !body.Complete {
		return nil
	}
	_, _, err := propose[fsm.Sweep](ctx, p, p.self(), body)
	return err
}

// adoptOrphans makes records for the orphans that were seen twice, and has them removed.
func (p *period) adoptOrphans(ctx context.Context, s knownSystem) ([]fsm.Lease, error) {
	var known []fsm.Orphan
	if err := p.view(func(v *fsm.View) { known = v.Orphans(s.Connection, s.Number) }); err != nil {
		return nil, err
	}
	var adopted []fsm.Lease
	for page := range pages(known) {
		body := &fsm.AdoptOrphans{Connection: s.Connection, System: s.Number, Quarantine: p.Timing.Quarantine}
		for _, o := range page {
			if o.Ours && !o.Kept && o.LastSeenAt.Sub(o.FirstSeenAt) >= p.Timing.Quarantine && o.LastSeenAt > o.FirstSeenAt && s.connection.SweepMode() == fsm.SweepRemove {
				id, err := p.newID()
				if err != nil {
					return adopted, err
				}
				body.Orphans = append(body.Orphans, fsm.Adoption{ID: fsm.LeaseID(id), Username: o.Username})
			}
		}
		if len(body.Orphans) == 0 {
			continue
		}
		list, _, err := propose[[]fsm.Lease](ctx, p, p.self(), body)
		if err != nil {
			return adopted, err
		}
		for _, l := range list {
			p.log.Warn("a login without a lease is being removed", "login", l.Username, "connection", l.Connection, "lease", l.ID)
		}
		p.drive(list...)
		adopted = append(adopted, list...)
	}
	return adopted, nil
}

// clock returns the state machine's clock.
func (p *period) clock() (at fsm.Instant, err error) {
	err = p.view(func(v *fsm.View) { at = v.Meta().Clock })
	return at, err
}

// activeOf returns the active leases of a system by the hash of their login's name: a name in full for
// each of a million leases would be a lot of memory, and two that share a hash hide one missing login
// at the worst.
func (p *period) activeOf(s knownSystem) (map[uint64]fsm.LeaseID, error) {
	active := map[uint64]fsm.LeaseID{}
	sel := fsm.LeaseSelector{Connection: s.Connection, States: []string{string(fsm.Active)}}
	var after fsm.LeaseID
	for {
		var n int
		err := p.view(func(v *fsm.View) {
			list := v.Leases(sel, fsm.LeasePage{After: after, Limit: pageSize, Order: fsm.OldestFirst})
			for _, l := range list {
				if after = l.ID; l.System == s.Number {
					active[hashOf(l.Username)] = l.ID
				}
			}
			n = len(list)
		})
		if err != nil {
			return nil, fmt.Errorf("reading the active leases of connection %q: %w", s.Connection, err)
		}
		if n < pageSize {
			return active, nil
		}
	}
}

func hashOf(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name)) //nolint:errcheck // never fails
	return h.Sum64()
}
