package broker

import (
	"context"
	"time"

	"broker/fsm"
)

// JoinTokenSpec says what join token to make. Whoever asks has the token itself; the ledger knows its hash.
type JoinTokenSpec struct {
	Hash        []byte
	Description string
	Uses        int           // how many nodes it lets in; at least 1
	TTL         time.Duration // how long it is valid
}

// The bounds of a join token.
const (
	MaxJoinTokenUses = 100
	MaxJoinTokenTTL  = 30 * 24 * time.Hour
)

// CreateJoinToken makes a token that lets nodes into the cluster. Errors as for changes of configuration. A request
// that is repeated with its key gets a *fsm.Refusal: the token was shown the first time, and is kept nowhere.
func (b *Broker) CreateJoinToken(ctx context.Context, req Request, spec JoinTokenSpec) (fsm.JoinToken, error) {
	var ps problems
	if spec.Uses < 1 || spec.Uses > MaxJoinTokenUses {
		ps.add("uses", "must be 1 to %d", MaxJoinTokenUses)
	}
	if spec.TTL < time.Minute || spec.TTL > MaxJoinTokenTTL {
		ps.add("ttl", "must be 1m to %dh", int(MaxJoinTokenTTL.Hours()))
	}
	ps.text("description", spec.Description, maxDescription)
	if err := ps.err(); err != nil {
		return fsm.JoinToken{}, err
	}
	id, err := b.newID()
	if err != nil {
		return fsm.JoinToken{}, err
	}
	made, err := change[fsm.JoinToken](ctx, b, req, nil, &fsm.CreateJoinToken{
		ID: fsm.JoinTokenID(id), Hash: spec.Hash, Description: spec.Description, MaxUses: uint32(spec.Uses), TTL: spec.TTL,
	})
	if err == nil && string(made.Hash) != string(spec.Hash) {
		return made, &fsm.Refusal{Code: fsm.CodeKeyAnswerGone, Message: "this request was carried out before, and the token was shown then: delete it and make another"}
	}
	return made, err
}

// DeleteJoinToken makes a join token useless.
func (b *Broker) DeleteJoinToken(ctx context.Context, req Request, id fsm.JoinTokenID) error {
	_, err := change[fsm.JoinToken](ctx, b, req, nil, &fsm.DeleteJoinToken{ID: id})
	return err
}

// EnrollNode lets a node in that brings a join token. It is safe to repeat with the same key.
func (b *Broker) EnrollNode(ctx context.Context, req Request, body fsm.EnrollNode) (fsm.Node, error) {
	return change[fsm.Node](ctx, b, req, nil, &body)
}

// RemoveNode has the keys of a node believed no more. It does not touch Raft's configuration.
func (b *Broker) RemoveNode(ctx context.Context, req Request, name string) error {
	_, err := change[[]fsm.Node](ctx, b, req, nil, &fsm.RemoveNode{Name: name})
	return err
}

// RotateAuthority adds an authority that signs the cluster's certificates from now on.
func (b *Broker) RotateAuthority(ctx context.Context, req Request, body fsm.RotateAuthority) (fsm.Authority, error) {
	return change[fsm.Authority](ctx, b, req, nil, &body)
}

// RetireAuthority has an older authority believed no more.
func (b *Broker) RetireAuthority(ctx context.Context, req Request, number uint64) error {
	_, err := change[fsm.Authority](ctx, b, req, nil, &fsm.RetireAuthority{Number: number})
	return err
}

// RotateGossipKey adds a key that gossip is encrypted with from now on.
func (b *Broker) RotateGossipKey(ctx context.Context, req Request, sealed []byte) (fsm.GossipKey, error) {
	return change[fsm.GossipKey](ctx, b, req, nil, &fsm.RotateGossipKey{Sealed: sealed})
}
