package fsm

import (
	"fmt"
	"net/netip"
	"time"
)

// The methods by which tokens come into being.
const (
	MethodInit     = "init"     // with the cluster
	MethodHost     = "host"     // on a node's host, by whoever may read its data directory
	MethodToken    = "token"    // with another token
	MethodClient   = "client"   // by signing in with a client secret
	MethodPassword = "password" // by signing in with a password
)

// Token gives its bearer an account's rights. Only a keyed hash of it is known.
type Token struct {
	Accessor    TokenAccessor `cbor:"1,keyasint"`
	Hash        []byte        `cbor:"2,keyasint"`
	Account     AccountName   `cbor:"3,keyasint"`
	Description string        `cbor:"4,keyasint,omitempty"`
	CreatedAt   Instant       `cbor:"5,keyasint"`
	ExpiresAt   Instant       `cbor:"6,keyasint,omitempty"` // zero: never
	Version     uint64        `cbor:"7,keyasint"`

	MaxUses uint32        `cbor:"8,keyasint,omitempty"` // requests that it is good for; zero: any number
	Used    uint32        `cbor:"9,keyasint,omitempty"`
	CIDRs   []string      `cbor:"10,keyasint,omitempty"` // networks that it is good from; none: from anywhere
	MadeBy  AccountName   `cbor:"11,keyasint,omitempty"`
	Method  string        `cbor:"12,keyasint,omitempty"`
	Groups  []GroupName   `cbor:"13,keyasint,omitempty"` // that the proof brought, beside those of the account
	Parent  TokenAccessor `cbor:"14,keyasint,omitempty"` // that it was made with, for the same account

	IdleTTL    time.Duration `cbor:"15,keyasint,omitempty"` // for how long it is good without being renewed; zero: it need not be
	IdleEndsAt Instant       `cbor:"16,keyasint,omitempty"` // when that is over
}

func (k *Token) madeForAnother() bool { return k.MadeBy != "" && k.MadeBy != k.Account }
func (k *Token) fromHost() bool       { return k.Method == MethodInit || k.Method == MethodHost }

// EndsAt is when the token's time is over, unless it is renewed before. Zero: never.
func (k Token) EndsAt() Instant {
	if k.IdleEndsAt != 0 && (k.ExpiresAt == 0 || k.IdleEndsAt < k.ExpiresAt) {
		return k.IdleEndsAt
	}
	return k.ExpiresAt
}

// Over reports whether a token's time is over, or it is used up.
func (k Token) Over(now Instant) bool {
	end := k.EndsAt()
	return end != 0 && now >= end || k.MaxUses > 0 && k.Used >= k.MaxUses
}

// renewed is the token with all of its idle time before it.
func (k Token) renewed(now Instant) Token {
	if k.IdleTTL == 0 {
		return k
	}
	k.IdleEndsAt = max(k.IdleEndsAt, now.Add(k.IdleTTL))
	if k.ExpiresAt != 0 {
		k.IdleEndsAt = min(k.IdleEndsAt, k.ExpiresAt)
	}
	return k
}

// CreateToken makes an access token for an account. One with a parent lives no longer than that and is good from nowhere
// else. Value: Token.
type CreateToken struct {
	Token Token `cbor:"1,keyasint"`
}

// DeleteToken makes a token useless, and those that were made with it. Value: []Token, those that are gone.
type DeleteToken struct {
	Accessor TokenAccessor `cbor:"1,keyasint"`
}

// UseToken counts a request of a token that is good for a number of them. It is refused when the token is used up.
// Value: Token.
type UseToken struct {
	Accessor TokenAccessor `cbor:"1,keyasint"`
}

// RenewToken has the time begin anew for which a token is good without being renewed. One that need not be stays as it
// is. Value: Token.
type RenewToken struct {
	Accessor TokenAccessor `cbor:"1,keyasint"`
}

func (*CreateToken) commandType() CommandType { return TypeCreateToken }
func (*DeleteToken) commandType() CommandType { return TypeDeleteToken }
func (*UseToken) commandType() CommandType    { return TypeUseToken }
func (*RenewToken) commandType() CommandType  { return TypeRenewToken }

func (k Token) ref() string { return string(k.Accessor) }

func recallToken(v *View, ref string) (any, bool) { return recalled(v.Token(TokenAccessor(ref))) }

// maxTokens bounds the tokens of one account.
const maxTokens = 10_000

func applyCreateToken(t *txn, c *CreateToken) (Token, *Refusal) {
	k := c.Token
	if r := t.badToken(k); r != nil {
		return Token{}, r
	}
	if k.Parent != "" {
		if r := t.bequeath(&k); r != nil {
			return Token{}, r
		}
	}
	return t.makeToken(k, nil), nil
}

