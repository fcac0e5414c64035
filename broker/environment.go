package broker

import (
	"context"

	"broker/fsm"
)

// CreateEnvironment makes an environment. Errors: *fsm.Refusal, *InvalidError, ErrNotLeader,
// ErrOutcomeUnknown; so for every change of configuration.
func (b *Broker) CreateEnvironment(ctx context.Context, req Request, spec EnvironmentSpec) (fsm.Environment, error) {
	var ps problems
	ps.environment("name", spec.Name)
	ps.text("description", spec.Description, maxDescription)
	return change[fsm.Environment](ctx, b, req, ps, &fsm.CreateEnvironment{Name: spec.Name, Description: spec.Description})
}

// UpdateEnvironment changes an environment.
func (b *Broker) UpdateEnvironment(ctx context.Context, req Request, c EnvironmentChange) (fsm.Environment, error) {
	var ps problems
	if c.Description != nil {
		ps.text("description", *c.Description, maxDescription)
	}
	return change[fsm.Environment](ctx, b, req, ps, &fsm.UpdateEnvironment{Name: c.Name, Description: c.Description, IfVersion: c.IfVersion})
}

// DeleteEnvironment removes an environment that has no secrets.
func (b *Broker) DeleteEnvironment(ctx context.Context, req Request, name fsm.EnvironmentName, ifVersion uint64) error {
	_, err := change[fsm.Environment](ctx, b, req, nil, &fsm.DeleteEnvironment{Name: name, IfVersion: ifVersion})
	return err
}

// change proposes a command that needs nothing from outside, unless there are problems.
func change[V any](ctx context.Context, b *Broker, req Request, ps problems, body fsm.Body) (V, error) {
	var none V
	if err := ps.err(); err != nil {
		return none, err
	}
	p, ctx, leave, err := b.enter(ctx)
	if err != nil {
		return none, err
	}
	defer leave()
	value, _, err := propose[V](ctx, p, req, body)
	return value, err
}
