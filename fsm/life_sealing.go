package fsm

import (
	"fmt"
	"slices"
)

// Sealing is what a running cluster has to do with sealing keys.
type Sealing struct {
	Keys     []SealingKey
	KeyCheck []byte
	Recovery *Recovery

	// Reseal seals a value of the state anew, with a key that the cluster has.
	Reseal func(SealedValue) ([]byte, error)
}

// Sealing returns it, but for Reseal.
func (v *View) Sealing() Sealing {
	meta := v.Meta()
	return Sealing{Keys: v.SealingKeys(), KeyCheck: meta.KeyCheck, Recovery: meta.Recovery}
}

// sealAnew has the state be sealed with keys that the cluster of the new life has.
func (t *txn) sealAnew(l Life) error {
	if l.Sealing == nil {
		t.onlyHolder(l.Node.Name)
		return nil
	}
	for _, k := range t.SealingKeys() {
		sealingKeys.delete(t, bigEndian(k.Number))
	}
	live := map[uint32]bool{}
	for _, k := range l.Sealing.Keys {
		sealingKeys.put(t, k)
		live[k.ID] = k.Live()
	}
	t.meta.KeyCheck, t.meta.Recovery = l.Sealing.KeyCheck, l.Sealing.Recovery
	var stale []SealedValue
	t.eachSealed(&t.meta, func(s SealedValue) bool {
		if id := SealingKeyOf(s.Sealed); id != 0 && !live[id] {
			s.Key, s.Sealed = slices.Clone(s.Key), slices.Clone(s.Sealed)
			stale = append(stale, s)
		}
		return true
	})
	for _, s := range stale {
		sealed, err := l.Sealing.Reseal(s)
		if err != nil {
			return fmt.Errorf("sealing a %s anew: %w", s.Kind, err)
		}
		place, _ := placeOf(s.Kind)
		place.exchange(t, s.Key, sealed)
	}
	return nil
}

// onlyHolder forgets that nodes hold keys that do not go on. Without a name all go on.
func (t *txn) onlyHolder(node string) {
	for _, k := range t.SealingKeys() {
		left := slices.DeleteFunc(slices.Clone(k.Holders), func(holder string) bool { return holder != node })
		if node != "" && len(left) != len(k.Holders) {
			k.Holders = left
			t.putSealingKey(k)
		}
	}
}
