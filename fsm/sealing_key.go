package fsm

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// SealingState is how far a sealing key has come.
type SealingState string

// The states of a sealing key, in order.
const (
	SealingNext    SealingState = "next"    // on its way to every node; nothing is sealed with it
	SealingPrimary SealingState = "primary" // what is sealed now is sealed with it
	SealingOld     SealingState = "old"     // what was sealed with it is being sealed with the primary key
	SealingRetired SealingState = "retired" // nothing is sealed with it; nodes drop it
)

// SealingKey is what the state knows of a sealing key: not the key, which lies in the nodes' key files only.
type SealingKey struct {
	Number     uint64       `cbor:"1,keyasint"` // index of the entry that made it
	ID         uint32       `cbor:"2,keyasint"` // what values that are sealed with it begin with
	State      SealingState `cbor:"3,keyasint"`
	CreatedAt  Instant      `cbor:"4,keyasint"`
	PromotedAt Instant      `cbor:"5,keyasint,omitempty"` // zero: never; when retired it was given up
	RetiredAt  Instant      `cbor:"6,keyasint,omitempty"`
	Holders    []string     `cbor:"7,keyasint,omitempty"` // nodes that have it in their key files, sorted
	Version    uint64       `cbor:"8,keyasint"`
}

// Live reports whether every node needs the key.
func (k SealingKey) Live() bool { return k.State != SealingRetired }

// CreateSealingKey begins the exchange of the sealing key: the leader has made another. Value: SealingKey.
type CreateSealingKey struct {
	ID uint32 `cbor:"1,keyasint"`

	// Replaces is the number of a key that never sealed anything, which is given up: the leader that made it is
	// gone, and the present one has not got it.
	Replaces uint64 `cbor:"2,keyasint,omitempty"`

	// Wrapped is the keyring with the new key, for the recovery shares. Empty: the cluster has none.
	Wrapped []byte `cbor:"3,keyasint,omitempty"`
}

// RecordSealingKey says that a node has a sealing key in its key file, durably, or has it no more. Value: SealingKey.
type RecordSealingKey struct {
	Node   string `cbor:"1,keyasint"`
	Number uint64 `cbor:"2,keyasint"`
	Gone   bool   `cbor:"3,keyasint,omitempty"`
}

// PromoteSealingKey has everything sealed with a key from now on that all members have. Value: SealingKey.
type PromoteSealingKey struct {
	Number  uint64   `cbor:"1,keyasint"`
	Members []string `cbor:"2,keyasint"` // of the cluster, as the leader knows them by the log's own configuration
}

// ResealValues exchanges the ciphertext of values, each if it is what it was when the leader read it. Value:
// ResealedValues.
type ResealValues struct {
	Number uint64          `cbor:"1,keyasint"` // of the primary key, which they are sealed with now
	Values []ResealedValue `cbor:"2,keyasint"`
}

// ResealedValue is one of them.
type ResealedValue struct {
	Kind   SealedKind `cbor:"1,keyasint"`
	Key    []byte     `cbor:"2,keyasint,omitempty"`
	Old    []byte     `cbor:"3,keyasint"` // SHA-256 of the ciphertext that is replaced
	Sealed []byte     `cbor:"4,keyasint"`
}

// ResealedValues is what a ResealValues did.
type ResealedValues struct {
	Changed uint64 // the others had been changed meanwhile, or were gone
}

// RetireSealingKey ends a key that nothing in the state is sealed with. Value: SealingKey.
type RetireSealingKey struct {
	Number  uint64 `cbor:"1,keyasint"`
	Wrapped []byte `cbor:"2,keyasint,omitempty"` // the keyring without it, for the recovery shares
}

func (*CreateSealingKey) commandType() CommandType  { return TypeCreateSealingKey }
func (*RecordSealingKey) commandType() CommandType  { return TypeRecordSealingKey }
func (*PromoteSealingKey) commandType() CommandType { return TypePromoteSealingKey }
func (*ResealValues) commandType() CommandType      { return TypeResealValues }
func (*RetireSealingKey) commandType() CommandType  { return TypeRetireSealingKey }

// sealing is a body with values that were sealed before it was proposed.
type sealing interface{ sealedValues() [][]byte }

func (c *CreateConnection) sealedValues() [][]byte { return [][]byte{c.Sealed} }
func (c *UpdateConnection) sealedValues() [][]byte {
	if c.System == nil {
		return nil
	}
	return [][]byte{c.System.Sealed}
}
func (c *RotateAuthority) sealedValues() [][]byte { return [][]byte{c.Sealed} }
func (c *RotateGossipKey) sealedValues() [][]byte { return [][]byte{c.Sealed} }
func (c *SetPassword) sealedValues() [][]byte     { return [][]byte{c.Sealed} }
func (c *StoreWrapped) sealedValues() [][]byte    { return [][]byte{c.Sealed} }
func (c *CreateClientSecret) sealedValues() [][]byte {
	if c.Wrapped == nil {
		return nil
	}
	return c.Wrapped.sealedValues()
}

