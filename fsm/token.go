package fsm

// CreateToken makes an access token for an account. Value: Token.
type CreateToken struct {
	Token Token `cbor:"1,keyasint"`
}

func (*CreateToken) commandType() CommandType { return TypeCreateToken }

func applyCreateToken(t *txn, c *CreateToken) (Token, *Refusal) {
	k := c.Token
	if k.Accessor == "" || len(k.Hash) == 0 {
		return Token{}, badName("token", string(k.Accessor))
	}
	if a, ok := t.Account(k.Account); !ok {
		return Token{}, notFound("account", "account", string(k.Account))
	} else if a.Disabled {
		return Token{}, &Refusal{Code: CodeAccountDisabled, Message: "account \"" + string(k.Account) + "\" is disabled"}
	}
	if _, ok := tokens.get(t.tx, []byte(k.Accessor)); ok {
		return Token{}, exists("accessor", "token", string(k.Accessor))
	}
	k.CreatedAt, k.Version = t.now(), t.meta.Index
	tokens.put(t, k)
	details := map[string]string{"account": string(k.Account)}
	if k.ExpiresAt != 0 {
		details["expires_at"] = k.ExpiresAt.String()
	}
	t.record(Event{Type: EventTokenCreated, Subject: string(k.Accessor), Details: details})
	return k, nil
}
