package fsm

import (
	"fmt"
	"slices"
)

// Node is the key of a node that was let into the cluster. Members know each other by it.
type Node struct {
	Key        []byte      `cbor:"1,keyasint"` // hash of its public key
	Name       string      `cbor:"2,keyasint"`
	Token      JoinTokenID `cbor:"3,keyasint,omitempty"` // by which it came in; empty: it began the cluster
	EnrolledAt Instant     `cbor:"4,keyasint"`
	RemovedAt  Instant     `cbor:"5,keyasint,omitempty"` // set: the key is never believed again
	Version    uint64      `cbor:"6,keyasint"`
}

// Authority is a certificate authority of the cluster.
type Authority struct {
	Number      uint64  `cbor:"1,keyasint"` // index of the entry that made it; the greatest one signs
	Certificate []byte  `cbor:"2,keyasint"` // DER
	Sealed      []byte  `cbor:"3,keyasint"` // the private key
	Adopted     []byte  `cbor:"4,keyasint,omitempty"`
	CreatedAt   Instant `cbor:"5,keyasint"`
}

// GossipKey is a key that gossip is encrypted with.
type GossipKey struct {
	Number    uint64  `cbor:"1,keyasint"` // index of the entry that made it; the greatest one is used
	Sealed    []byte  `cbor:"2,keyasint"`
	CreatedAt Instant `cbor:"3,keyasint"`
}

// EnrollNode lets a node in that has a join token. The same node with the same key may ask again, without
// another use. Value: Node.
type EnrollNode struct {
	TokenHash []byte `cbor:"1,keyasint"`
	Name      string `cbor:"2,keyasint"`
	Key       []byte `cbor:"3,keyasint"`
}

// RemoveNode has the keys of a node believed no more. Value: []Node.
type RemoveNode struct {
	Name string `cbor:"1,keyasint"`
}

// RotateAuthority adds an authority that signs from now on. The older ones stay believed until they are
// retired. Value: Authority.
type RotateAuthority struct {
	Certificate []byte `cbor:"1,keyasint"`
	Sealed      []byte `cbor:"2,keyasint"`
	Adopted     []byte `cbor:"3,keyasint"` // the certificate by which the one before vouches for it
}

// RetireAuthority has an authority believed no more that does not sign any more. Value: Authority.
type RetireAuthority struct {
	Number uint64 `cbor:"1,keyasint"`
}

// RotateGossipKey adds a key that gossip uses from now on. The one before is still understood, older ones are
// dropped. Value: GossipKey.
type RotateGossipKey struct {
	Sealed []byte `cbor:"1,keyasint"`
}

func (*EnrollNode) commandType() CommandType      { return TypeEnrollNode }
func (*RemoveNode) commandType() CommandType      { return TypeRemoveNode }
func (*RotateAuthority) commandType() CommandType { return TypeRotateAuthority }
func (*RetireAuthority) commandType() CommandType { return TypeRetireAuthority }
func (*RotateGossipKey) commandType() CommandType { return TypeRotateGossipKey }

// Nodes returns the keys of all nodes that were ever let in, in no order that means anything.
func (v *View) Nodes() []Node { return page(v.tx, nodes, nil, maxRows, nil) }

// NodesNamed returns the keys that a name had, removed ones included.
func (v *View) NodesNamed(name string) (list []Node) {
	for _, n := range v.Nodes() {
		if n.Name == name {
			list = append(list, n)
		}
	}
	return list
}

// Authorities returns the cluster's certificate authorities, the one that signs first.
func (v *View) Authorities() []Authority {
	return newestFirst(page(v.tx, authorities, nil, maxRows, nil))
}

// GossipKeys returns the keys of gossip, the one in use first.
func (v *View) GossipKeys() []GossipKey {
	return newestFirst(page(v.tx, gossipKeys, nil, maxRows, nil))
}

// maxRows is more than there will be of what people make by hand.
const maxRows = 1 << 20

func newestFirst[R any](list []R) []R {
	slices.Reverse(list)
	return list
}

// trusted notes that what members believe has changed.
func (t *txn) trusted() { t.meta.Trust = t.meta.Index }

