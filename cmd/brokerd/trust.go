package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"broker/broker"
	"broker/cluster"
	"broker/cluster/trust"
	"broker/fsm"
)

// trustInterval is how often a node looks whether the cluster has agreed upon something new about its
// members. Looking costs nothing while the configuration has not changed.
const trustInterval = 200 * time.Millisecond

func (n *node) sealAuthority(certificate, key []byte) (*fsm.RotateAuthority, error) {
	sealed, err := n.keyring.Seal(key, fsm.AuthoritySeal(certificate))
	if err != nil {
		return nil, err
	}
	return &fsm.RotateAuthority{Certificate: certificate, Sealed: sealed}, nil
}

// request is what the node does by itself.
func (n *node) request() broker.Request {
	return broker.Request{Actor: fsm.Actor{Node: n.config.NodeID}}
}

// agreement is what the replicated state says of members.
type agreement struct {
	version     uint64
	nodes       []fsm.Node
	authorities []fsm.Authority
	gossipKeys  []fsm.GossipKey
}

type agreementKey struct{}

// agreement reads it; nil: the state is not built yet.
func (n *node) agreement() (*agreement, error) {
	value, err := n.state.Remember(agreementKey{}, func(v *fsm.View) any {
		if v.Meta().Trust == 0 {
			return nil
		}
		return &agreement{version: v.Meta().Trust, nodes: v.Nodes(), authorities: v.Authorities(), gossipKeys: v.GossipKeys()}
	})
	if err != nil || value == nil {
		return nil, err
	}
	return value.(*agreement), nil
}

// agreed returns what the cluster has agreed upon about its members, and the authority that signs.
func (n *node) agreed() (trust.Known, *trust.Authority, error) {
	a, err := n.agreement()
	switch {
	case err != nil:
		return trust.Known{}, nil, err
	case a == nil || len(a.authorities) == 0:
		return trust.Known{}, nil, errors.New("this node does not know its cluster's authority yet")
	}
	known := trust.Known{Version: a.version}
	for i, one := range a.authorities {
		known.Authorities = append(known.Authorities, one.Certificate)
		if older := i+1 < len(a.authorities); older && len(one.Adopted) > 0 {
			known.Adopted = append(known.Adopted, one.Adopted)
		}
	}
	for _, one := range a.nodes {
		member := trust.MemberKey{NodeID: one.Name, Key: trust.KeyHash(one.Key)}
		if one.RemovedAt != 0 {
			known.Removed = append(known.Removed, member)
		} else {
			known.Members = append(known.Members, member)
		}
	}
	for _, one := range a.gossipKeys {
		key, err := n.keyring.Open(one.Sealed, fsm.GossipKeySeal)
		if err != nil {
			return known, nil, err
		}
		known.GossipKeys = append(known.GossipKeys, key)
	}
	key, err := n.keyring.Open(a.authorities[0].Sealed, fsm.AuthoritySeal(a.authorities[0].Certificate))
	if err != nil {
		return known, nil, err
	}
	authority, err := trust.OpenAuthority(a.authorities[0].Certificate, key)
	return known, authority, err
}

// watchTrust keeps the node's identity at what the cluster has agreed upon, and its certificates fresh, until ctx
// ends.
func (n *node) watchTrust(ctx context.Context) {
	tick := time.NewTicker(trustInterval)
	defer tick.Stop()
	var told string
	var renewal time.Time // when to look at the certificates again
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		news, err := n.learn()
		if err == nil && (news || time.Now().After(renewal)) {
			renewal = time.Now().Add(time.Hour)
			err = n.renewCertificates()
		}
		switch {
		case err == nil:
			told = ""
		case err.Error() != told:
			told = err.Error()
			n.log.Error("this node cannot keep up with who belongs to the cluster", "error", err)
		}
	}
}