var sealingKeys = table[SealingKey]{
	bucket: "sealing_keys",
	key:    func(r *SealingKey) []byte { return bigEndian(r.Number) },
	indexes: []index[SealingKey]{{bucket: bucketSealingKeysByID, key: func(r *SealingKey, to []byte) ([]byte, bool) {
		return binary.BigEndian.AppendUint32(to, r.ID), true
	}}},
}

const bucketSealingKeysByID = "sealing_keys_by_id"

// sealingKeyByID returns the key that values with an id are sealed with.
func (v *View) sealingKeyByID(id uint32) (k SealingKey, ok bool) {
	eachRow(v.tx, bucketSealingKeysByID, binary.BigEndian.AppendUint32(nil, id), nil, false, func(number []byte) bool {
		k, ok = sealingKeys.get(v.tx, number)
		return false
	})
	return k, ok
}

// SealingKeys returns the sealing keys that there ever were, the oldest first.
func (v *View) SealingKeys() []SealingKey { return page(v.tx, sealingKeys, nil, maxRows, nil) }

// sealedTooLate refuses a command whose values were sealed with a key that has been retired since: nobody could open
// them any more.
func (t *txn) sealedTooLate(body any) *Refusal {
	c, ok := body.(sealing)
	if !ok {
		return nil
	}
	for _, sealed := range c.sealedValues() {
		if t.sealedWithRetired(sealed) {
			return &Refusal{Code: CodeSealingKeyRetired, Message: "the sealing key was exchanged while this was being made; nothing was changed: try again"}
		}
	}
	return nil
}

func (t *txn) sealedWithRetired(sealed []byte) bool {
	id := SealingKeyOf(sealed)
	if id == 0 {
		return false
	}
	k, ok := t.sealingKeyByID(id)
	return ok && !k.Live()
}

// firstSealingKey notes the key that a new cluster's keyring seals with.
func (t *txn) firstSealingKey(check []byte, node *Node) {
	id := SealingKeyOf(check)
	if id == 0 {
		return // nothing is sealed, as in tests
	}
	k := SealingKey{Number: t.meta.Index, ID: id, State: SealingPrimary, CreatedAt: t.now(), PromotedAt: t.now(), Version: t.meta.Index}
	if node != nil {
		k.Holders = []string{node.Name}
	}
	sealingKeys.put(t, k)
}

// sealingIn returns the keys that are in a state.
func (t *txn) sealingIn(state SealingState) (list []SealingKey) {
	for _, k := range t.SealingKeys() {
		if k.State == state {
			list = append(list, k)
		}
	}
	return list
}

// sealingKey returns a key that is to be in a state.
func (t *txn) sealingKey(number uint64, state SealingState) (SealingKey, *Refusal) {
	k, ok := sealingKeys.get(t.tx, bigEndian(number))
	switch {
	case !ok:
		return k, notFound("number", "sealing key", fmt.Sprint(number))
	case k.State != state:
		return k, (&Refusal{Code: CodeSealingKeyState, Field: "number", Message: fmt.Sprintf("sealing key %d is %s, and would have to be %s", number, k.State, state)}).
			With("state", string(k.State))
	}
	return k, nil
}

func (t *txn) putSealingKey(k SealingKey) SealingKey {
	k.Version = t.meta.Index
	sealingKeys.put(t, k)
	return k
}

// rewrap exchanges what the recovery shares open.
func (t *txn) rewrap(wrapped []byte) {
	if t.meta.Recovery != nil {
		next := *t.meta.Recovery
		next.Wrapped = wrapped
		t.meta.Recovery = &next
	}
}

// unwrapped refuses a change of the keyring that the recovery shares would not open.
func (t *txn) unwrapped(wrapped []byte) *Refusal {
	if (t.meta.Recovery == nil) == (len(wrapped) == 0) {
		return nil
	}
	return &Refusal{Code: CodeInvalid, Field: "wrapped", Message: "the keyring has to be wrapped for the recovery shares, where there are any"}
}

func (k SealingKey) event(kind EventType) Event {
	return Event{Type: kind, Subject: fmt.Sprint(k.Number), Details: map[string]string{"id": fmt.Sprintf("%08x", k.ID)}}
}

func applyCreateSealingKey(t *txn, c *CreateSealingKey) (SealingKey, *Refusal) {
	var given *SealingKey
	for _, k := range t.SealingKeys() {
		switch {
		case c.ID == 0 || k.ID == c.ID:
			return k, &Refusal{Code: CodeInvalid, Field: "id", Message: "the id of a sealing key is a number that no other one has"}
		case k.State == SealingNext && k.Number == c.Replaces:
			given = &k
		case k.State == SealingNext || k.State == SealingOld:
			return k, &Refusal{Code: CodeRotationRunning, Message: "the sealing key is being exchanged already: see `brokerctl seal status`"}
		}
	}
	switch {
	case len(t.sealingIn(SealingPrimary)) == 0:
		return SealingKey{}, &Refusal{Code: CodeInvalid, Message: "nothing in this cluster is sealed with a sealing key"}
	case c.Replaces != 0 && given == nil:
		return SealingKey{}, notFound("replaces", "sealing key that is on its way,", fmt.Sprint(c.Replaces))
	}
	if r := t.unwrapped(c.Wrapped); r != nil {
		return SealingKey{}, r
	}
	if given != nil {
		given.State, given.RetiredAt = SealingRetired, t.now()
		t.record(t.putSealingKey(*given).event(EventSealingKeyRetired))
	}
	t.rewrap(c.Wrapped)
	k := t.putSealingKey(SealingKey{Number: t.meta.Index, ID: c.ID, State: SealingNext, CreatedAt: t.now()})
	t.record(k.event(EventSealingKeyCreated))
	return k, nil
}

