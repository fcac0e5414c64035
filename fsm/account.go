package fsm

import "fmt"

// UpdateAccount changes an account; nil fields stay. Value: Account.
type UpdateAccount struct {
	Name      AccountName `cbor:"1,keyasint"`
	Disabled  *bool       `cbor:"2,keyasint,omitempty"`
	MaxLeases *uint64     `cbor:"3,keyasint,omitempty"`
	IssueRate *Rate       `cbor:"4,keyasint,omitempty"`
	IfVersion uint64      `cbor:"5,keyasint,omitempty"`
	Revoke    *Revocation `cbor:"6,keyasint,omitempty"` // of its leases, when it is disabled
}

// DeleteAccount removes an account that holds no live leases, with its tokens. Value: Account.
type DeleteAccount struct {
	Name      AccountName `cbor:"1,keyasint"`
	IfVersion uint64      `cbor:"2,keyasint,omitempty"`
}

func (*UpdateAccount) commandType() CommandType { return TypeUpdateAccount }
func (*DeleteAccount) commandType() CommandType { return TypeDeleteAccount }

func (a Account) ref() string { return string(a.Name) }

func applyUpdateAccount(t *txn, c *UpdateAccount) (Account, *Refusal) {
	a, ok := t.Account(c.Name)
	if !ok {
		return a, notFound("name", "account", string(c.Name))
	}
	if r := checkVersion(c.IfVersion, a.Version, "account", string(c.Name)); r != nil {
		return a, r
	}
	if c.Disabled != nil && *c.Disabled {
		if r := t.lastAdmin(func(_ Binding, name AccountName) bool { return name == a.Name }); r != nil {
			return a, r
		}
	}
	if r := t.mayRevoke(c.Revoke); r != nil {
		return a, r
	}
	set(&a.Disabled, c.Disabled)
	set(&a.MaxLeases, c.MaxLeases)
	set(&a.IssueRate, c.IssueRate)
	a.Version = t.meta.Index
	accounts.put(t, a)
	t.record(Event{Type: EventAccountUpdated, Subject: string(c.Name)})
	t.beginRevocation(c.Revoke)
	return a, nil
}

func applyDeleteAccount(t *txn, c *DeleteAccount) (Account, *Refusal) {
	a, ok := t.Account(c.Name)
	if !ok {
		return a, notFound("name", "account", string(c.Name))
	}
	if r := checkVersion(c.IfVersion, a.Version, "account", string(c.Name)); r != nil {
		return a, r
	}
	if live := t.Count(accountCounter(c.Name)); live > 0 {
		return a, (&Refusal{Code: CodeAccountLeases, Message: fmt.Sprintf("account %q holds %s: revoke them first", c.Name, counted(live, "live lease"))}).
			With("leases", fmt.Sprint(live))
	}
	if r := t.lastAdmin(func(_ Binding, name AccountName) bool { return name == a.Name }); r != nil {
		return a, r
	}
	t.dropAccount(a)
	return a, nil
}

func (t *txn) dropAccount(a Account) {
	var gone [][]byte
	tokens.scan(t.tx, nil, func(k Token) bool {
		if k.Account == a.Name {
			gone = append(gone, []byte(k.Accessor))
		}
		return true
	})
	for _, key := range gone {
		tokens.delete(t, key)
	}
	t.dropBindingsOf(a.Name, "")
	accounts.delete(t, []byte(a.Name))
	t.record(Event{Type: EventAccountDeleted, Subject: string(a.Name)})
}

// Accounts returns up to limit accounts in order of name, beginning after the one named.
func (v *View) Accounts(after AccountName, limit int) []Account {
	return page(v.tx, accounts, []byte(after), limit, nil)
}

// LiveLeasesOf returns how many pending, active and revoking leases an account holds.
func (v *View) LiveLeasesOf(name AccountName) uint64 { return v.Count(accountCounter(name)) }

// counted writes a number with its noun: "1 live lease", "2 live leases".
func counted(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
