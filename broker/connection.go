package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"broker/fsm"
	"broker/providers"
)

// checkTimeout bounds how long a check of an outside system may take.
const checkTimeout = 10 * time.Second

// CheckResult is what a check of a connection found.
type CheckResult struct {
	SystemID string
	Warnings []string
}

// CreateConnection makes a connection, after the outside system was asked whether it works, and
// returns warnings too. The root credential is sealed before it goes into the log.
func (b *Broker) CreateConnection(ctx context.Context, req Request, spec ConnectionSpec) (fsm.Connection, []string, error) {
	var none fsm.Connection
	p, ctx, leave, err := b.enter(ctx)
	if err != nil {
		return none, nil, err
	}
	defer leave()
	kind, ok := p.Providers.Get(spec.Provider)
	if !ok {
		return none, nil, p.unknownProvider(spec.Provider)
	}
	var ps problems
	ps.name("name", string(spec.Name))
	ps.text("description", spec.Description, maxDescription)
	ps.patterns("environments", spec.Environments)
	ps.sweep("sweep", spec.Sweep)
	settings, wrong := kind.Describe().ValidateConnection(spec.Settings)
	if err := join(ps, within("settings.", wrong)); err != nil {
		return none, nil, err
	}
	if settings, err = complete(kind, settings); err != nil {
		return none, nil, err
	}
	body := &fsm.CreateConnection{Name: spec.Name, Provider: spec.Provider, Description: spec.Description, Environments: spec.Environments, Sweep: spec.Sweep}
	if body.Settings, body.Sealed, err = p.sealSettings(kind, spec.Name, settings); err != nil {
		return none, nil, err
	}
	if _, result, err := try[fsm.Connection](p, req, body); err != nil || result.Replayed {
		return p.createdConnection(result, err)
	}
	warnings := providers.Warnings(kind, settings)
	if spec.SkipCheck {
		warnings = append(warnings, "the connection was not checked: run a check before the first lease")
	} else if body.Identity, err = p.checkSettings(ctx, spec.Name, spec.Provider, settings, ""); err != nil {
		return none, nil, err
	}
	// Anew: a check takes its time, and the sealing key may have been exchanged meanwhile.
	if body.Settings, body.Sealed, err = p.sealSettings(kind, spec.Name, settings); err != nil {
		return none, nil, err
	}
	if len(spec.Environments) == 0 {
		warnings = append(warnings, "no environment may use the connection yet: name some in environments")
	}
	c, _, err := propose[fsm.Connection](ctx, p, req, body)
	return c, warnings, err
}

func (p *period) createdConnection(result *fsm.Result, err error) (fsm.Connection, []string, error) {
	if err != nil {
		return fsm.Connection{}, nil, err
	}
	return result.Value.(fsm.Connection), nil, nil
}

// UpdateConnection changes a connection. Changed settings are checked as for a new one.
func (b *Broker) UpdateConnection(ctx context.Context, req Request, c ConnectionChange) (fsm.Connection, []string, error) {
	var none fsm.Connection
	p, ctx, leave, err := b.enter(ctx)
	if err != nil {
		return none, nil, err
	}
	defer leave()
	var ps problems
	if c.Description != nil {
		ps.text("description", *c.Description, maxDescription)
	}
	if c.Environments != nil {
		ps.patterns("environments", *c.Environments)
	}
	if c.Sweep != nil {
		ps.sweep("sweep", *c.Sweep)
	}
	if err := ps.err(); err != nil {
		return none, nil, err
	}
	for {
		body := &fsm.UpdateConnection{Name: c.Name, Description: c.Description, Environments: c.Environments, Sweep: c.Sweep, IfVersion: c.IfVersion}
		var warnings []string
		if len(c.Settings) > 0 {
			if body.System, warnings, err = p.updateSystem(ctx, c, &body.IfVersion); err != nil {
				return none, nil, err
			}
		}
		updated, _, err := propose[fsm.Connection](ctx, p, req, body)
		if c.IfVersion == 0 && isRefusal(err, fsm.CodeVersionMismatch) && ctx.Err() == nil {
			continue // somebody else changed it meanwhile: merge over what it is now
		}
		return updated, warnings, err
	}
}

