package fsm

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// lifeSpan is how far apart the indexes and terms of two lives of a cluster begin: more than one life uses.
const (
	lifeSpan  = 1_000_000_000
	termsSpan = 1_000_000
)

// NextLife returns the index and term at which a cluster goes on that begins anew from a state. What came
// after that state is lost, and somebody may have seen it: versions are indexes and must not be given out
// twice, and an outside system may hold sessions of the lost terms.
func NextLife(index, term uint64) (nextIndex, nextTerm uint64) {
	return (index/lifeSpan + 1) * lifeSpan, (term/termsSpan + 1) * termsSpan
}

// Reborn reports whether the cluster began anew at some time: its log goes on where a first life does not come.
func (m Meta) Reborn() bool { return m.Index >= lifeSpan }

// Life is how a cluster begins anew outside the log: from a snapshot, or with one node of many.
type Life struct {
	Index uint64 // at which it begins; the log goes on after it
	Term  uint64
	Actor Actor // who did it

	// Restored marks the state as a restored one. Nil: it goes on as it is.
	Restored *Restored

	// Node is the key of the one node that the cluster begins with; the keys of all others, which may come back
	// with what they had, are never believed again. Without a Key it is the one that the name had before.
	Node Node

	// Authority, of which certificate and sealed key count, and the sealed GossipKey take the place of all that are
	// there, for a Node with a Key. A node that was let in after this state is unknown to it, and has a certificate of
	// the authority that is there. Nil: they stay.
	Authority *Authority
	GossipKey []byte

	// Belonging takes the place of whom the state's nodes believe: those of a running cluster stay its members.
	// Nil: see Node.
	Belonging *Belonging

	// Sealing takes the place of what the state says of sealing keys: a running cluster goes on with its present ones.
	// Nil: it stays, but only Node holds them.
	Sealing *Sealing

	// Details are for the history.
	Details map[string]string
}

