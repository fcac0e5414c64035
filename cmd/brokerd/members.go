package main

import (
	"context"
	"errors"
	"fmt"

	"broker/broker"
	"broker/cluster"
	"broker/fsm"
)

// members lets the API change who belongs to the cluster.
type members struct{ *node }

// asking is a context that remembers who asks, for the roster's notes.
func asking(ctx context.Context, request broker.Request) context.Context {
	return context.WithValue(ctx, askingKey{}, request)
}

type askingKey struct{}

// asker returns who asked for a change; without anybody it is this node.
func (n *node) asker(ctx context.Context) broker.Request {
	if request, ok := ctx.Value(askingKey{}).(broker.Request); ok {
		return broker.Request{Actor: request.Actor}
	}
	return broker.Request{Actor: fsm.Actor{Node: n.cluster.NodeID()}}
}

// Remove takes a node out of the cluster. One that was let in and never became a member is forgotten, so that its
// name is free again.
func (m members) Remove(ctx context.Context, request broker.Request, id, reason string, force bool) error {
	if !request.DryRun {
		return memberError(m.cluster.RemoveMember(asking(ctx, request), id, reason, force))
	}
	err := m.cluster.CheckRemoval(ctx, id, force)
	if errors.Is(err, cluster.ErrNoMember) {
		return m.broker.RemoveNode(ctx, request, id) // a dry run of it
	}
	return memberError(err)
}

// Promote gives a node a vote.
func (m members) Promote(ctx context.Context, request broker.Request, id, reason string) error {
	if request.DryRun {
		return memberError(m.cluster.CheckMember(id))
	}
	return memberError(m.cluster.PromoteMember(asking(ctx, request), id, reason))
}

// Demote takes a node's vote away.
func (m members) Demote(ctx context.Context, request broker.Request, id, reason string) error {
	if request.DryRun {
		return memberError(m.cluster.CheckRemoval(ctx, id, false))
	}
	return memberError(m.cluster.DemoteMember(asking(ctx, request), id, reason))
}

// Leave has a node leave.
func (m members) Leave(ctx context.Context, request broker.Request, id string) error {
	if request.DryRun {
		return memberError(m.cluster.CheckRemoval(ctx, id, false))
	}
	return memberError(m.cluster.AskToLeave(asking(ctx, request), id))
}

// Transfer hands leadership over.
func (m members) Transfer(ctx context.Context, request broker.Request, to string) error {
	if request.DryRun && to != "" {
		return memberError(m.cluster.CheckMember(to))
	}
	if request.DryRun {
		return nil
	}
	return memberError(m.cluster.TransferLeadership(ctx, to))
}

// FinishUpgrade raises the feature level.
func (m members) FinishUpgrade(ctx context.Context, request broker.Request) (uint64, error) {
	level, err := m.cluster.FinishUpgrade(asking(ctx, request), request.DryRun)
	return level, memberError(err)
}

// memberError turns what the cluster refuses into what the API answers.
func memberError(err error) error {
	var refusal *fsm.Refusal
	if err == nil || errors.As(err, &refusal) || errors.Is(err, broker.ErrNotLeader) || errors.Is(err, broker.ErrOutcomeUnknown) {
		return err
	}
	for _, known := range []struct {
		is   error
		code fsm.Code
	}{
		{cluster.ErrNoMember, fsm.CodeNotFound},
		{cluster.ErrQuorum, broker.CodeQuorumAtRisk},
		{cluster.ErrUnready, broker.CodeMemberUnready},
		{cluster.ErrTooOld, broker.CodeMemberTooOld},
	} {
		if errors.Is(err, known.is) {
			return &fsm.Refusal{Code: known.code, Message: err.Error()}
		}
	}
	if errors.Is(err, cluster.ErrNotLeader) || errors.Is(err, cluster.ErrNoLeader) {
		return fmt.Errorf("%w: %w", broker.ErrNotLeader, err)
	}
	return fmt.Errorf("%w: %w", broker.ErrOutcomeUnknown, err)
}

// forget has a node's key be believed no more.
func (n *node) forget(ctx context.Context, id string) error {
	err := n.broker.RemoveNode(ctx, n.asker(ctx), id)
	var refusal *fsm.Refusal
	if errors.As(err, &refusal) && refusal.Code == fsm.CodeNotFound {
		return fmt.Errorf("%w %q", cluster.ErrNoMember, id)
	}
	return err
}

// wasRemoved ends a node that is a member no more.
func (n *node) wasRemoved(why error) {
	select {
	case n.failed <- why:
	default: // it is ending already
	}
}

// toldToLeave has the node leave its cluster.
func (n *node) toldToLeave() {
	select {
	case n.leave <- struct{}{}:
	default: // it was told before
	}
}

// roster keeps the cluster's members in the ledger.
type roster struct{ *node }

// Member returns what the ledger has of a node.
func (r roster) Member(id string) (out cluster.Remembered, known bool) {
	err := r.state.Peek(func(v *fsm.View) {
		var m fsm.Membership
		m, known = v.Membership(id)
		out = cluster.Remembered{Instance: m.Instance, Held: m.Held}
	})
	if err != nil {
		return cluster.Remembered{}, false
	}
	return out, known
}

// Note writes a change into the ledger.
func (r roster) Note(ctx context.Context, note cluster.Note) error {
	_, err := r.broker.RecordMember(ctx, r.asker(ctx), fsm.RecordMember{
		Node: note.NodeID, Change: fsm.MemberChange(note.Change), Instance: note.Instance, Address: note.Address, Reason: note.Reason,
	})
	return err
}

// levels are the ledger's feature levels.
type levels struct{ *node }

// Reads is what this version reads.
func (levels) Reads() uint64 { return fsm.FeatureLevel }

// InForce is what the ledger is written at.
func (l levels) InForce() uint64 { return l.state.FeatureLevel() }

// Raise raises it.
func (l levels) Raise(ctx context.Context, to uint64) error {
	_, err := l.broker.RaiseFeatureLevel(ctx, l.asker(ctx), to)
	return err
}
