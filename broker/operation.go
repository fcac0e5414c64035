package broker

import (
	"context"
	"fmt"
	"time"

	"broker/fsm"
)

// CodeTooMany is answered when an operation would reach more leases than the request allows.
const CodeTooMany fsm.Code = "too_many_leases"

// OperationSpec asks for work on many leases.
type OperationSpec struct {
	Kind     fsm.OperationKind // any but OperationDelete, see DeleteWithLeases
	Selector fsm.LeaseSelector
	Reason   string
	Max      uint64 // refuse when more leases are chosen; zero: no limit
}

// StartOperation begins work on the leases that are chosen now. In a dry run it only counts them: see
// Total of the operation it returns. Errors as for changes of configuration.
func (b *Broker) StartOperation(ctx context.Context, req Request, spec OperationSpec) (fsm.Operation, error) {
	var ps problems
	if spec.Kind == fsm.OperationForget {
		ps.reason("reason", spec.Reason)
	} else {
		ps.text("reason", spec.Reason, maxReason)
	}
	ps.states(spec.Selector.States)
	if err := ps.err(); err != nil {
		return fsm.Operation{}, err
	}
	p, work, leave, err := b.enter(ctx)
	if err != nil {
		return fsm.Operation{}, err
	}
	defer leave()
	body := &fsm.CreateOperation{Kind: spec.Kind, Selector: spec.Selector, Reason: spec.Reason}
	if err := p.count(body); err != nil {
		return fsm.Operation{}, err
	}
	if spec.Max > 0 && body.Total > spec.Max {
		return fsm.Operation{}, (&fsm.Refusal{Code: CodeTooMany, Field: "max", Message: fmt.Sprintf("%d leases are chosen, and at most %d were to be: choose fewer, or allow more", body.Total, spec.Max)}).
			With("leases", fmt.Sprint(body.Total))
	}
	return p.startOperation(work, req, body)
}

// DeleteWithLeases refuses new leases of an object, revokes those it has and then deletes it.
func (b *Broker) DeleteWithLeases(ctx context.Context, req Request, target fsm.Target, ifVersion uint64, reason string) (fsm.Operation, error) {
	var ps problems
	ps.text("reason", reason, maxReason)
	if target.Noun == fsm.TargetAccount && target.Name == string(req.Actor.Account) {
		ps.add("name", "an account cannot delete itself")
	}
	if err := ps.err(); err != nil {
		return fsm.Operation{}, err
	}
	p, work, leave, err := b.enter(ctx)
	if err != nil {
		return fsm.Operation{}, err
	}
	defer leave()
	body := &fsm.CreateOperation{Kind: fsm.OperationDelete, Target: target, Reason: reason, IfVersion: ifVersion}
	if err := p.view(func(v *fsm.View) { body.Total = v.CountLeases(target.Selector(), states(body.Kind)) }); err != nil {
		return fsm.Operation{}, err
	}
	return p.startOperation(work, req, body)
}

// count sets an operation's Total. What is counted is all that is reached: leases issued later are not.
func (p *period) count(body *fsm.CreateOperation) error {
	return p.view(func(v *fsm.View) {
		body.Selector.Now = v.Meta().Clock
		body.Total = v.CountLeases(body.Selector, states(body.Kind))
	})
}

// changeAndRevoke proposes a change that comes with an operation which revokes the chosen leases. One
// command makes both: a leader that dies cannot leave the change without it.
func changeAndRevoke[V any](
	ctx context.Context, b *Broker, req Request, selector fsm.LeaseSelector, reason string, command func(*fsm.Revocation) fsm.Body,
) (V, *fsm.Operation, error) {
	var none V
	p, work, leave, err := b.enter(ctx)
	if err != nil {
		return none, nil, err
	}
	defer leave()
	id, err := p.newID()
	if err != nil {
		return none, nil, err
	}
	along := &fsm.Revocation{Operation: fsm.CreateOperation{
		ID: fsm.OperationID(id), Kind: fsm.OperationRevoke, Selector: selector, Reason: reason,
	}}
	if err := p.count(&along.Operation); err != nil {
		return none, nil, err
	}
	second := req // the key of the request is bound to the change, and the operation has one of its own
	if req.Key != nil {
		key := *req.Key
		key.Route += " (revoke)"
		second.Key = &key
		along.Key = fsm.NewKey(req.Actor.Account, key.Route, key.Value, key.Body)
	}
	value, result, err := propose[V](work, p, req, command(along))
	if err != nil {
		return none, nil, err
	}
	var op fsm.Operation
	if req.DryRun || result.Replayed {
		// Nothing was made, or long ago: this tells what would be, or what the operation's key is bound to.
		op, err = p.startOperation(work, second, &along.Operation)
	} else {
		p.operations.poke()
		err = p.peek(func(v *fsm.View) { op, _ = v.Operation(along.Operation.ID) })
	}
	if err != nil {
		return none, nil, err
	}
	return value, &op, nil
}