// updateSystem merges changed settings over the present ones and checks the result. It sets the
// version that the result was worked out from, unless the caller named one.
func (p *period) updateSystem(ctx context.Context, c ConnectionChange, version *uint64) (*fsm.SystemUpdate, []string, error) {
	record, kind, err := p.currentSystem(c.Name)
	if err != nil {
		return nil, nil, err
	}
	*version = orElse(*version, record.connectionVersion)
	// What the ledger refuses whatever the settings are is refused before anything outside is asked.
	if _, _, err := try[fsm.Connection](p, p.self(), &fsm.UpdateConnection{Name: c.Name, System: &fsm.SystemUpdate{
		Number: record.Number, Identity: record.Identity, Settings: record.Settings, Sealed: record.Sealed,
	}}); err != nil {
		return nil, nil, err
	}
	before, err := p.settings(record.System)
	if err != nil {
		return nil, nil, err
	}
	merged := merge(kind.Describe().Underived(before, c.Settings), c.Settings)
	settings, wrong := kind.Describe().ValidateConnection(merged)
	if err := within("settings.", wrong); err != nil {
		return nil, nil, err
	}
	if settings, err = complete(kind, settings); err != nil {
		return nil, nil, err
	}
	update := &fsm.SystemUpdate{Number: record.Number, New: c.System == Replaced, Identity: record.Identity}
	if c.System == Replaced {
		update.Identity = "" // until a check has told which system it is
	}
	switch {
	case c.System != "" && c.System != Moved && c.System != Replaced:
		return nil, nil, invalid("system", "%q is neither %q nor %q", c.System, Moved, Replaced)
	case c.System == "" && !kind.Describe().SameLocation(before, settings):
		return nil, nil, &fsm.Refusal{Code: CodeSystemChangeNeeded, Field: "system", Message: fmt.Sprintf("these settings point connection %q elsewhere: say whether the same system %q there (its leases follow) or it was %q by another (its leases stay with the old one)", c.Name, Moved, Replaced)}
	}
	if err := kept(kind, before, settings, c.Settings); err != nil {
		return nil, nil, err
	}
	warnings := providers.Warnings(kind, settings)
	if c.SkipCheck {
		update.Settings, update.Sealed, err = p.sealSettings(kind, c.Name, settings)
		return update, append(warnings, "the connection was not checked: run a check before the next lease"), err
	}
	identity, err := p.checkSettings(ctx, c.Name, record.Provider, settings, update.Identity)
	if err != nil {
		return nil, nil, err
	}
	if c.System != Replaced && record.Identity != "" && identity != record.Identity {
		return nil, nil, &fsm.Refusal{Code: CodeSystemChangeNeeded, Field: "system", Message: fmt.Sprintf("these settings point connection %q to another system: leases that exist would never be removed from the old one: say %q", c.Name, Replaced)}
	}
	update.Identity = identity
	// Not before the check, which takes its time: the sealing key may be exchanged meanwhile.
	update.Settings, update.Sealed, err = p.sealSettings(kind, c.Name, settings)
	return update, warnings, err
}

// complete has the provider fill in what it makes itself.
func complete(kind providers.Provider, settings providers.Settings) (providers.Settings, error) {
	completed, err := providers.Complete(kind, settings)
	var wrong providers.FieldError
	if errors.As(err, &wrong) {
		return nil, within("settings.", []providers.FieldError{wrong})
	}
	return completed, err
}

// kept refuses to send sealed fields to a place that whoever changes the connection has chosen: a server there need only
// ask for the password in clear. Nobody who may change a connection is shown these fields, so they are to be given again.
func kept(kind providers.Provider, before, settings providers.Settings, given map[string]any) error {
	if kind.Describe().SameLocation(before, settings) {
		return nil
	}
	var ps problems
	_, secret := kind.Describe().SplitSecrets(before)
	for _, name := range slices.Sorted(maps.Keys(secret)) {
		if _, anew := given[name]; !anew {
			ps.add("settings."+name, "these settings point the connection elsewhere: give this field again, what is kept is not sent there")
		}
	}
	return ps.err()
}

// DeleteConnection removes a connection that nothing uses.
func (b *Broker) DeleteConnection(ctx context.Context, req Request, name fsm.ConnectionName, ifVersion uint64) error {
	_, err := change[fsm.Connection](ctx, b, req, nil, &fsm.DeleteConnection{Name: name, IfVersion: ifVersion})
	return err
}

// PauseConnection stops every call of a connection's outside system until an instant, or lets it be
// called again. Ends of leases are recorded meanwhile and carried out afterwards.
func (b *Broker) PauseConnection(ctx context.Context, req Request, spec PauseSpec) (fsm.Connection, error) {
	var ps problems
	if !spec.Until.IsZero() {
		ps.reason("reason", spec.Reason)
	}
	c, err := change[fsm.Connection](ctx, b, req, ps, &fsm.PauseConnection{Name: spec.Name, UntilAt: fsm.At(spec.Until), Reason: spec.Reason})
	if p := b.period.Load(); err == nil && p != nil {
		p.pokeRevokers(spec.Name)
	}
	return c, err
}