func applyEnrollNode(t *txn, c *EnrollNode) (Node, *Refusal) {
	if !ValidName(c.Name) || len(c.Key) == 0 {
		return Node{}, badName("node", c.Name)
	}
	if n, ok := nodes.get(t.tx, c.Key); ok {
		switch {
		case n.RemovedAt != 0:
			return n, &Refusal{Code: CodeNodeRemoved, Field: "node_id", Message: fmt.Sprintf("node %q was removed from the cluster: give it an empty data directory, so that it gets a new key", n.Name)}
		case n.Name == c.Name:
			return n, nil // it has asked before and did not hear the answer
		}
		return n, exists("node_id", "the key of node", n.Name)
	}
	// The token comes first: strangers learn nothing of members.
	k, r := t.usableJoinToken(c.TokenHash)
	if r != nil {
		return Node{}, r
	}
	for _, n := range t.NodesNamed(c.Name) {
		if n.RemovedAt == 0 {
			return n, &Refusal{Code: CodeNodeExists, Field: "node_id", Message: fmt.Sprintf("a node %[1]q is a member already: give this one another name, or, if the other one is gone for good, remove it first with \"brokerctl cluster remove %[1]s\"", c.Name)}
		}
	}
	k.Uses++
	k.Version = t.meta.Index
	joinTokens.put(t, k)
	n := t.enroll(c.Name, c.Key, k.ID)
	t.record(Event{Type: EventNodeEnrolled, Subject: n.Name, Details: map[string]string{"join_token": string(k.ID)}})
	return n, nil
}

func (t *txn) enroll(name string, key []byte, token JoinTokenID) Node {
	n := Node{Key: key, Name: name, Token: token, EnrolledAt: t.now(), Version: t.meta.Index}
	nodes.put(t, n)
	t.trusted()
	return n
}

func applyRemoveNode(t *txn, c *RemoveNode) ([]Node, *Refusal) {
	var removed []Node
	for _, n := range t.NodesNamed(c.Name) {
		if n.RemovedAt != 0 {
			continue
		}
		n.RemovedAt, n.Version = t.now(), t.meta.Index
		nodes.put(t, n)
		removed = append(removed, n)
	}
	if len(removed) == 0 {
		return nil, notFound("node_id", "node", c.Name)
	}
	t.trusted()
	t.dropHolder(c.Name)
	t.record(Event{Type: EventNodeRemoved, Subject: c.Name})
	return removed, nil
}

func applyRotateAuthority(t *txn, c *RotateAuthority) (Authority, *Refusal) {
	if len(c.Certificate) == 0 || len(c.Sealed) == 0 {
		return Authority{}, badName("authority", "")
	}
	a := t.addAuthority(c.Certificate, c.Sealed, c.Adopted)
	t.record(Event{Type: EventAuthorityRotated, Subject: fmt.Sprint(a.Number)})
	return a, nil
}

func (t *txn) addAuthority(certificate, sealed, adopted []byte) Authority {
	a := Authority{Number: t.meta.Index, Certificate: certificate, Sealed: sealed, Adopted: adopted, CreatedAt: t.now()}
	authorities.put(t, a)
	t.trusted()
	return a
}

func applyRetireAuthority(t *txn, c *RetireAuthority) (Authority, *Refusal) {
	a, ok := authorities.get(t.tx, bigEndian(c.Number))
	if !ok {
		return a, notFound("number", "authority", fmt.Sprint(c.Number))
	}
	if t.Authorities()[0].Number == c.Number {
		return a, &Refusal{Code: CodeInUse, Field: "number", Message: "this authority signs the cluster's certificates: rotate first"}
	}
	authorities.delete(t, bigEndian(c.Number))
	t.trusted()
	t.record(Event{Type: EventAuthorityRetired, Subject: fmt.Sprint(c.Number)})
	return a, nil
}

func applyRotateGossipKey(t *txn, c *RotateGossipKey) (GossipKey, *Refusal) {
	if len(c.Sealed) == 0 {
		return GossipKey{}, badName("gossip key", "")
	}
	for i, old := range t.GossipKeys() {
		if i > 0 {
			gossipKeys.delete(t, bigEndian(old.Number))
		}
	}
	k := t.addGossipKey(c.Sealed)
	t.record(Event{Type: EventGossipKeyRotated, Subject: fmt.Sprint(k.Number)})
	return k, nil
}

func (t *txn) addGossipKey(sealed []byte) GossipKey {
	k := GossipKey{Number: t.meta.Index, Sealed: sealed, CreatedAt: t.now()}
	gossipKeys.put(t, k)
	t.trusted()
	return k
}
