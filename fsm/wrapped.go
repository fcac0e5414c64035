package fsm

import "time"

// Wrapped is a value that can be taken once, by whoever has the token for it. The token is needed to open it, too.
type Wrapped struct {
	Hash      []byte  `cbor:"1,keyasint"` // keyed, of the token
	Sealed    []byte  `cbor:"2,keyasint"`
	About     string  `cbor:"3,keyasint,omitempty"` // what it is, for the history
	CreatedAt Instant `cbor:"4,keyasint"`
	ExpiresAt Instant `cbor:"5,keyasint"`
}

// StoreWrapped keeps a value until it is taken or its time is over. Value: Wrapped.
type StoreWrapped struct {
	Hash   []byte        `cbor:"1,keyasint"`
	Sealed []byte        `cbor:"2,keyasint"`
	About  string        `cbor:"3,keyasint,omitempty"`
	TTL    time.Duration `cbor:"4,keyasint"`
}

// TakeWrapped takes a value, which is gone then. Value: Wrapped.
type TakeWrapped struct {
	Hash []byte `cbor:"1,keyasint"`
}

func (*StoreWrapped) commandType() CommandType { return TypeStoreWrapped }
func (*TakeWrapped) commandType() CommandType  { return TypeTakeWrapped }

func applyStoreWrapped(t *txn, c *StoreWrapped) (Wrapped, *Refusal) {
	if r := t.badWrapped(c); r != nil {
		return Wrapped{}, r
	}
	return t.storeWrapped(c), nil
}

func (t *txn) badWrapped(c *StoreWrapped) *Refusal {
	if len(c.Hash) == 0 || len(c.Sealed) == 0 {
		return badName("wrapped value", "")
	}
	if c.TTL <= 0 {
		return &Refusal{Code: CodeInvalid, Field: "wrap_ttl", Message: "a wrapped value must be kept for a time"}
	}
	if _, ok := t.Wrapped(c.Hash); ok {
		return exists("token", "wrapped value", c.About)
	}
	return nil
}

func (t *txn) storeWrapped(c *StoreWrapped) Wrapped {
	w := Wrapped{Hash: c.Hash, Sealed: c.Sealed, About: c.About, CreatedAt: t.now(), ExpiresAt: t.now().Add(c.TTL)}
	wrappedValues.put(t, w)
	t.record(Event{Type: EventWrappedStored, Subject: w.About, Details: map[string]string{"expires_at": w.ExpiresAt.String()}})
	return w
}

func applyTakeWrapped(t *txn, c *TakeWrapped) (Wrapped, *Refusal) {
	w, ok := t.Wrapped(c.Hash)
	if !ok || t.now() >= w.ExpiresAt {
		return Wrapped{}, &Refusal{Code: CodeWrappedGone, Message: "there is no value behind this token: it was taken already, its time is over, or the token is wrong; " +
			"if it should be there and you did not take it, somebody else has it: delete what it is, and make another"}
	}
	wrappedValues.delete(t, w.Hash)
	t.record(Event{Type: EventWrappedTaken, Subject: w.About})
	return w, nil
}

// Wrapped returns the value that waits under a token's hash.
func (v *View) Wrapped(hash []byte) (Wrapped, bool) {
	if len(hash) == 0 {
		return Wrapped{}, false
	}
	return wrappedValues.get(v.tx, hash)
}