// learn takes in what is new. A node that finds itself removed stops.
func (n *node) learn() (news bool, err error) {
	a, err := n.agreement()
	if err != nil || a == nil || a.version <= n.identity.Known().Version {
		return false, err
	}
	known, _, err := n.agreed()
	if err != nil {
		return false, err
	}
	// What can fail comes first: once it is learnt it is no news any more.
	if err := n.cluster.SetGossipKeys(known.GossipKeys); err != nil {
		return false, err
	}
	if news, err = n.identity.Learn(known); err != nil || !news {
		return news, err
	}
	n.network.Cut()
	own, err := trust.HashKey(n.identity.PublicKey())
	if err != nil {
		return news, err
	}
	if slices.ContainsFunc(known.Removed, func(m trust.MemberKey) bool { return m.Key == own }) {
		n.removed()
	}
	return news, nil
}

// removed ends a node that the cluster does not believe any more.
func (n *node) removed() { n.wasRemoved(errRemoved) }

// errRemoved is what a node ends with that was removed.
var errRemoved = fmt.Errorf("%w: to bring it back, give it an empty data directory and a new join token (\"brokerctl cluster join-token create\")", cluster.ErrRemoved)

func (n *node) renewCertificates() error {
	if !n.identity.RenewalDue(n.config.apiNames(), time.Now()) {
		return nil
	}
	_, authority, err := n.agreed()
	if err != nil {
		return err
	}
	if err := n.identity.Renew(authority, n.config.apiNames(), time.Now()); err != nil {
		return err
	}
	n.log.Info("renewed this node's certificates", "until", n.identity.ExpiresAt().UTC())
	return nil
}

// aboutAdminToken is the question of a node's own operator for an admin token.
const aboutAdminToken = "admin-token"

// answerQuestion answers, as the leader, what nodes ask.
func (n *node) answerQuestion(ctx context.Context, about string, question []byte) ([]byte, error) {
	switch about {
	case cluster.AboutEnrolling:
		return answered(ctx, question, n.answerEnrolling)
	case aboutAdminToken:
		return answered(ctx, question, n.answerAdminToken)
	case aboutKeyring:
		return answered(ctx, question, n.answerKeyring)
	case aboutSealingKey:
		return answered(ctx, question, n.answerSealingKey)
	case aboutAuditAnchor:
		return answered(ctx, question, n.answerAuditAnchor)
	default:
		return nil, fmt.Errorf("this node does not know what %q means: it is of an older version", about)
	}
}

func answered[Q, A any](ctx context.Context, question []byte, answer func(context.Context, Q) (A, error)) ([]byte, error) {
	var q Q
	if err := json.Unmarshal(question, &q); err != nil {
		return nil, cluster.JoinRefusal(errors.New("the question is damaged"))
	}
	a, err := answer(ctx, q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(a)
}

// trustMaker makes for the API what the cluster tells its members apart by.
type trustMaker struct{ node *node }

func (m trustMaker) NewJoinToken() (string, []byte, error) {
	_, authority, err := m.node.agreed()
	if err != nil {
		return "", nil, err
	}
	token := trust.NewJoinToken(trust.FingerprintOf(authority.Certificate()))
	return token.Reveal(), token.Hash(), nil
}

func (m trustMaker) NextAuthority() (fsm.RotateAuthority, error) {
	var none fsm.RotateAuthority
	_, present, err := m.node.agreed()
	if err != nil {
		return none, err
	}
	next, err := trust.NewAuthority(m.node.cluster.ClusterID(), time.Now())
	if err != nil {
		return none, err
	}
	key, err := next.Key()
	if err != nil {
		return none, fmt.Errorf("encoding the authority's key: %w", err)
	}
	sealed, err := m.node.sealAuthority(next.Certificate(), key)
	if err != nil {
		return none, err
	}
	sealed.Adopted, err = present.Adopt(next)
	return *sealed, err
}

func (m trustMaker) NextGossipKey() ([]byte, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return m.node.keyring.Seal(key, fsm.GossipKeySeal)
}