func applyRecordSealingKey(t *txn, c *RecordSealingKey) (SealingKey, *Refusal) {
	k, ok := sealingKeys.get(t.tx, bigEndian(c.Number))
	switch {
	case !ValidName(c.Node):
		return k, badName("node", c.Node)
	case !ok:
		return k, notFound("number", "sealing key", fmt.Sprint(c.Number))
	case k.Live() == c.Gone:
		return k, &Refusal{Code: CodeSealingKeyState, Field: "number", Message: fmt.Sprintf("sealing key %d is %s: nodes hold keys until they are retired", k.Number, k.State)}
	case slices.Contains(k.Holders, c.Node) != c.Gone:
		return k, nil // said before
	}
	if c.Gone {
		k.Holders = without(k.Holders, c.Node)
	} else {
		k.Holders = slices.Sorted(slices.Values(append(slices.Clone(k.Holders), c.Node)))
	}
	return t.putSealingKey(k), nil
}

func without(list []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == one })
}

func applyPromoteSealingKey(t *txn, c *PromoteSealingKey) (SealingKey, *Refusal) {
	k, r := t.sealingKey(c.Number, SealingNext)
	if r != nil {
		return k, r
	}
	var missing []string
	for _, node := range c.Members {
		if !slices.Contains(k.Holders, node) {
			missing = append(missing, node)
		}
	}
	if len(c.Members) == 0 || len(missing) > 0 {
		return k, (&Refusal{Code: CodeSealingKeyState, Message: "these nodes do not have the new sealing key yet: " + strings.Join(missing, ", ")}).With("missing", strings.Join(missing, " "))
	}
	for _, before := range t.sealingIn(SealingPrimary) {
		before.State = SealingOld
		t.putSealingKey(before)
	}
	k.State, k.PromotedAt = SealingPrimary, t.now()
	k = t.putSealingKey(k)
	t.record(k.event(EventSealingKeyPromoted))
	return k, nil
}

func applyResealValues(t *txn, c *ResealValues) (ResealedValues, *Refusal) {
	var done ResealedValues
	k, r := t.sealingKey(c.Number, SealingPrimary)
	if r != nil {
		return done, r
	}
	for _, v := range c.Values {
		if _, ok := placeOf(v.Kind); !ok || SealingKeyOf(v.Sealed) != k.ID {
			return done, &Refusal{Code: CodeInvalid, Field: "values", Message: fmt.Sprintf("a %s is not sealed with key %d", v.Kind, c.Number)}
		}
	}
	for _, v := range c.Values {
		place, _ := placeOf(v.Kind)
		present, ok := place.get(t, v.Key)
		if sum := sha256.Sum256(present); ok && string(sum[:]) == string(v.Old) {
			place.exchange(t, v.Key, v.Sealed)
			done.Changed++
		}
	}
	return done, nil
}

func applyRetireSealingKey(t *txn, c *RetireSealingKey) (SealingKey, *Refusal) {
	k, r := t.sealingKey(c.Number, SealingOld)
	if r != nil {
		return k, r
	}
	if r := t.unwrapped(c.Wrapped); r != nil {
		return k, r
	}
	var left SealedKind
	t.eachSealed(&t.meta, func(s SealedValue) bool {
		if SealingKeyOf(s.Sealed) == k.ID {
			left = s.Kind
		}
		return left == ""
	})
	if left != "" {
		return k, &Refusal{Code: CodeInUse, Field: "number", Message: fmt.Sprintf("something is still sealed with sealing key %d, e.g. a %s", k.Number, left)}
	}
	t.rewrap(c.Wrapped)
	k.State, k.RetiredAt = SealingRetired, t.now()
	k = t.putSealingKey(k)
	t.record(k.event(EventSealingKeyRetired))
	return k, nil
}

// dropHolder forgets that a node that was removed holds keys.
func (t *txn) dropHolder(node string) {
	for _, k := range t.SealingKeys() {
		if slices.Contains(k.Holders, node) {
			k.Holders = without(k.Holders, node)
			t.putSealingKey(k)
		}
	}
}

func sealingKeyNamed(v *View, number string) (SealingKey, bool) {
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return SealingKey{}, false
	}
	return sealingKeys.get(v.tx, bigEndian(n))
}
