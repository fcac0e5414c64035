package apitest

import (
	"broker/fsm"
	"broker/seal"
)

// sealing is the keyring of a kit, whose sealing key may be exchanged: its one node has the key file.
type sealing struct{ ring *seal.Keyring }

func (s sealing) Keys() []uint32           { return s.ring.SealingKeys() }
func (s sealing) New() (uint32, error)     { return s.ring.NewSealingKey() }
func (s sealing) Use(primary uint32) error { return s.ring.Use(primary) }
func (s sealing) Members() []string        { return []string{"n1"} }
func (s sealing) Follow(primary uint32, drop []uint32) error {
	return s.ring.Follow(primary, drop...)
}

func (s sealing) Wrap(r fsm.Recovery, without ...uint32) ([]byte, error) {
	file, err := s.ring.Without(without...)
	if err != nil {
		return nil, err
	}
	wrapped, err := seal.Recovery{Split: r.Split, Public: r.Public}.Wrap(clusterID, file)
	return wrapped.Wrapped, err
}
