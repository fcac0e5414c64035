package broker

import (
	"encoding/json"
	"errors"
	"fmt"

	"broker/fsm"
	"broker/providers"
)

// errEnded says that a lease which was active a moment ago is so no more.
var errEnded = errors.New("the lease has ended meanwhile")

// replay answers a repeated request with the values of the first. It returns errEnded when the lease has ended since
// it was read, with which its values went too.
func (p *period) replay(req Request, lease fsm.Lease) (Issued, error) {
	var sealed []byte
	var kept, active bool
	if err := p.peek(func(v *fsm.View) {
		sealed, kept = v.Reply(lease.ID, p.now())
		now, _ := v.Lease(lease.ID)
		active = now.State == fsm.Active
	}); err != nil {
		return Issued{}, err
	}
	switch {
	case !active:
		return Issued{}, errEnded
	case !kept:
		return Issued{}, (&fsm.Refusal{Code: fsm.CodeKeyAnswerGone, Message: fmt.Sprintf("this request was carried out before; its values were kept for %s and are gone: use lease %s, or send a new key for a new lease", p.Timing.ReplyTTL, lease.ID)}).With("lease_id", string(lease.ID))
	}
	values, err := p.openReply(req.Key.Value, lease.ID, sealed)
	if err != nil {
		return Issued{}, err
	}
	return Issued{Lease: lease, Values: values, Replayed: true}, nil
}

// storedValue is a value inside a sealed reply.
type storedValue struct {
	Key, Value string
	Plain      bool
}

func (p *period) sealReply(key string, id fsm.LeaseID, values []Value) ([]byte, error) {
	stored := make([]storedValue, len(values))
	for i, v := range values {
		stored[i] = storedValue{v.Key, v.Value.Reveal(), v.Plain}
	}
	data, err := json.Marshal(stored)
	if err != nil {
		return nil, fmt.Errorf("encoding the values of lease %s: %w", id, err)
	}
	return p.Keyring.SealFor(key, data, fsm.ReplySeal(id))
}

func (p *period) openReply(key string, id fsm.LeaseID, sealed []byte) ([]Value, error) {
	data, err := p.Keyring.OpenFor(key, sealed, fsm.ReplySeal(id))
	if err != nil {
		return nil, err
	}
	var stored []storedValue
	if err := json.Unmarshal(data, &stored); err != nil {
		return nil, fmt.Errorf("decoding the values of lease %s: they are damaged", id)
	}
	values := make([]Value, len(stored))
	for i, s := range stored {
		values[i] = Value{Key: s.Key, Value: providers.NewSecret(s.Value), Plain: s.Plain}
	}
	return values, nil
}
