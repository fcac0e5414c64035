package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"broker/fsm"
	"broker/providers"
)

// RotateConnection exchanges the root credential of what a connection points at, and waits a few seconds for the
// end of that. A rotation that it returns as running goes on by itself. In a dry run it only asks whether it could be
// done. Errors as for changes of configuration; a *fsm.Refusal with CodeRotationCancelled says that the outside system
// refused and that the credential before is in use as ever.
func (b *Broker) RotateConnection(ctx context.Context, req Request, name fsm.ConnectionName) (fsm.Rotation, error) {
	p, work, leave, err := b.enter(ctx)
	if err != nil {
		return fsm.Rotation{}, err
	}
	defer leave()
	record, kind, err := p.currentSystem(name)
	if err != nil {
		return fsm.Rotation{}, err
	}
	if !kind.Describe().Rotates {
		return fsm.Rotation{}, &fsm.Refusal{Code: CodeRotationUnsupported, Message: fmt.Sprintf("provider %q cannot exchange root credentials: change it at the outside system, then run `brokerctl connection update %s`", record.Provider, name)}
	}
	var before fsm.Rotation
	if err := p.peek(func(v *fsm.View) { before, _ = v.Rotation(name) }); err != nil {
		return before, err
	}
	body := &fsm.BeginRotation{Connection: name, System: record.Number, After: before.Number}
	// Whatever the ledger refuses is refused before anything outside is asked.
	rotation, result, err := try[fsm.Rotation](p, req, body)
	switch {
	case err != nil:
		return rotation, err
	case !result.Replayed:
		if body.Sealed, err = p.planRotation(work, kind.Describe(), record.System, before); err != nil {
			return fsm.Rotation{}, err
		}
		rotation, result, err = propose[fsm.Rotation](work, p, req, body)
		if err != nil || req.DryRun && !result.Replayed {
			return rotation, err
		}
		p.rotating.poke()
	}
	return p.awaitRotation(ctx, rotation)
}

// CancelRotation gives up the exchange of a connection's root credential. When its outcome was unknown, the ledger goes
// on holding what was planned, and the next exchange begins with that. Warnings tell when the credential that the
// connection has is refused.
func (b *Broker) CancelRotation(ctx context.Context, req Request, name fsm.ConnectionName, reason string) (fsm.Rotation, []string, error) {
	var none fsm.Rotation
	var ps problems
	ps.reason("reason", reason)
	if err := ps.err(); err != nil {
		return none, nil, err
	}
	p, work, leave, err := b.enter(ctx)
	if err != nil {
		return none, nil, err
	}
	defer leave()
	// Not between the calls of an attempt: what it has just made good would be known to nobody but the plan.
	done, err := p.rotating.take(work, name)
	if err != nil {
		return none, nil, err
	}
	defer done()
	rotation, _, err := propose[fsm.Rotation](work, p, req, &fsm.CancelRotation{Connection: name, Reason: reason})
	if err != nil || req.DryRun || p.restored != nil {
		return rotation, nil, err
	}
	p.rotating.tell()
	return rotation, p.credentialWarnings(work, rotation), nil
}