func (p *period) startOperation(ctx context.Context, req Request, body *fsm.CreateOperation) (fsm.Operation, error) {
	id, err := p.newID()
	if err != nil {
		return fsm.Operation{}, err
	}
	body.ID = fsm.OperationID(id)
	op, _, err := propose[fsm.Operation](ctx, p, req, body)
	if err == nil && !req.DryRun {
		p.operations.poke()
	}
	return op, err
}

// CancelOperation stops an operation. What it has begun goes on; what it was to delete stays.
func (b *Broker) CancelOperation(ctx context.Context, req Request, id fsm.OperationID) (fsm.Operation, error) {
	return change[fsm.Operation](ctx, b, req, nil, &fsm.CancelOperation{ID: id})
}

// states are those of the leases on which an operation of the kind has something to do.
func states(kind fsm.OperationKind) []fsm.LeaseState {
	if kind == fsm.OperationRevoke || kind == fsm.OperationDelete {
		return []fsm.LeaseState{fsm.Pending, fsm.Active}
	}
	return []fsm.LeaseState{fsm.Revoking}
}

// operationsEvery is how often running operations are looked at.
const operationsEvery = 500 * time.Millisecond

// poker wakes one goroutine; pokes while it is awake are one.
type poker chan struct{}

func (k poker) poke() {
	select {
	case k <- struct{}{}:
	default:
	}
}

// runOperations carries on what is not done, page by page, whoever began it.
func (p *period) runOperations() {
	tick := time.NewTicker(operationsEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-tick.C:
		case <-p.operations:
		}
		var running []fsm.Operation
		if err := p.view(func(v *fsm.View) { running = v.RunningOperations() }); err != nil {
			p.log.Error("looking for running operations failed", "error", err)
			continue
		}
		for _, op := range running {
			if err := p.advance(op); err != nil && p.ctx.Err() == nil {
				p.log.Warn("carrying on an operation failed; trying again", "operation", op.ID, "error", err)
			}
		}
	}
}

// advance does the next page of an operation, or ends it when it is complete.
func (p *period) advance(op fsm.Operation) error {
	if op.AllBegun {
		return p.finishOperation(op)
	}
	var page []fsm.Lease
	err := p.view(func(v *fsm.View) {
		op.Selector.Now = v.Meta().Clock
		page = v.LeasesIn(states(op.Kind), op.Selector, op.Cursor, pageSize)
	})
	if err != nil {
		return err
	}
	body := &fsm.AdvanceOperation{ID: op.ID, Cursor: op.Cursor, Last: len(page) < pageSize}
	for _, l := range page {
		body.Leases = append(body.Leases, l.ID)
		body.Cursor = l.ID
	}
	done, _, err := propose[fsm.Advanced](p.ctx, p, p.self(), body)
	if isRefusal(err, fsm.CodeOperationEnded) {
		return nil // cancelled meanwhile
	}
	if err != nil {
		return err
	}
	for _, l := range done.Leases {
		switch {
		case op.Kind == fsm.OperationRetry:
			p.retryNow(l)
		default:
			p.drive(l)
		}
	}
	p.operations.poke() // the next page, or the end
	return nil
}

// finishOperation ends an operation whose leases are all at their end.
func (p *period) finishOperation(op fsm.Operation) error {
	if !op.Complete() {
		return nil
	}
	body := &fsm.FinishOperation{ID: op.ID}
	_, _, err := try[fsm.Operation](p, p.self(), body)
	if err == nil {
		_, _, err = propose[fsm.Operation](p.ctx, p, p.self(), body)
	}
	if isRefusal(err, fsm.CodeOperationRunning) || isRefusal(err, fsm.CodeOperationEnded) {
		return nil // leases that somebody else began to revoke are not at their end yet
	}
	return err
}
