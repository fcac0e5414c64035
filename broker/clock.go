package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"broker/broker/wheel"
	"broker/fsm"
)

// Clocks asks the nodes for their time. Package cluster provides it.
type Clocks interface {
	// AskClocks asks every voter for its time, now, and returns by node what the clocks of those that
	// answered say at the moment of the return, this node's included. count has the others too.
	AskClocks(ctx context.Context) (count int, clocks map[string]time.Time)
}

// errClockRepaired ends a period whose timers were set by a clock that was ahead.
var errClockRepaired = errors.New("the ledger's clock was set back: beginning anew")

// clockWatch sees that this machine's wall clock is set: it then moves by something else than time does.
type clockWatch struct {
	mu   sync.Mutex
	wall time.Time
	at   time.Time // with a monotonic reading
}

// stepped returns by how much the wall clock was set since the watch was reset.
func (w *clockWatch) stepped(wall time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at.IsZero() {
		return 0
	}
	return wall.Sub(w.wall) - time.Since(w.at)
}

func (w *clockWatch) reset(wall time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wall, w.at = wall, time.Now()
}

// runClock keeps the ledger's clock from falling behind while nothing else is proposed: every step that
// it would have to make later would need the other nodes' clocks.
func (p *period) runClock() {
	warned := false
	for {
		now := p.now()
		clock, err := p.clock()
		switch {
		case err != nil:
			p.log.Error("reading the ledger's clock failed", "error", err)
		case now.Sub(clock) >= p.Timing.Clock/2:
			if err := p.advanceClock(p.ctx); err != nil && p.ctx.Err() == nil {
				p.log.Warn("advancing the ledger's clock failed; trying again", "error", err)
			}
		case clock.Sub(now) > fsm.MaxClockStep && !warned:
			warned = true
			p.log.Error("the ledger's clock is ahead of this node's: leases live too long until it is repaired", "ledger", clock.String(), "node", now.String())
		}
		if p.watch.stepped(p.wall()).Abs() <= fsm.MaxClockStep {
			p.watch.reset(p.wall()) // so that slow corrections do not add up
		}
		if !p.sleep(p.Timing.Clock) {
			return
		}
	}
}

// clockHolds reports whether the wall clock can be gone by. When it was set by much the other nodes are
// asked first, and the wheel, which went by the old time, is filled anew.
func (p *period) clockHolds() bool {
	if p.watch.stepped(p.wall()).Abs() <= fsm.MaxClockStep {
		return true
	}
	err := p.advanceClock(p.ctx)
	if err == nil {
		err = p.refillWheel()
	}
	if err != nil && p.ctx.Err() == nil {
		p.log.Warn("this machine's clock was set, and following it failed; trying again", "error", err)
	}
	return err == nil
}

// refillWheel begins a new wheel at the present time.
func (p *period) refillWheel() error {
	p.mu.Lock()
	p.wheel = wheel.New[fsm.LeaseID](p.Timing.Tick, p.wall())
	p.horizonAt = 0
	p.mu.Unlock()
	return p.fillWheel()
}

// advanceClock moves the ledger's clock to this node's. A step that is far needs the clocks of most voters;
// when they answer and do not agree, this node's clock is the wrong one and its period ends.
func (p *period) advanceClock(ctx context.Context) error {
	p.advancing.Lock()
	defer p.advancing.Unlock()
	clock, err := p.clock()
	if err != nil {
		return err
	}
	stepped := p.watch.stepped(p.wall())
	if stepped.Abs() <= fsm.MaxClockStep {
		stepped = 0
	}
	body := &fsm.AdvanceClock{To: p.now(), Stepped: stepped}
	if far := body.To > clock.Add(fsm.MaxClockStep); far || stepped != 0 {
		body.Voters, body.Readings, body.To = p.readClocks(ctx)
		names, most := fsm.Reached(body.To, body.Voters, body.Readings)
		switch {
		case far && !most && len(body.Readings) > body.Voters/2:
			err := fmt.Errorf("this node's clock says %s, which the clocks of most nodes have not come to (of %d only %v)", body.To, body.Voters, names)
			p.end(err)
			return fmt.Errorf("%w: %w", ErrNotLeader, err)
		case far && !most:
			return &fsm.Refusal{Code: fsm.CodeClockStepRefused, Message: fmt.Sprintf(
				"the ledger's clock says %s, this node's %s: too few nodes answered to confirm that", clock, body.To)}
		}
	}
	step, _, err := proposeOnce[fsm.ClockStep](ctx, p, p.self(), body)
	if err != nil {
		return err
	}
	if stepped != 0 {
		p.log.Warn("this machine's clock was set", "by", stepped.Round(time.Millisecond))
		p.watch.reset(p.wall())
	}
	if step.To > step.From.Add(fsm.MaxClockStep) {
		p.log.Warn("the ledger's clock moved far at once", "from", step.From.String(), "to", step.To.String())
	}
	return nil
}

// readClocks asks the voters for their time, and tells this node's. Without anybody to ask, a node's
// own clock is all there is.
func (p *period) readClocks(ctx context.Context) (voters int, readings []fsm.ClockReading, now fsm.Instant) {
	if p.Clocks == nil {
		now = p.now()
		return 1, []fsm.ClockReading{{Node: p.NodeID, At: now}}, now
	}
	voters, clocks := p.Clocks.AskClocks(ctx)
	now = p.now()
	for _, node := range slices.Sorted(maps.Keys(clocks)) {
		readings = append(readings, fsm.ClockReading{Node: node, At: fsm.At(clocks[node])})
	}
	return voters, readings, now
}

// RepairClock sets the ledger's clock back to the time, when it is ahead; the leases and tokens made
// meanwhile move with it. The leader then begins anew: every timer it holds was set by the wrong clock.
// Errors: *fsm.Refusal, ErrNotLeader, ErrOutcomeUnknown.
func (b *Broker) RepairClock(ctx context.Context, req Request, reason string) (fsm.ClockRepair, error) {
	p, work, leave, err := b.enter(ctx)
	if err != nil {
		return fsm.ClockRepair{}, err
	}
	defer leave()
	req.Key = nil // setting it back twice is setting it back once
	body := &fsm.RepairClock{Reason: reason}
	body.Voters, body.Readings, body.To = p.readClocks(work)
	done, _, err := proposeOnce[fsm.ClockRepair](work, p, req, body)
	if !req.DryRun && (err == nil && done.From != done.To || errors.Is(err, ErrOutcomeUnknown)) {
		p.log.WarnContext(work, "the ledger's clock was set back", "from", done.From.String(), "to", done.To.String(), "leases", done.Leases, "error", err)
		p.end(errClockRepaired)
	}
	return done, err
}

// end ends the period for a reason of the leader's own.
func (p *period) end(why error) {
	select {
	case p.over <- why:
	default: // it ends for another
	}
}
