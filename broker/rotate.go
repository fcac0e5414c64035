package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"broker/fsm"
	"broker/providers"
)

// rotationsKey names the running rotations among what is remembered of the configuration.
type rotationsKey struct{}

// runRotations carries on the rotations that are not at their end, whoever began them. One whose outside system hangs
// holds up no other.
func (p *period) runRotations() {
	tick := time.NewTicker(operationsEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		running, _, err := recall(p.Broker, rotationsKey{}, func(v *fsm.View) ([]fsm.Rotation, bool) { return v.RunningRotations(), true })
		if err != nil {
			p.log.Error("looking for rotations failed", "error", err)
		}
		for _, r := range running {
			// What an earlier leader put off is tried at once.
			if !first && r.NextTryAt > p.now() || !p.pausedUntil(r.Connection).IsZero() {
				continue
			}
			if done, _ := p.rotating.tryTake(r.Connection); done != nil {
				p.goes(func() {
					defer done()
					p.carryOn(r.Connection)
				})
			}
		}
		select {
		case <-p.ctx.Done():
			return
		case <-tick.C:
		case <-p.rotating.wake:
		}
	}
}

// carryOn does what is left of a rotation, up to the step that fails.
func (p *period) carryOn(name fsm.ConnectionName) {
	for {
		r, err := p.rotation(name)
		if err != nil || !r.Running() || p.ctx.Err() != nil {
			return
		}
		step := p.exchangeRoot
		if r.State == fsm.RotationRetiring {
			step = p.retireRoot
		}
		err = step(r)
		if err != nil && p.ctx.Err() == nil {
			p.rotationFailed(r, err)
		}
		p.rotating.tell()
		if err != nil {
			return
		}
	}
}

// rotation returns a connection's rotation as it certainly is: every step is begun from that. After a command whose
// outcome is unknown the local state may not show yet that the credential at hand is recorded, or is not any more.
func (p *period) rotation(name fsm.ConnectionName) (r fsm.Rotation, err error) {
	if err := p.confirm(p.ctx); err != nil {
		return r, err
	}
	return r, p.peek(func(v *fsm.View) { r, _ = v.Rotation(name) })
}

// rotationFailed records that a step failed and when it is tried again.
func (p *period) rotationFailed(r fsm.Rotation, err error) {
	if isRefusal(err, fsm.CodeRotationNotRunning) {
		return // given up meanwhile
	}
	pause := p.newPause()
	d := pause.NextBackOff()
	for range min(r.Attempts, 20) {
		d = pause.NextBackOff()
	}
	d = p.jittered(d)
	p.log.Warn("exchanging a root credential failed; trying again", "connection", r.Connection, "state", string(r.State), "tries", r.Attempts+1, "error", err)
	body := &fsm.RecordRotationTrouble{Connection: r.Connection, Number: r.Number, Error: withHintText(err), NextTryAt: fsm.At(p.Now().Add(d))}
	if _, _, err := propose[fsm.Rotation](p.ctx, p, p.self(), body); err != nil && p.ctx.Err() == nil {
		p.log.Warn("recording that a rotation failed did not succeed", "connection", r.Connection, "error", err)
	}
}

// withHintText is an error with what a person can do about it.
func withHintText(err error) string {
	if pe := classify(err); pe.Hint != "" {
		return fmt.Sprintf("%s (%s)", err, pe.Hint)
	}
	return err.Error()
}

// root is a rotation with the settings that its connection has at present.
type root struct {
	fsm.Rotation
	record  fsm.System
	kind    providers.Provider
	present providers.Settings
}

func (p *period) root(r fsm.Rotation) (root, error) {
	record, kind, err := p.currentSystem(r.Connection)
	if err != nil {
		return root{}, err
	}
	present, err := p.settings(record.System)
	return root{r, record.System, kind, present}, err
}

