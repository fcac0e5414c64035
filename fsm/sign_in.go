package fsm

// SignIn makes a token for whoever has shown who they are. It judges again what may have changed since that was looked
// at, and spends a use of the client secret. Value: Token.
type SignIn struct {
	Token Token `cbor:"1,keyasint"`

	// ClientSecret is what was shown. Empty: something else was.
	ClientSecret ClientSecretID `cbor:"2,keyasint,omitempty"`

	// Password is the version of the password that was shown. Zero: something else was.
	Password uint64 `cbor:"3,keyasint,omitempty"`
}

func (*SignIn) commandType() CommandType { return TypeSignIn }

func applySignIn(t *txn, c *SignIn) (Token, *Refusal) {
	refused := &Refusal{Code: CodeSignInRefused, Message: SignInRefused}
	k := c.Token
	a, ok := t.Account(k.Account)
	if !ok || a.Disabled || a.Going != "" {
		return Token{}, refused
	}
	if r := t.badToken(k); r != nil {
		return Token{}, r
	}
	details := map[string]string{}
	var s ClientSecret
	if c.ClientSecret != "" {
		s, ok = t.ClientSecret(c.ClientSecret)
		if !ok || s.Account != k.Account || s.Over(t.now()) {
			return Token{}, refused
		}
		details["client_secret"] = string(s.ID)
	}
	if p, ok := t.Password(k.Account); c.Password != 0 && (!ok || p.Version != c.Password) {
		return Token{}, refused
	}
	if s.ID != "" && s.MaxUses > 0 {
		s.Used++
		s.Version = t.meta.Index
		clientSecrets.put(t, s)
		if s.Used == s.MaxUses {
			t.record(Event{Type: EventClientSecretUsedUp, Subject: string(s.ID), Details: map[string]string{"account": string(s.Account)}})
		}
	}
	k.Parent = ""
	return t.makeToken(k, details), nil
}

// SignInRefused is what whoever fails to sign in is told, for whatever reason.
const SignInRefused = "signing in was refused: the name or the secret is wrong, or this account may not sign in like this"
