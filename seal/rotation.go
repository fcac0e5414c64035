package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"google.golang.org/protobuf/proto"
)

// ErrUnknownKey is returned when a sealing key is asked for that the keyring does not hold.
var ErrUnknownKey = errors.New("this keyring does not hold that sealing key")

// KeyOf returns the id of the sealing key that a value was sealed with. It needs no key: each sealed value begins
// with a byte 1 and the id, in four bytes. False: the value was not sealed by a keyring.
func KeyOf(sealed []byte) (id uint32, ok bool) {
	if len(sealed) < 5 || sealed[0] != 1 {
		return 0, false
	}
	return binary.BigEndian.Uint32(sealed[1:5]), true
}

// SealingKeys returns the ids of the sealing keys, the one that seals first.
func (k *Keyring) SealingKeys() []uint32 {
	info := k.keys.Load().sealing.KeysetInfo()
	ids := []uint32{info.GetPrimaryKeyId()}
	for _, one := range info.GetKeyInfo() {
		if id := one.GetKeyId(); id != ids[0] {
			ids = append(ids, id)
		}
	}
	return ids
}

// Holds reports whether the keyring has a sealing key.
func (k *Keyring) Holds(id uint32) bool { return slices.Contains(k.SealingKeys(), id) }

// File returns what another node of the cluster needs to have the same keyring.
func (k *Keyring) File() KeyFile { return slices.Clone(k.keys.Load().file) }

// NewSealingKey adds a sealing key, which opens and does not seal yet. It is durable when its id is returned.
func (k *Keyring) NewSealingKey() (id uint32, err error) {
	fresh, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return 0, fmt.Errorf("making a sealing key: %w", err)
	}
	set := insecurecleartextkeyset.KeysetMaterial(fresh)
	id = set.GetPrimaryKeyId()
	err = k.change(k.keep, func(present *tinkpb.Keyset) error {
		if slices.ContainsFunc(present.Key, func(one *tinkpb.Keyset_Key) bool { return one.GetKeyId() == id }) {
			return errors.New("making a sealing key: its number is taken, try again")
		}
		present.Key = append(present.Key, set.Key...)
		return nil
	})
	return id, err
}

// Learn takes in the sealing keys of another node's key file that this keyring lacks. They open and do not seal yet,
// and are durable when it returns. A file with another hashing key is of another cluster.
func (k *Keyring) Learn(file KeyFile) error {
	other, err := parse(file, "the key file of another node")
	if err != nil {
		return err
	}
	if !sameCluster(file, k.keys.Load().file) {
		return errors.New("the key file of another node is not of this cluster")
	}
	return k.change(k.keep, func(present *tinkpb.Keyset) error {
		for _, one := range insecurecleartextkeyset.KeysetMaterial(other.sealing).Key {
			if !slices.ContainsFunc(present.Key, func(p *tinkpb.Keyset_Key) bool { return p.GetKeyId() == one.GetKeyId() }) {
				present.Key = append(present.Key, one)
			}
		}
		return nil
	})
}

// Follow has one sealing key seal from now on, and drops others, if they are there, for good. It is durable when it
// returns. A key that seals is not dropped.
func (k *Keyring) Follow(primary uint32, drop ...uint32) error {
	held := k.SealingKeys()
	if !slices.Contains(held, primary) {
		return ErrUnknownKey
	}
	stays := func(id uint32) bool { return id == primary || !slices.Contains(drop, id) }
	if now := k.keys.Load(); held[0] == primary && !slices.ContainsFunc(held, func(id uint32) bool { return !stays(id) }) && bytes.Equal(now.kept, now.file) {
		return nil // it is asked often: no key is copied for that
	}
	return k.change(k.keep, func(present *tinkpb.Keyset) error {
		present.PrimaryKeyId = primary
		present.Key = without(present.Key, primary, drop)
		return nil
	})
}

// Use has one sealing key seal from now on, as long as this process runs: the key file stays as it is.
func (k *Keyring) Use(primary uint32) error {
	if !k.Holds(primary) {
		return ErrUnknownKey
	}
	return k.change(nil, func(present *tinkpb.Keyset) error {
		present.PrimaryKeyId = primary
		return nil
	})
}

// Without returns the key file as it will be once some sealing keys are dropped.
func (k *Keyring) Without(drop ...uint32) (KeyFile, error) {
	now := k.keys.Load()
	set := insecurecleartextkeyset.KeysetMaterial(now.sealing)
	set.Key = without(set.Key, set.GetPrimaryKeyId(), drop)
	return encodeSet(set, now.hashing)
}

// encodeSet returns the key file of a set of sealing keys.
func encodeSet(set *tinkpb.Keyset, hashing *keyset.Handle) (KeyFile, error) {
	data, err := proto.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("encoding a set of sealing keys: %w", err)
	}
	defer clear(data)
	sealing, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(data)))
	if err != nil {
		return nil, fmt.Errorf("reading a set of sealing keys: %w", err)
	}
	return encodeKeyFile(sealing, hashing)
}

func without(list []*tinkpb.Keyset_Key, primary uint32, drop []uint32) []*tinkpb.Keyset_Key {
	return slices.DeleteFunc(slices.Clone(list), func(one *tinkpb.Keyset_Key) bool {
		return one.GetKeyId() != primary && slices.Contains(drop, one.GetKeyId())
	})
}

// change alters the set of sealing keys: durably first, then for those who seal and open.
func (k *Keyring) change(keep func(before, after KeyFile) error, alter func(*tinkpb.Keyset) error) error {
	k.alter.Lock()
	defer k.alter.Unlock()
	now := k.keys.Load()
	before := insecurecleartextkeyset.KeysetMaterial(now.sealing)
	set := proto.CloneOf(before)
	if err := alter(set); err != nil {
		return err
	}
	if proto.Equal(before, set) && (keep == nil || bytes.Equal(now.kept, now.file)) {
		return nil
	}
	file, err := encodeSet(set, now.hashing)
	if err != nil {
		return err
	}
	next, err := parse(file, "the new key file")
	if err != nil {
		return err
	}
	next.kept = now.kept
	if keep != nil {
		if err := keep(now.kept, file); err != nil {
			return err
		}
		next.kept = file
	}
	k.keys.Store(next)
	return nil
}
