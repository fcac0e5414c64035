package fsm

import "testing"

// The operation that a command makes along with its work answers to a key of its own.
func TestRevocationBindsItsKey(t *testing.T) {
	key := NewKey("alice", "PATCH (revoke)", "k", []byte("body"))
	disabled := true
	for name, body := range map[string]func(*Revocation) Body{
		"account": func(r *Revocation) Body { return &UpdateAccount{Name: "alice", Disabled: &disabled, Revoke: r} },
		"lock":    func(r *Revocation) Body { return &CreateLock{ID: "K1", Scope: LockScope{Account: "alice"}, Revoke: r} },
	} {
		p := mustPlay(t)
		try := func(body Body, key *IdempotencyKey) *Result {
			c, err := NewCommand(body, epoch.Time(), Actor{Account: "alice"}, 1)
			if err != nil {
				t.Fatal(err)
			}
			c.Key = key
			r, err := p.state.Try(c)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		along := CreateOperation{ID: "O1", Kind: OperationRevoke, Selector: LeaseSelector{Account: "alice"}}
		c, err := NewCommand(body(&Revocation{Operation: along, Key: key}), epoch.Time(), Actor{Account: "alice"}, 1)
		if err != nil {
			t.Fatal(err)
		}
		p.apply(c)
		along.ID = "O2"
		if r := try(&along, key); !r.Replayed || r.Value.(Operation).ID != "O1" {
			t.Errorf("%s: with its key again: %+v", name, r)
		}
		other := *key
		other.Body = []byte("another")
		if r := try(&along, &other); r.Refusal == nil || r.Refusal.Code != CodeKeyReused {
			t.Errorf("%s: with its key and another body: %+v", name, r)
		}
	}
}