// CheckConnection asks the outside system whether the connection works. It changes nothing there.
func (b *Broker) CheckConnection(ctx context.Context, _ Request, name fsm.ConnectionName) (CheckResult, error) {
	p, ctx, leave, err := b.enter(ctx)
	if err != nil {
		return CheckResult{}, err
	}
	defer leave()
	record, kind, err := p.currentSystem(name)
	if err != nil {
		return CheckResult{}, err
	}
	settings, err := p.settings(record.System)
	if err != nil {
		return CheckResult{}, err
	}
	id, err := p.checkSettings(ctx, name, record.Provider, settings, record.Identity)
	if err != nil {
		return CheckResult{}, err
	}
	result := CheckResult{SystemID: id, Warnings: providers.Warnings(kind, settings)}
	if record.Identity != "" && id != record.Identity {
		result.Warnings = append(result.Warnings, fmt.Sprintf("this is another system than the connection was made for: %s, not %s", id, record.Identity))
	}
	return result, nil
}

// checkSettings opens a backend for the settings and has it check them. identity is the system that is meant, as a
// check named it before, or "": some systems can prove that they took another's place.
func (p *period) checkSettings(ctx context.Context, name fsm.ConnectionName, provider string, settings providers.Settings, identity string) (string, error) {
	backend, err := p.openWith(provider, name, settings, providers.SystemID(identity))
	if err != nil {
		return "", &fsm.Refusal{Code: CodeConnectionCheckFailed, Message: err.Error()}
	}
	defer func() {
		if err := backend.Close(); err != nil {
			p.log.Warn("closing a checked backend failed", "connection", name, "error", err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	id, err := backend.Check(ctx)
	if err == nil {
		return string(id), nil
	}
	pe := classify(err)
	if errors.Is(err, providers.ErrAddressRefused) {
		// Whatever the provider makes of it: trying again is of no use.
		pe = &providers.Error{Kind: providers.KindRejected, Err: pe.Err, Hint: "The operator's lists of networks (allow_networks, deny_networks of brokerd) do not let the broker connect there."}
	}
	if pe.Kind == providers.KindRejected || pe.Kind == providers.KindUnsupported {
		return "", withHint(&fsm.Refusal{Code: CodeConnectionCheckFailed, Message: fmt.Sprintf("connection %q does not work: %s", name, pe)}, pe)
	}
	return "", &UnavailableError{Connection: name, RetryAfter: 5 * time.Second, Err: pe}
}

// currentSystem is what a connection points at, with the version of the connection that says so.
type currentSystem struct {
	fsm.System
	connectionVersion uint64
}

// currentSystem returns what a connection points at now.
func (p *period) currentSystem(name fsm.ConnectionName) (currentSystem, providers.Provider, error) {
	var record currentSystem
	var found bool
	err := p.view(func(v *fsm.View) {
		if c, ok := v.Connection(name); ok {
			record.connectionVersion = c.Version
			record.System, found = v.System(name, c.System)
		}
	})
	if err != nil {
		return record, nil, err
	}
	if !found {
		return record, nil, notFoundConnection(name)
	}
	kind, ok := p.Providers.Get(record.Provider)
	if !ok {
		return record, nil, p.unknownProvider(record.Provider)
	}
	return record, kind, nil
}

func notFoundConnection(name fsm.ConnectionName) *fsm.Refusal {
	return &fsm.Refusal{Code: fsm.CodeNotFound, Field: "connection", Message: fmt.Sprintf("there is no connection %q", name)}
}

func (p *period) sealSettings(kind providers.Provider, name fsm.ConnectionName, settings providers.Settings) (public, sealed []byte, err error) {
	open, secret := kind.Describe().SplitSecrets(settings)
	if public, err = encodeFields(open); err != nil {
		return nil, nil, err
	}
	data, err := encodeFields(secret)
	if err != nil {
		return nil, nil, err
	}
	sealed, err = p.Keyring.Seal(data, fsm.ConnectionSeal(name))
	return public, sealed, err
}

func (p *period) unknownProvider(name string) error {
	return &fsm.Refusal{Code: CodeUnknownProvider, Field: "provider", Message: fmt.Sprintf("there is no provider %q: there is %s", name, strings.Join(p.Providers.Names(), ", "))}
}

// merge lays changed values over the present ones; nil removes one.
func merge(before map[string]any, changed map[string]any) map[string]any {
	merged := maps.Clone(before)
	if merged == nil {
		merged = map[string]any{}
	}
	for k, v := range changed {
		if v == nil {
			delete(merged, k)
		} else {
			merged[k] = v
		}
	}
	return merged
}

// join makes one error of a request's own problems and those of its fields.
func join(ps problems, err error) error {
	var more *InvalidError
	if errors.As(err, &more) {
		ps = append(ps, more.Problems...)
	}
	return ps.err()
}