// badToken refuses a token that cannot be made.
func (t *txn) badToken(k Token) *Refusal {
	if k.Accessor == "" || len(k.Hash) == 0 {
		return badName("token", string(k.Accessor))
	}
	a, ok := t.Account(k.Account)
	if !ok {
		return notFound("account", "account", string(k.Account))
	}
	if a.Disabled {
		return &Refusal{Code: CodeAccountDisabled, Message: "account \"" + string(k.Account) + "\" is disabled"}
	}
	if r := going(TargetAccount, string(k.Account), a.Going); r != nil {
		return r
	}
	if _, ok := t.Token(k.Accessor); ok {
		return exists("accessor", "token", string(k.Accessor))
	}
	if _, err := networks(k.CIDRs); err != nil {
		return &Refusal{Code: CodeInvalid, Field: "cidrs", Message: err.Error()}
	}
	if k.IdleTTL < 0 {
		return &Refusal{Code: CodeInvalid, Field: "idle_ttl", Message: "a length of time is not negative"}
	}
	have := 0
	eachRow(t.tx, bucketTokensByAccount, []byte(k.Account), nil, false, func([]byte) bool {
		have++
		return have < maxTokens
	})
	if have >= maxTokens {
		return &Refusal{Code: CodeQuotaExceeded, Message: fmt.Sprintf("account %q has %d tokens, which is the most: delete some, or wait until some expire", k.Account, have)}
	}
	return nil
}

// bequeath keeps a token within the bounds of the one that it is made with.
func (t *txn) bequeath(k *Token) *Refusal {
	parent, ok := t.Token(k.Parent)
	switch {
	case ok && parent.MaxUses > 0: // be it used up by this very request
		return &Refusal{Code: CodeTokenCounted, Message: "a token that is good for a number of requests makes no other tokens of its account"}
	case !ok || parent.Account != k.Account || parent.Over(t.now()):
		return &Refusal{Code: CodeTokenRefused, Message: "the token that another was to be made with is not valid any more"}
	}
	if parent.ExpiresAt != 0 && (k.ExpiresAt == 0 || k.ExpiresAt > parent.ExpiresAt) {
		k.ExpiresAt = parent.ExpiresAt
	}
	if parent.IdleTTL != 0 && (k.IdleTTL == 0 || k.IdleTTL > parent.IdleTTL) {
		k.IdleTTL = parent.IdleTTL
	}
	switch {
	case len(parent.CIDRs) == 0:
	case len(k.CIDRs) == 0:
		k.CIDRs = parent.CIDRs
	case !within(k.CIDRs, parent.CIDRs):
		return &Refusal{Code: CodeInvalid, Field: "cidrs", Message: "the token that this one is made with is good from fewer networks: name some inside those"}
	}
	k.Groups = parent.Groups
	return nil
}

// makeToken writes a token that badToken has nothing against.
func (t *txn) makeToken(k Token, details map[string]string) Token {
	k.CreatedAt, k.Version, k.Used, k.IdleEndsAt = t.now(), t.meta.Index, 0, 0
	k = k.renewed(t.now())
	tokens.put(t, k)
	if details == nil {
		details = map[string]string{}
	}
	details["account"] = string(k.Account)
	if k.ExpiresAt != 0 {
		details["expires_at"] = k.ExpiresAt.String()
	}
	if k.Method != "" {
		details["method"] = k.Method
	}
	if k.IdleTTL != 0 {
		details["idle_ttl"] = FormatTTL(k.IdleTTL)
	}
	if k.MaxUses > 0 {
		details["uses"] = fmt.Sprint(k.MaxUses)
	}
	t.record(Event{Type: EventTokenCreated, Subject: string(k.Accessor), Details: details})
	return k
}

func applyDeleteToken(t *txn, c *DeleteToken) ([]Token, *Refusal) {
	k, ok := t.Token(c.Accessor)
	if !ok {
		return nil, notFound("accessor", "token", string(c.Accessor))
	}
	return t.dropToken(k), nil
}

// dropToken deletes a token with those made with it, and returns them all.
func (t *txn) dropToken(k Token) []Token {
	gone := []Token{k}
	for i := 0; i < len(gone); i++ {
		eachRow(t.tx, bucketTokensByParent, []byte(gone[i].Accessor), nil, false, func(key []byte) bool {
			if one, ok := t.Token(TokenAccessor(key)); ok {
				gone = append(gone, one)
			}
			return true
		})
	}
	for i, one := range gone {
		details := map[string]string{"account": string(one.Account)}
		if i > 0 {
			details["made_with"] = string(one.Parent)
		}
		t.forgetToken(one)
		t.record(Event{Type: EventTokenDeleted, Subject: string(one.Accessor), Details: details})
	}
	return gone
}