// BeginLife makes the state one that begins a new life. It is for a state that no Raft works on: what it
// changes is part of the snapshot that the nodes of the new cluster begin with.
func (s *State) BeginLife(l Life) error {
	if err := s.settle(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.applying.Lock()
	defer s.applying.Unlock()
	switch {
	case s.db == nil:
		return ErrClosed
	case s.meta.ClusterID == "":
		return errors.New("the state holds no cluster")
	case l.Index <= s.meta.Index || l.Term < s.meta.Term:
		return fmt.Errorf("a new life at index %d, term %d does not come after the state's index %d, term %d", l.Index, l.Term, s.meta.Index, s.meta.Term)
	}
	return s.beginLife(l)
}

func (s *State) beginLife(l Life) (err error) {
	defer catch(&err)
	var begun Meta
	err = s.db.Update(func(tx *bbolt.Tx) error {
		t := newTxn(tx, s.meta)
		t.begin(l.Index, l.Term, l.Actor)
		event := Event{Type: EventClusterRecovered, Subject: t.meta.ClusterID, Details: l.Details}
		if l.Restored != nil {
			event.Type = EventClusterRestored
			mark := *l.Restored
			t.meta.Restored = &mark
		}
		t.forgetListings()
		t.forgetJoinTokens()
		t.forgetCounted()
		if l.Belonging != nil {
			t.belong(*l.Belonging)
		} else if err := t.leaveBehind(l); err != nil {
			return err
		}
		if err := t.sealAnew(l); err != nil {
			return err
		}
		t.record(event)
		t.end()
		t.flush()
		if err := t.saveMeta(); err != nil {
			return err
		}
		begun = t.meta
		return nil
	})
	if err != nil {
		return fmt.Errorf("beginning a new life: %w", err)
	}
	s.meta = begun
	s.index.Store(s.meta.Index)
	s.restored.Store(s.meta.Restored)
	s.generation.Add(1)
	return nil
}

// Belonging is who belongs to a cluster.
type Belonging struct {
	Nodes       []Node
	Authorities []Authority
	GossipKeys  []GossipKey
	Memberships []Membership
}

// belong replaces what the state says of that.
func (t *txn) belong(b Belonging) {
	for _, n := range t.Nodes() {
		nodes.delete(t, n.Key)
	}
	for _, a := range t.Authorities() {
		authorities.delete(t, bigEndian(a.Number))
	}
	for _, k := range t.GossipKeys() {
		gossipKeys.delete(t, bigEndian(k.Number))
	}
	t.forgetMemberships("")
	for _, m := range b.Memberships {
		memberships.put(t, m)
	}
	for _, n := range b.Nodes {
		nodes.put(t, n)
	}
	for _, a := range b.Authorities {
		authorities.put(t, a)
	}
	for _, k := range b.GossipKeys {
		gossipKeys.put(t, k)
	}
	t.trusted()
}

// leaveBehind removes the keys of all nodes but one.
func (t *txn) leaveBehind(l Life) error {
	stays := l.Node
	if stays.Name == "" {
		return nil // nodes that do not know each other by keys
	}
	if len(stays.Key) > 0 {
		t.forgetMemberships("")
	} else {
		t.forgetMemberships(stays.Name)
	}
	found := false
	for _, n := range t.Nodes() {
		switch {
		case n.RemovedAt != 0:
			continue
		case len(stays.Key) == 0 && n.Name == stays.Name:
			found = true
			continue
		}
		n.RemovedAt, n.Version = t.now(), t.meta.Index
		nodes.put(t, n)
		t.record(Event{Type: EventNodeRemoved, Subject: n.Name})
	}
	switch {
	case len(stays.Key) > 0:
		t.enroll(stays.Name, stays.Key, "")
		t.record(Event{Type: EventNodeEnrolled, Subject: stays.Name})
		t.replaceSecrets(l)
	case !found:
		return fmt.Errorf("node %q is no member of this cluster any more: it was removed", stays.Name)
	}
	t.trusted()
	return nil
}

// replaceSecrets exchanges what nodes that the state does not know could belong by.
func (t *txn) replaceSecrets(l Life) {
	if l.Authority != nil {
		for _, a := range t.Authorities() {
			authorities.delete(t, bigEndian(a.Number))
			t.record(Event{Type: EventAuthorityRetired, Subject: fmt.Sprint(a.Number)})
		}
		a := t.addAuthority(l.Authority.Certificate, l.Authority.Sealed, nil)
		t.record(Event{Type: EventAuthorityRotated, Subject: fmt.Sprint(a.Number)})
	}
	if len(l.GossipKey) > 0 {
		for _, k := range t.GossipKeys() {
			gossipKeys.delete(t, bigEndian(k.Number))
		}
		k := t.addGossipKey(l.GossipKey)
		t.record(Event{Type: EventGossipKeyRotated, Subject: fmt.Sprint(k.Number)})
	}
}

// forgetMemberships forgets what is remembered of nodes, but for one: their data directories count for nothing.
func (t *txn) forgetMemberships(but string) {
	for _, m := range t.Memberships() {
		if m.Node != but {
			memberships.delete(t, []byte(m.Node))
		}
	}
}

// forgetJoinTokens makes every join token useless: one that was used up or deleted since would be good again.
func (t *txn) forgetJoinTokens() {
	for _, k := range t.JoinTokens("", maxJoinTokens) {
		joinTokens.delete(t, []byte(k.ID))
		t.record(Event{Type: EventJoinTokenDeleted, Subject: string(k.ID)})
	}
}

// forgetCounted makes useless what is good for a number of uses, for the same reason: tokens, client secrets and wrapped
// values.
func (t *txn) forgetCounted() {
	var counted []Token
	tokens.scan(t.tx, nil, func(k Token) bool {
		if k.MaxUses > 0 {
			counted = append(counted, k)
		}
		return true
	})
	t.dropTokens(counted)
	var secrets []ClientSecret
	clientSecrets.scan(t.tx, nil, func(s ClientSecret) bool {
		if s.MaxUses > 0 {
			secrets = append(secrets, s)
		}
		return true
	})
	for _, s := range secrets {
		t.dropClientSecret(s)
	}
	var waiting []Wrapped
	wrappedValues.scan(t.tx, nil, func(w Wrapped) bool {
		waiting = append(waiting, w)
		return true
	})
	for _, w := range waiting {
		wrappedValues.delete(t, w.Hash)
		t.record(Event{Type: EventWrappedDeleted, Subject: w.About})
	}
}

// forgetListings forgets when outside systems were listed: what was seen in the life before says nothing of
// what differs now. A leader lists at once what was never listed.
func (t *txn) forgetListings() {
	var keys [][]byte
	sweeps.scan(t.tx, nil, func(s Sweep) bool {
		keys = append(keys, systemKey(s.Connection, s.System))
		return true
	})
	for _, key := range keys {
		sweeps.delete(t, key)
	}
}
