package fsm

// Password is how a password can be checked: it is not the password. An account has one at the most.
type Password struct {
	Account   AccountName `cbor:"1,keyasint"`
	Sealed    []byte      `cbor:"2,keyasint"` // the sealed text of a slow hash
	ChangedAt Instant     `cbor:"3,keyasint"`
	Version   uint64      `cbor:"4,keyasint"`
}

// SetPassword gives an account a password, or another one; nothing sealed takes it away. Value: Password.
type SetPassword struct {
	Account AccountName `cbor:"1,keyasint"`
	Sealed  []byte      `cbor:"2,keyasint,omitempty"`
}

func (*SetPassword) commandType() CommandType { return TypeSetPassword }

// Password returns how the password of an account can be checked.
func (v *View) Password(account AccountName) (Password, bool) {
	return passwords.get(v.tx, []byte(account))
}

func applySetPassword(t *txn, c *SetPassword) (Password, *Refusal) {
	a, ok := t.Account(c.Account)
	if !ok {
		return Password{}, notFound("name", "account", string(c.Account))
	}
	if a.Kind != KindUser {
		return Password{}, &Refusal{Code: CodeInvalid, Field: "password", Message: "passwords are for people: a service signs in with a client secret"}
	}
	if r := going(TargetAccount, string(c.Account), a.Going); r != nil {
		return Password{}, r
	}
	details := map[string]string{}
	p := Password{Account: c.Account, Sealed: c.Sealed, ChangedAt: t.now(), Version: t.meta.Index}
	if len(c.Sealed) == 0 {
		details["removed"] = "true"
		passwords.delete(t, []byte(c.Account))
	} else {
		passwords.put(t, p)
	}
	t.record(Event{Type: EventPasswordChanged, Subject: string(c.Account), Details: details})
	return p, nil
}
