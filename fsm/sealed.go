package fsm

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
)

// SealedKind says what kind of record a sealed value lies in.
type SealedKind string

// The kinds.
const (
	SealedSystem    SealedKind = "connection"
	SealedAuthority SealedKind = "authority"
	SealedGossipKey SealedKind = "gossip-key"
	SealedReply     SealedKind = "reply"
	SealedKeyCheck  SealedKind = "key-check"
	SealedPassword  SealedKind = "password"
	SealedWrapped   SealedKind = "wrapped"
	SealedRotation  SealedKind = "rotation"
)

// sealedPlaces is the one list of where sealed values lie in the state. What is not in it keeps its old ciphertext
// when the sealing key is exchanged, and cannot be opened any more once the old key is gone: a test looks for it. Each
// line says in which table, what the values are bound to, and which field holds them.
var sealedPlaces = []sealedPlace{
	keyCheckPlace,
	sealedIn(SealedSystem, systems, func(r *System) string { return ConnectionSeal(r.Connection) }, func(r *System) *[]byte { return &r.Sealed }),
	sealedIn(SealedAuthority, authorities, func(r *Authority) string { return AuthoritySeal(r.Certificate) }, func(r *Authority) *[]byte { return &r.Sealed }),
	sealedIn(SealedGossipKey, gossipKeys, func(*GossipKey) string { return GossipKeySeal }, func(r *GossipKey) *[]byte { return &r.Sealed }),
	sealedIn(SealedReply, replies, func(r *reply) string { return ReplySeal(r.Lease) }, func(r *reply) *[]byte { return &r.Sealed }),
	sealedIn(SealedPassword, passwords, func(r *Password) string { return PasswordSeal(r.Account) }, func(r *Password) *[]byte { return &r.Sealed }),
	sealedIn(SealedWrapped, wrappedValues, func(*Wrapped) string { return WrappedSeal }, func(r *Wrapped) *[]byte { return &r.Sealed }),
	// A credential moves from the one place to the other as it is, so it is bound to the same.
	sealedIn(SealedRotation, rotations, func(r *Rotation) string { return ConnectionSeal(r.Connection) }, func(r *Rotation) *[]byte { return &r.Sealed }),
}

// What sealed values are bound to besides the key: one that is moved to another record does not open there.
const (
	KeyCheckSeal  = "cluster:key-check"
	GossipKeySeal = "cluster:gossip-key"
	WrappedSeal   = "wrapped" // which one it is, is bound by the token that opens it
)

// ConnectionSeal is what the settings of a connection's systems, and those of its rotation, are bound to.
func ConnectionSeal(name ConnectionName) string { return "connection:" + string(name) }

// AuthoritySeal is what the key of an authority is bound to: its certificate's fingerprint.
func AuthoritySeal(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return "cluster:authority:sha256:" + hex.EncodeToString(sum[:])
}

// ReplySeal is what the answer to an issue is bound to.
func ReplySeal(id LeaseID) string { return "reply:" + string(id) }

// PasswordSeal is what the hash of an account's password is bound to.
func PasswordSeal(account AccountName) string { return "password:" + string(account) }

// SealingKeyOf returns the id of the key that a value was sealed with, which it begins with. Zero: it was sealed by
// something else than a keyring.
func SealingKeyOf(sealed []byte) uint32 {
	if len(sealed) < 5 || sealed[0] != 1 {
		return 0
	}
	return binary.BigEndian.Uint32(sealed[1:5])
}

// SealedValue is a sealed value of the state.
type SealedValue struct {
	Kind   SealedKind
	Key    []byte // of the record, among those of the kind
	Bound  string // what it is bound to
	Sealed []byte
}

// sealedPlace is where sealed values of one kind lie.
type sealedPlace struct {
	kind     SealedKind
	scan     func(v *View, meta *Meta, visit func(SealedValue) bool)
	get      func(t *txn, key []byte) ([]byte, bool)
	exchange func(t *txn, key, sealed []byte)
}

func sealedIn[R any](kind SealedKind, in table[R], bound func(*R) string, value func(*R) *[]byte) sealedPlace {
	return sealedPlace{
		kind: kind,
		scan: func(v *View, _ *Meta, visit func(SealedValue) bool) {
			in.scan(v.tx, nil, func(r R) bool {
				sealed := *value(&r)
				return len(sealed) == 0 || visit(SealedValue{Kind: kind, Key: in.key(&r), Bound: bound(&r), Sealed: sealed})
			})
		},
		get: func(t *txn, key []byte) ([]byte, bool) {
			r, ok := in.read(&t.View, key)
			return *value(&r), ok
		},
		exchange: func(t *txn, key, sealed []byte) {
			r, _ := in.read(&t.View, key)
			*value(&r) = sealed
			in.put(t, r) // its version stays: what it says has not changed
		},
	}
}

// keyCheckPlace is the value that tells a node whether it has the cluster's keyring.
var keyCheckPlace = sealedPlace{
	kind: SealedKeyCheck,
	scan: func(_ *View, meta *Meta, visit func(SealedValue) bool) {
		if len(meta.KeyCheck) > 0 {
			visit(SealedValue{Kind: SealedKeyCheck, Bound: KeyCheckSeal, Sealed: meta.KeyCheck})
		}
	},
	get:      func(t *txn, _ []byte) ([]byte, bool) { return t.meta.KeyCheck, true },
	exchange: func(t *txn, _, sealed []byte) { t.meta.KeyCheck = sealed },
}

// eachSealed visits the sealed values until visit answers false.
func (v *View) eachSealed(meta *Meta, visit func(SealedValue) bool) {
	on := true
	for _, place := range sealedPlaces {
		if !on {
			return
		}
		place.scan(v, meta, func(s SealedValue) bool {
			on = visit(s)
			return on
		})
	}
}

// SealedOtherwise returns up to limit values that were sealed with another key than one.
func (v *View) SealedOtherwise(key uint32, limit int) (list []SealedValue) {
	meta := v.Meta()
	v.eachSealed(&meta, func(s SealedValue) bool {
		if id := SealingKeyOf(s.Sealed); id != key && id != 0 {
			s.Key, s.Sealed = slices.Clone(s.Key), slices.Clone(s.Sealed)
			list = append(list, s)
		}
		return len(list) < limit
	})
	return list
}

// SealedBy counts the sealed values by the key they were sealed with.
func (v *View) SealedBy() map[uint32]uint64 {
	counts := map[uint32]uint64{}
	meta := v.Meta()
	v.eachSealed(&meta, func(s SealedValue) bool {
		if id := SealingKeyOf(s.Sealed); id != 0 {
			counts[id]++
		}
		return true
	})
	return counts
}

func placeOf(kind SealedKind) (sealedPlace, bool) {
	for _, place := range sealedPlaces {
		if place.kind == kind {
			return place, true
		}
	}
	return sealedPlace{}, false
}