// exchangeRoot has a new root credential made good and, when it was tried, recorded as the connection's. Other calls of
// the system wait meanwhile, since nobody knows which credential they would need.
func (p *period) exchangeRoot(rotation fsm.Rotation) error {
	r, err := p.root(rotation)
	if err != nil {
		return err
	}
	plan, err := p.unsealed(rotation)
	if err != nil {
		return err
	}
	letGo := p.backends.hold(system{r.Connection, r.System})
	defer letGo()
	for end := p.Now().Add(p.Timing.Queue); ; {
		err := p.tryExchange(r, plan)
		// As long as others can wait it is worth while to find out at once which credential is good.
		if err == nil || classify(err).NotSent || p.Now().After(end) || !p.sleep(p.Timing.RetryMin) {
			return err
		}
	}
}

func (p *period) tryExchange(r root, plan providers.Settings) error {
	switch now, err := p.rotation(r.Connection); {
	case err != nil:
		return err
	case now.Number != r.Number || now.State != fsm.RotationRotating:
		return nil // it is further than this leader knew
	}
	changed, err := p.makeRoot(r, plan)
	if err != nil {
		return p.refusedRoot(r, err)
	}
	after, err := r.after(changed)
	if err != nil {
		return err
	}
	identity, err := p.checkSettings(p.ctx, r.Connection, r.record.Provider, after, r.record.Identity)
	if err != nil {
		return fmt.Errorf("trying the new root credential: %w", err)
	}
	if r.record.Identity != "" && identity != r.record.Identity {
		return fmt.Errorf("the new root credential leads to another system than the connection was made for: %s, not %s", identity, r.record.Identity)
	}
	body := &fsm.CommitRotation{Connection: r.Connection, Number: r.Number}
	if body.Settings, body.Sealed, err = p.sealSettings(r.kind, r.Connection, after); err != nil {
		return err
	}
	_, _, err = propose[fsm.Rotation](p.ctx, p, p.self(), body)
	if err == nil {
		p.log.Info("a connection has a new root credential", "connection", r.Connection)
	}
	return err
}

// rotateTimeout bounds one try to make a new root credential: some systems take their time until they accept it.
const rotateTimeout = 30 * time.Second

// makeRoot calls the provider with a Backend of its own: the one that serves leases is left as it is.
func (p *period) makeRoot(r root, plan providers.Settings) (providers.Settings, error) {
	backend, shut, err := p.openAside(r.record, r.present)
	if err != nil {
		return nil, err
	}
	defer shut()
	ctx, cancel := context.WithTimeout(p.ctx, rotateTimeout)
	defer cancel()
	return providers.Rotate(ctx, backend, plan)
}

// openAside opens a Backend that is used once, with settings that need not be the system's present ones.
func (p *period) openAside(record fsm.System, settings providers.Settings) (_ providers.Backend, shut func(), err error) {
	backend, err := p.openWith(record.Provider, record.Connection, settings, providers.SystemID(record.Identity))
	if err != nil {
		return nil, nil, err
	}
	return backend, func() {
		if err := backend.Close(); err != nil {
			p.log.Warn("closing a backend failed", "connection", record.Connection, "error", err)
		}
	}, nil
}

// after lays the fields that changed over the present settings.
func (r root) after(changed providers.Settings) (providers.Settings, error) {
	after, wrong := r.kind.Describe().ValidateConnection(merge(r.present, changed))
	if len(wrong) > 0 {
		return nil, fmt.Errorf("provider %q returned settings that are not valid: %w: a bug", r.record.Provider, wrong[0])
	}
	if !r.kind.Describe().SameLocation(r.present, after) {
		return nil, fmt.Errorf("provider %q returned settings that point elsewhere: a bug", r.record.Provider)
	}
	return after, nil
}

// refusedRoot gives a rotation up that the outside system refused, once it is certain that the credential before is
// good. Any other failure is tried again.
func (p *period) refusedRoot(r root, failure error) error {
	pe := classify(failure)
	if pe.Kind != providers.KindRejected && pe.Kind != providers.KindUnsupported {
		return failure
	}
	identity, err := p.checkSettings(p.ctx, r.Connection, r.record.Provider, r.present, r.record.Identity)
	if err != nil || r.record.Identity != "" && identity != r.record.Identity {
		return errors.Join(failure, err)
	}
	_, _, err = propose[fsm.Rotation](p.ctx, p, p.self(), &fsm.CancelRotation{Connection: r.Connection, Number: r.Number, Reason: withHintText(failure)})
	return err
}