// forgetToken removes a token's record. Who was told apart by it must not be remembered.
func (t *txn) forgetToken(k Token) {
	tokens.delete(t, []byte(k.Accessor))
	t.configured = true
}

// dropTokens deletes the tokens of a list with those made with them.
func (t *txn) dropTokens(list []Token) {
	for _, k := range list {
		if _, ok := t.Token(k.Accessor); ok { // it may have gone with another
			t.dropToken(k)
		}
	}
}

func applyUseToken(t *txn, c *UseToken) (Token, *Refusal) {
	k, ok := t.Token(c.Accessor)
	if !ok || k.Over(t.now()) {
		return k, tokenRefused()
	}
	if k.MaxUses == 0 {
		return k, nil
	}
	k.Used++
	k.Version = t.meta.Index
	tokens.put(t, k)
	if k.Used == k.MaxUses {
		t.record(Event{Type: EventTokenUsedUp, Subject: string(k.Accessor), Details: map[string]string{"account": string(k.Account)}})
	}
	return k, nil
}

// applyRenewToken writes no event: it happens every few minutes while somebody is at work.
func applyRenewToken(t *txn, c *RenewToken) (Token, *Refusal) {
	k, ok := t.Token(c.Accessor)
	if !ok || k.Over(t.now()) {
		return k, tokenRefused()
	}
	renewed := k.renewed(t.now())
	if renewed.IdleEndsAt == k.IdleEndsAt {
		return k, nil
	}
	renewed.Version = t.meta.Index
	tokens.put(t, renewed)
	return renewed, nil
}

func tokenRefused() *Refusal {
	return &Refusal{Code: CodeTokenRefused, Message: "the token is not valid any more: it was deleted, its time is over, or it is used up"}
}

// Token returns the token of that accessor.
func (v *View) Token(accessor TokenAccessor) (Token, bool) { return tokens.get(v.tx, []byte(accessor)) }

// Tokens returns up to limit tokens in the order of their making, beginning after the one named.
func (v *View) Tokens(after TokenAccessor, limit int) []Token {
	return page(v.tx, tokens, []byte(after), limit, nil)
}

// TokensOf returns up to limit tokens of an account in the order of their making, beginning after the one named.
func (v *View) TokensOf(account AccountName, after TokenAccessor, limit int) []Token {
	return v.tokensIn(bucketTokensByAccount, string(account), after, limit)
}

// TokensMadeBy returns the tokens that an account made for others.
func (v *View) TokensMadeBy(account AccountName) []Token {
	return v.tokensIn(bucketTokensByMaker, string(account), "", maxTokens)
}

// HostTokens returns the tokens that came with the cluster or were made on a node's host and are still good: they are
// for beginning with and for emergencies.
func (v *View) HostTokens(now Instant) (list []Token) {
	for _, k := range v.tokensIn(bucketTokensByHost, "", "", maxTokens) {
		if !k.Over(now) {
			list = append(list, k)
		}
	}
	return list
}

func (v *View) tokensIn(bucket, filed string, after TokenAccessor, limit int) (list []Token) {
	if limit <= 0 {
		return nil
	}
	eachRow(v.tx, bucket, []byte(filed), []byte(after), false, func(key []byte) bool {
		if k, ok := v.Token(TokenAccessor(key)); ok {
			list = append(list, k)
		}
		return len(list) < limit
	})
	return list
}

// networks reads networks in CIDR notation.
func networks(texts []string) ([]netip.Prefix, error) {
	list := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil || p != p.Masked() {
			return nil, fmt.Errorf("%q is no network: give it like 10.1.0.0/16, or an address like 10.1.2.3/32", text)
		}
		list = append(list, p)
	}
	return list, nil
}

// ValidCIDR reports whether a text is a network in CIDR notation, without bits beyond its prefix.
func ValidCIDR(text string) bool {
	_, err := networks([]string{text})
	return err == nil
}

// within reports whether each network lies inside one of others.
func within(inner, outer []string) bool {
	in, err := networks(inner)
	out, err2 := networks(outer)
	if err != nil || err2 != nil {
		return false
	}
	for _, p := range in {
		inside := false
		for _, q := range out {
			inside = inside || q.Bits() <= p.Bits() && q.Contains(p.Addr())
		}
		if !inside {
			return false
		}
	}
	return true
}
