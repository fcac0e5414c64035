package broker

import (
	"context"
	"errors"
	"time"

	"broker/fsm"
)

// InitSpec gives a new cluster its identity and its first account.
type InitSpec struct {
	ClusterID string
	Account   fsm.AccountName
	TokenHash []byte // keyed hash of the first token
	Accessor  fsm.TokenAccessor
	TokenTTL  time.Duration // zero: the token does not expire
	Recovery  *fsm.Recovery // nil: no shares open the cluster's snapshots

	// Roles are what the account has everywhere. Without role admin nobody can give any but from a node's host.
	Roles []fsm.RoleName

	// Who belongs to the cluster from the start; nil where nodes do not know each other by keys.
	Authority *fsm.RotateAuthority
	GossipKey *fsm.RotateGossipKey
	Node      *fsm.Node
	JoinToken *JoinTokenSpec // lets the others in
}

// checkKeyring refuses to lead with a keyring that is not the cluster's: nothing could be opened.
func (p *period) checkKeyring(check []byte) error {
	if len(check) == 0 {
		return nil
	}
	if _, err := p.Keyring.Open(check, fsm.KeyCheckSeal); err != nil {
		return errors.New("this node's key file is not the cluster's: give it the key file that the other nodes have")
	}
	return nil
}

// Init makes a new cluster known to its state machine. It is called by the first leader before
// anything else; on a cluster that is initialised it returns a *fsm.Refusal.
func (b *Broker) Init(ctx context.Context, term uint64, spec InitSpec) error {
	p := &period{Broker: b, ctx: ctx, term: term}
	check, err := b.Keyring.Seal([]byte(spec.ClusterID), fsm.KeyCheckSeal)
	if err != nil {
		return err
	}
	token := fsm.Token{Accessor: spec.Accessor, Hash: spec.TokenHash, Account: spec.Account, Description: "first admin token", Method: fsm.MethodInit}
	if spec.TokenTTL > 0 {
		token.ExpiresAt = fsm.At(b.Now().Add(spec.TokenTTL))
	}
	body := &fsm.InitCluster{
		ClusterID: spec.ClusterID, Account: fsm.Account{Name: spec.Account, Kind: fsm.KindUser}, Token: token, KeyCheck: check, Level: fsm.FeatureLevel,
		Authority: spec.Authority, GossipKey: spec.GossipKey, Node: spec.Node, Recovery: spec.Recovery,
	}
	for _, role := range spec.Roles {
		id, err := b.newID()
		if err != nil {
			return err
		}
		body.Bindings = append(body.Bindings, fsm.Binding{ID: fsm.BindingID(id), Role: role, Account: spec.Account, Scope: fsm.Everywhere})
	}
	if j := spec.JoinToken; j != nil {
		id, err := b.newID()
		if err != nil {
			return err
		}
		body.JoinToken = &fsm.CreateJoinToken{ID: fsm.JoinTokenID(id), Hash: j.Hash, Description: j.Description, MaxUses: uint32(j.Uses), TTL: j.TTL}
	}
	_, _, err = propose[fsm.Meta](ctx, p, p.self(), body)
	return err
}