// credentialWarnings tells when the outside system refuses the credential that the connection has.
func (p *period) credentialWarnings(ctx context.Context, r fsm.Rotation) []string {
	if !r.Abandoned() {
		return []string{"the credential before was not retired: the outside system may still accept it"}
	}
	backend, release, err := p.backends.use(system{r.Connection, r.System})
	if err != nil {
		return nil
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if _, err := backend.Check(ctx); err != nil {
		return []string{fmt.Sprintf("the connection does not work with the credential that it has: %s. Rotate again: that tries what was planned first", err)}
	}
	return nil
}

// planPlace is what a sealed plan holds besides the provider's fields: those that said which place it was made for.
const planPlace = "broker.place"

// abandonedPlan returns the plan of a rotation that was given up, which the next one covers: nil when there is none, or the
// connection has been moved since. Whoever moved it has chosen the new place, and what may be good at the old one is not
// tried there, as [kept] has it for the credential itself.
func (p *period) abandonedPlan(kind providers.Description, present providers.Settings, record fsm.System, before fsm.Rotation) (providers.Settings, error) {
	if !before.Abandoned() || before.System != record.Number {
		return nil, nil
	}
	plan, place, err := p.openPlan(before)
	if err != nil || place != nil && !kind.SameLocation(place, present) {
		return nil, err
	}
	return plan, nil
}

// placeOf returns the fields of settings that say which place a connection leads to.
func placeOf(kind providers.Description, settings providers.Settings) providers.Settings {
	place := providers.Settings{}
	for _, field := range kind.Connection {
		if value, given := settings[field.Name]; field.Locates && given {
			place[field.Name] = fmt.Sprint(value)
		}
	}
	return place
}

// planRotation asks the outside system whether its root credential can be exchanged, and returns the sealed plan.
func (p *period) planRotation(ctx context.Context, kind providers.Description, record fsm.System, before fsm.Rotation) ([]byte, error) {
	present, err := p.settings(record)
	if err != nil {
		return nil, err
	}
	abandoned, err := p.abandonedPlan(kind, present, record, before)
	if err != nil {
		return nil, err
	}
	s := system{record.Connection, record.Number}
	if err := p.guard(s).unavailable(); err != nil {
		return nil, err
	}
	backend, release, err := p.backends.use(s)
	if err != nil {
		return nil, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if abandoned == nil { // else what the connection has may be refused, and the plan be what mends that
		if _, err = backend.Check(ctx); err != nil {
			return nil, p.rotationRefused(record.Connection, err)
		}
	}
	plan, err := providers.PlanRotation(ctx, backend, abandoned)
	if err != nil {
		return nil, p.rotationRefused(record.Connection, err)
	}
	data, err := encodeFields(merge(plan, providers.Settings{planPlace: placeOf(kind, present)}))
	if err != nil {
		return nil, err
	}
	return p.Keyring.Seal(data, fsm.ConnectionSeal(record.Connection))
}

// rotationRefused says why a rotation was not begun.
func (p *period) rotationRefused(name fsm.ConnectionName, err error) error {
	pe := classify(err)
	if silent(pe) {
		return &UnavailableError{Connection: name, RetryAfter: 5 * time.Second, Err: pe}
	}
	return withHint(&fsm.Refusal{Code: CodeConnectionCheckFailed, Message: fmt.Sprintf("the root credential of connection %q cannot be exchanged, and nothing was changed: %s", name, pe)}, pe)
}

// unsealed opens what the ledger holds for a rotation.
func (p *period) unsealed(r fsm.Rotation) (providers.Settings, error) {
	fields, _, err := p.openPlan(r)
	return fields, err
}

// openPlan is unsealed, with the place that a plan was made for: nil when it does not say.
func (p *period) openPlan(r fsm.Rotation) (fields, place providers.Settings, err error) {
	data, err := p.Keyring.Open(r.Sealed, fsm.ConnectionSeal(r.Connection))
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(data, &fields); err != nil || fields == nil {
		return nil, nil, fmt.Errorf("reading what is held for the rotation of connection %q: it is damaged", r.Connection)
	}
	if where, said := fields[planPlace].(map[string]any); said {
		place = where
	}
	delete(fields, planPlace)
	return fields, place, nil
}

// awaitRotation waits on behalf of a client until a rotation has ended, for a few seconds.
func (p *period) awaitRotation(client context.Context, r fsm.Rotation) (fsm.Rotation, error) {
	wait, stop := p.waiting(client)
	defer stop()
	timer := time.NewTimer(p.Timing.RevokeWait)
	defer timer.Stop()
	for {
		told := p.rotating.changed()
		var now fsm.Rotation
		if err := p.peek(func(v *fsm.View) { now, _ = v.Rotation(r.Connection) }); err != nil {
			return r, err
		}
		if now.Number != r.Number {
			return r, nil // another one has been begun since
		}
		r = now
		if r.State == fsm.RotationCancelled {
			return r, (&fsm.Refusal{Code: CodeRotationCancelled, Message: fmt.Sprintf("the exchange of the root credential of connection %q was given up: %s", r.Connection, r.Reason)}).
				With("rotation", fmt.Sprint(r.Number))
		}
		if !r.Running() {
			return r, nil
		}
		select {
		case <-told:
		case <-timer.C:
			return r, nil
		case <-wait.Done():
			return r, nil // it goes on
		}
	}
}
