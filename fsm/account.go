package fsm

import "fmt"

// CreateAccount makes an account, which may do nothing yet. Value: Account.
type CreateAccount struct {
	Name        AccountName `cbor:"1,keyasint"`
	Kind        AccountKind `cbor:"2,keyasint"`
	Description string      `cbor:"3,keyasint,omitempty"`
	MaxLeases   uint64      `cbor:"4,keyasint,omitempty"`
	IssueRate   Rate        `cbor:"5,keyasint,omitzero"`
}

// UpdateAccount changes an account; nil fields stay. Value: Account.
type UpdateAccount struct {
	Name      AccountName `cbor:"1,keyasint"`
	Disabled  *bool       `cbor:"2,keyasint,omitempty"`
	MaxLeases *uint64     `cbor:"3,keyasint,omitempty"`
	IssueRate *Rate       `cbor:"4,keyasint,omitempty"`
	IfVersion uint64      `cbor:"5,keyasint,omitempty"`
	Revoke    *Revocation `cbor:"6,keyasint,omitempty"` // of its leases, when it is disabled

	Description *string `cbor:"7,keyasint,omitempty"`

	// DeleteMade deletes the tokens that it made for others: who had it may have given them to himself.
	DeleteMade bool `cbor:"8,keyasint,omitempty"`
}

// DeleteAccount removes an account that holds no live leases, with all by which it shows who it is. Tokens that it made
// for others stay. Value: Account.
type DeleteAccount struct {
	Name      AccountName `cbor:"1,keyasint"`
	IfVersion uint64      `cbor:"2,keyasint,omitempty"`
}

func (*CreateAccount) commandType() CommandType { return TypeCreateAccount }
func (*UpdateAccount) commandType() CommandType { return TypeUpdateAccount }
func (*DeleteAccount) commandType() CommandType { return TypeDeleteAccount }

func (a Account) ref() string { return string(a.Name) }

func applyCreateAccount(t *txn, c *CreateAccount) (Account, *Refusal) {
	if !ValidName(string(c.Name)) {
		return Account{}, badName("account", string(c.Name))
	}
	if c.Kind != KindUser && c.Kind != KindService {
		return Account{}, &Refusal{Code: CodeInvalid, Field: "kind", Message: fmt.Sprintf("%q is none of user, service", string(c.Kind))}
	}
	if _, ok := t.Account(c.Name); ok {
		return Account{}, exists("name", "account", string(c.Name))
	}
	a := Account{
		Name: c.Name, Kind: c.Kind, Description: c.Description, MaxLeases: c.MaxLeases, IssueRate: c.IssueRate,
		CreatedAt: t.now(), Version: t.meta.Index,
	}
	accounts.put(t, a)
	t.record(Event{Type: EventAccountCreated, Subject: string(a.Name), Details: map[string]string{"kind": string(a.Kind)}})
	return a, nil
}

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
	set(&a.Description, c.Description)
	a.Version = t.meta.Index
	accounts.put(t, a)
	t.record(Event{Type: EventAccountUpdated, Subject: string(c.Name)})
	t.beginRevocation(c.Revoke)
	if c.DeleteMade {
		t.dropTokens(t.TokensMadeBy(c.Name))
	}
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
	for _, k := range t.TokensOf(a.Name, "", maxTokens+1) {
		t.forgetToken(k)
	}
	t.dropBindingsOf(a.Name, "")
	for _, s := range t.ClientSecretsOf(a.Name, "", maxClientSecrets) {
		clientSecrets.delete(t, []byte(s.ID))
	}
	passwords.delete(t, []byte(a.Name))
	t.leaveGroups(a.Name)
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
