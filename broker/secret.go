package broker

import (
	"context"
	"fmt"
	"time"

	"broker/fsm"
	"broker/providers"
)

// The times of a secret that says none.
const (
	defaultTTL = time.Hour
	defaultMax = 24 * time.Hour
)

// CreateSecret makes a secret, after the outside system was asked whether its options would work, and
// returns warnings too.
func (b *Broker) CreateSecret(ctx context.Context, req Request, spec SecretSpec) (fsm.Secret, []string, error) {
	p, ctx, leave, err := b.enter(ctx)
	if err != nil {
		return fsm.Secret{}, nil, err
	}
	defer leave()
	env, short := spec.Name.Split()
	var ps problems
	ps.environment("environment", env)
	ps.name("name", short)
	ps.rate("issue_rate", spec.IssueRate)
	if err := ps.err(); err != nil {
		return fsm.Secret{}, nil, err
	}
	_, kind, err := p.currentSystem(spec.Connection)
	if err != nil {
		return fsm.Secret{}, nil, err
	}
	d := kind.Describe()
	if spec.DefaultTTL == 0 {
		spec.DefaultTTL = min(defaultTTL, orElse(spec.MaxTTL, defaultTTL))
	}
	if spec.MaxTTL == 0 {
		spec.MaxTTL = max(defaultMax, spec.DefaultTTL)
	}
	if spec.Outputs == nil {
		spec.Outputs = defaultOutputs(d)
	}
	spec.Outputs = mask(spec.Outputs, d)
	options, encoded, err := p.checkSecret(kind, spec.Description, spec.Options, spec.DefaultTTL, spec.MaxTTL, spec.Outputs, spec.Labels)
	if err != nil {
		return fsm.Secret{}, nil, err
	}
	body := &fsm.CreateSecret{
		Name: spec.Name, Description: spec.Description, Connection: spec.Connection, Options: encoded,
		DefaultTTL: spec.DefaultTTL, MaxTTL: spec.MaxTTL, Outputs: spec.Outputs, Labels: spec.Labels,
		MaxLeases: spec.MaxLeases, IssueRate: spec.IssueRate, Disabled: spec.Disabled,
	}
	if _, result, err := try[fsm.Secret](p, req, body); err != nil {
		return fsm.Secret{}, nil, err
	} else if result.Replayed {
		return result.Value.(fsm.Secret), nil, nil
	}
	warnings, err := p.checkOptions(ctx, spec.Connection, options)
	if err != nil {
		return fsm.Secret{}, nil, err
	}
	s, _, err := propose[fsm.Secret](ctx, p, req, body)
	return s, warnings, err
}

// UpdateSecret changes a secret. Leases that exist keep the version they were issued from.
func (b *Broker) UpdateSecret(ctx context.Context, req Request, c SecretChange) (fsm.Secret, []string, error) {
	p, ctx, leave, err := b.enter(ctx)
	if err != nil {
		return fsm.Secret{}, nil, err
	}
	defer leave()
	for {
		s, warnings, err := p.updateSecret(ctx, req, c)
		if c.IfVersion == 0 && isRefusal(err, fsm.CodeVersionMismatch) && ctx.Err() == nil {
			continue // somebody else changed it meanwhile: merge over what it is now
		}
		return s, warnings, err
	}
}

func (p *period) updateSecret(ctx context.Context, req Request, c SecretChange) (fsm.Secret, []string, error) {
	pl, err := p.plan(c.Name, "")
	if err != nil {
		return fsm.Secret{}, nil, err
	}
	if c.IssueRate != nil {
		var ps problems
		ps.rate("issue_rate", *c.IssueRate)
		if err := ps.err(); err != nil {
			return fsm.Secret{}, nil, err
		}
	}
	next := pl.secret
	update(&next.Description, c.Description)
	update(&next.DefaultTTL, c.DefaultTTL)
	update(&next.MaxTTL, c.MaxTTL)
	update(&next.Outputs, c.Outputs)
	update(&next.Labels, c.Labels)
	options, encoded, err := p.checkSecret(pl.provider, next.Description, merge(pl.options, c.Options), next.DefaultTTL, next.MaxTTL, next.Outputs, next.Labels)
	if err != nil {
		return fsm.Secret{}, nil, err
	}
	body := &fsm.UpdateSecret{
		Name: c.Name, Description: c.Description, DefaultTTL: c.DefaultTTL, MaxTTL: c.MaxTTL,
		Labels: c.Labels, Disabled: c.Disabled, MaxLeases: c.MaxLeases, IssueRate: c.IssueRate, IfVersion: orElse(c.IfVersion, pl.secret.Version),
	}
	if c.Outputs != nil {
		outputs := mask(*c.Outputs, pl.provider.Describe())
		body.Outputs = &outputs
	}
	var warnings []string
	if c.Options != nil {
		body.Options = encoded
		if warnings, err = p.checkOptions(ctx, pl.connection.Name, options); err != nil {
			return fsm.Secret{}, nil, err
		}
	}
	s, _, err := propose[fsm.Secret](ctx, p, req, body)
	return s, warnings, err
}

// DeleteSecret removes a secret that has no live leases.
func (b *Broker) DeleteSecret(ctx context.Context, req Request, name fsm.SecretName, ifVersion uint64) error {
	_, err := change[fsm.Secret](ctx, b, req, nil, &fsm.DeleteSecret{Name: name, IfVersion: ifVersion})
	return err
}

// checkSecret validates everything of a secret that can be judged without the outside system.
func (p *period) checkSecret(kind providers.Provider, description string, raw map[string]any, ttl, maximum time.Duration, outputs []fsm.Output, labels map[string]string) (providers.Options, []byte, error) {
	d := kind.Describe()
	var ps problems
	ps.text("description", description, maxDescription)
	ps.ttl("default_ttl", ttl)
	ps.ttl("max_ttl", maximum)
	if ttl > maximum {
		ps.add("default_ttl", "%s is above max_ttl %s", fsm.FormatTTL(ttl), fsm.FormatTTL(maximum))
	}
	ps.labels(labels)
	if len(outputs) == 0 {
		ps.add("outputs", "a secret needs at least one output, e.g. DB_USER=username")
	}
	ps = append(ps, checkOutputs(outputs, d)...)
	options, wrong := d.ValidateOptions(raw)
	if len(wrong) == 0 {
		wrong = kind.ValidateOptions(options)
	}
	if err := join(ps, within("options.", wrong)); err != nil {
		return nil, nil, err
	}
	encoded, err := encodeFields(options)
	return options, encoded, err
}

// checkOptions asks the outside system whether leases with these options would work. A system that
// cannot be asked now is a warning only.
func (p *period) checkOptions(ctx context.Context, name fsm.ConnectionName, options providers.Options) ([]string, error) {
	record, _, err := p.currentSystem(name)
	if err != nil {
		return nil, err
	}
	if _, blocked := p.guard(system{name, record.Number}).blocked(); blocked {
		return []string{"the options were not checked at the outside system: its connection is paused or does not answer at the moment"}, nil
	}
	backend, release, err := p.backends.use(system{name, record.Number})
	if err != nil {
		return nil, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	wrong, err := providers.CheckOptions(ctx, backend, options)
	if err != nil {
		return []string{fmt.Sprintf("the options were not checked at the outside system: %s", err)}, nil
	}
	return nil, within("options.", wrong)
}

func update[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func orElse[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
