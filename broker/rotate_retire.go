package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"

	"broker/fsm"
	"broker/providers"
)

// retireRoot has the root credential before refused, and forgets it then.
func (p *period) retireRoot(rotation fsm.Rotation) error {
	r, err := p.root(rotation)
	if err != nil {
		return err
	}
	before, err := p.previous(r)
	if err != nil {
		return err
	}
	s := system{r.Connection, r.System}
	p.backends.drain(s, p.Timing.Call)
	if err := p.lockOut(s, r, before); err != nil {
		return p.revertRoot(r, before, err)
	}
	_, _, err = propose[fsm.Rotation](p.ctx, p, p.self(), &fsm.FinishRotation{Connection: r.Connection, Number: r.Number})
	return err
}

// lockOut has the outside system refuse what it accepted before, and makes sure of it.
func (p *period) lockOut(s system, r root, before providers.Settings) error {
	backend, release, err := p.backends.use(s)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := context.WithTimeout(p.ctx, p.Timing.Call)
	defer cancel()
	changed := providers.Settings{}
	for name, value := range before {
		if !reflect.DeepEqual(value, r.present[name]) {
			changed[name] = value
		}
	}
	if len(changed) == 0 {
		return nil
	}
	if err := providers.Retire(ctx, backend, changed); err != nil {
		return fmt.Errorf("retiring the root credential before: %w", err)
	}
	// Not the provider's word alone: who was to be locked out is.
	aside, shut, err := p.openAside(r.record, before)
	if err != nil {
		return err
	}
	defer shut()
	_, err = aside.Check(ctx)
	switch {
	case err == nil:
		return errors.New("the outside system still accepts the root credential before")
	case classify(err).Kind == providers.KindRejected:
		return nil
	}
	return fmt.Errorf("making sure that the root credential before is refused: %w", err)
}

// revertRoot goes back to the root credential before when that is the good one and the new one is not: somebody undid
// the exchange at the outside system, or restored it.
func (p *period) revertRoot(r root, before providers.Settings, failure error) error {
	accepts := func(settings providers.Settings) (yes, no bool) {
		identity, err := p.checkSettings(p.ctx, r.Connection, r.record.Provider, settings, r.record.Identity)
		return err == nil && (r.record.Identity == "" || identity == r.record.Identity), isRefusal(err, CodeConnectionCheckFailed)
	}
	if r.Attempts < uint64(p.Timing.StuckAfter) {
		return failure // a new key may take its time until every part of the outside system knows it
	}
	if _, refused := accepts(r.present); !refused {
		return failure
	}
	if good, _ := accepts(before); !good {
		return failure
	}
	_, _, err := propose[fsm.Rotation](p.ctx, p, p.self(), &fsm.CancelRotation{
		Connection: r.Connection, Number: r.Number, Revert: true,
		Reason: "the outside system refuses the new credential and accepts the one before: " + withHintText(failure),
	})
	return err
}

// previous returns the settings from before the rotation was committed.
func (p *period) previous(r root) (providers.Settings, error) {
	secret, err := p.unsealed(r.Rotation)
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	if err := json.Unmarshal(r.Settings, &all); err != nil {
		return nil, fmt.Errorf("reading the earlier settings of connection %q: they are damaged", r.Connection)
	}
	maps.Copy(all, secret)
	before, wrong := r.kind.Describe().ValidateConnection(all)
	if len(wrong) > 0 {
		return nil, fmt.Errorf("the earlier settings of connection %q do not fit this version: %w", r.Connection, wrong[0])
	}
	return before, nil
}
