package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"

	"broker/fsm"
)

// self is who acts when nobody asked: the broker on this node.
func (p *period) self() Request {
	return Request{Actor: fsm.Actor{Node: p.NodeID}}
}

// propose sends a command through the log and returns what the state machine answered. Errors are a
// *fsm.Refusal (nothing was changed), ErrNotLeader (certainly not committed) or ErrOutcomeUnknown.
func propose[V any](ctx context.Context, p *period, req Request, body fsm.Body) (V, *fsm.Result, error) {
	value, result, err := proposeOnce[V](ctx, p, req, body)
	if isRefusal(err, fsm.CodeClockStepRefused) {
		// The ledger's clock is far behind this node's. Nothing was changed: have it follow, and try again.
		if err := p.advanceClock(ctx); err != nil {
			return value, result, err
		}
		return proposeOnce[V](ctx, p, req, body)
	}
	return value, result, err
}

func proposeOnce[V any](ctx context.Context, p *period, req Request, body fsm.Body) (V, *fsm.Result, error) {
	var none V
	cmd, err := fsm.NewCommand(body, p.Now(), req.Actor, p.term)
	if err != nil {
		return none, nil, err
	}
	if need, inForce := cmd.Needs(), p.State.FeatureLevel(); need > inForce {
		return none, nil, fsm.LevelTooLow(need, inForce) // an older node would stop at it
	}
	cmd.Guarded = true
	if req.Key != nil {
		cmd.Key = fsm.NewKey(req.Actor.Account, req.Key.Route, req.Key.Value, req.Key.Body)
	}
	var result *fsm.Result
	if req.DryRun {
		if result, err = p.State.Try(cmd); err != nil {
			return none, nil, err
		}
	} else if result, err = p.traceCommit(ctx, cmd, body); err != nil {
		return none, nil, err
	}
	if r := result.Refusal; r != nil {
		if r.Code == fsm.CodeStaleTerm {
			return none, result, ErrNotLeader
		}
		return none, result, r
	}
	value, ok := result.Value.(V)
	if !ok {
		return none, result, fmt.Errorf("the state machine answered %T to %T: a bug", result.Value, body)
	}
	return value, result, nil
}

// try answers what a command would answer now, and changes nothing. It lets the broker see a refusal
// before it calls an outside system.
func try[V any](p *period, req Request, body fsm.Body) (V, *fsm.Result, error) {
	req.DryRun = true
	return propose[V](p.ctx, p, req, body)
}

// traceCommit is commit as a part of a trace.
func (p *period) traceCommit(ctx context.Context, cmd fsm.Command, body fsm.Body) (*fsm.Result, error) {
	ctx, span := p.span(ctx, "raft propose")
	result, err := p.commit(ctx, cmd)
	if span.IsRecording() {
		span.SetAttributes(attribute.String("broker.command", strings.TrimPrefix(fmt.Sprintf("%T", body), "*fsm.")))
		if err == nil {
			span.SetAttributes(attribute.Int64("broker.index", int64(result.Index)), attribute.Bool("broker.refused", result.Refusal != nil))
		}
	}
	finish(span, outcomeOf(err))
	return result, err
}

// confirm has an empty command applied. After it this node led at some moment after the call, and its state has all
// that was committed before.
func (p *period) confirm(ctx context.Context) error {
	_, _, err := propose[[]fsm.Lease](ctx, p, p.self(), &fsm.ExpireLeases{})
	return err
}

// maxCommand is the largest command that is proposed; larger ones hold up the log's heartbeats.
const maxCommand = 1 << 20

func (p *period) commit(ctx context.Context, cmd fsm.Command) (*fsm.Result, error) {
	data, err := cmd.Encode()
	if err != nil {
		return nil, fmt.Errorf("encoding a command: %w", err)
	}
	if len(data) > maxCommand {
		return nil, &fsm.Refusal{Code: fsm.CodeInvalid, Message: fmt.Sprintf("the request is too large: %d bytes, at most %d are possible", len(data), maxCommand)}
	}
	response, _, err := p.Log.Propose(ctx, data)
	if err == nil {
		return response.(*fsm.Result), nil
	}
	var definite interface{ NotCommitted() bool }
	if errors.As(err, &definite) && definite.NotCommitted() {
		return nil, fmt.Errorf("%w: %w", ErrNotLeader, err)
	}
	// Whatever it was may have been applied or yet be: leases it moved have no driver.
	p.doubt.Store(true)
	return nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
}
