package broker

import (
	"context"
	"time"

	"broker/fsm"
)

// TokenSpec says what token to make. Whoever asks has the token itself; the ledger knows its hash.
type TokenSpec struct {
	Hash        []byte
	Account     fsm.AccountName // empty: that of whoever asks
	TTL         time.Duration   // zero: DefaultTokenTTL
	MaxUses     int             // requests that it is good for; zero: any number
	CIDRs       []string        // networks that it is good from; none: from anywhere
	Description string
	IdleTTL     time.Duration // for how long it is good without being renewed; zero: it need not be
}

// The bounds of tokens.
const (
	MaxServiceTokenTTL = 90 * 24 * time.Hour
	MaxUserTokenTTL    = 30 * 24 * time.Hour
	MaxTokenUses       = 1_000_000
	maxCIDRs           = 32
)

// DefaultTokenTTL is how long a token of an account of that kind lives unless more or less is asked for.
func DefaultTokenTTL(kind fsm.AccountKind) time.Duration {
	if kind == fsm.KindUser {
		return 12 * time.Hour
	}
	return 24 * time.Hour
}

// MaxTokenTTL is how long a token of an account of that kind may live.
func MaxTokenTTL(kind fsm.AccountKind) time.Duration {
	if kind == fsm.KindUser {
		return MaxUserTokenTTL
	}
	return MaxServiceTokenTTL
}

// MakeToken makes an access token. One for the account of whoever asks stays within the bounds of the token that it is
// asked for with, and goes with that. Errors as for changes of configuration. A request that is repeated with its key
// gets a *fsm.Refusal: the token was shown the first time, and is kept nowhere.
func (b *Broker) MakeToken(ctx context.Context, req Request, spec TokenSpec) (fsm.Token, error) {
	if spec.Account == "" {
		spec.Account = req.Actor.Account
	}
	account, err := b.account(spec.Account)
	if err != nil {
		return fsm.Token{}, err
	}
	var ps problems
	ps.text("description", spec.Description, maxDescription)
	ps.tokenTTL("ttl", spec.TTL, account.Kind)
	ps.tokenTTL("idle_ttl", spec.IdleTTL, account.Kind)
	ps.uses("uses", spec.MaxUses)
	ps.cidrs("cidrs", spec.CIDRs)
	token := fsm.Token{
		Hash: spec.Hash, Account: spec.Account, Description: spec.Description, MaxUses: uint32(spec.MaxUses), CIDRs: spec.CIDRs,
		MadeBy: req.Actor.Account, Method: fsm.MethodToken, IdleTTL: spec.IdleTTL,
	}
	if spec.TTL == 0 {
		spec.TTL = DefaultTokenTTL(account.Kind)
	}
	token.ExpiresAt = fsm.At(b.Now().Add(spec.TTL))
	if spec.Account == req.Actor.Account {
		token.Parent = req.Actor.Token
		if token.Parent == "" {
			ps.add("account", "without a token of its own no account makes one for itself")
		}
	}
	if token.Accessor, err = b.newAccessor(); err != nil {
		return fsm.Token{}, err
	}
	made, err := change[fsm.Token](ctx, b, req, ps, &fsm.CreateToken{Token: token})
	if err == nil && string(made.Hash) != string(spec.Hash) {
		return made, shownBefore("token")
	}
	return made, err
}

// shownBefore refuses to repeat what was shown once.
func shownBefore(what string) error {
	return &fsm.Refusal{Code: fsm.CodeKeyAnswerGone, Message: "this request was carried out before, and the " + what + " was shown then: delete it and make another"}
}

// CreateToken makes an access token as it is given, for whoever has a node's data directory.
func (b *Broker) CreateToken(ctx context.Context, req Request, token fsm.Token) (fsm.Token, error) {
	return change[fsm.Token](ctx, b, req, nil, &fsm.CreateToken{Token: token})
}

// DeleteToken makes a token useless, and those that were made with it. It returns all of them.
func (b *Broker) DeleteToken(ctx context.Context, req Request, accessor fsm.TokenAccessor) ([]fsm.Token, error) {
	return change[[]fsm.Token](ctx, b, req, nil, &fsm.DeleteToken{Accessor: accessor})
}

// UseToken counts a request of a token that is good for a limited number of them. It is refused when the token is used
// up.
func (b *Broker) UseToken(ctx context.Context, req Request, accessor fsm.TokenAccessor) error {
	req.Key, req.DryRun = nil, false
	_, err := change[fsm.Token](ctx, b, req, nil, &fsm.UseToken{Accessor: accessor})
	return err
}

// RenewToken has the time begin anew for which a token is good without being renewed. What would move its end by little
// is answered with the token as it is: people click more often than the log needs to know.
func (b *Broker) RenewToken(ctx context.Context, req Request, accessor fsm.TokenAccessor) (fsm.Token, error) {
	req.Key, req.DryRun = nil, false
	var known fsm.Token
	var ok bool
	if err := b.State.Peek(func(v *fsm.View) { known, ok = v.Token(accessor) }); err != nil {
		return known, err
	}
	now := fsm.At(b.Now())
	if ok && !known.Over(now) && (known.IdleTTL == 0 || known.IdleEndsAt == known.ExpiresAt || now.Add(known.IdleTTL-known.IdleTTL/10) < known.IdleEndsAt) {
		return known, nil
	}
	return change[fsm.Token](ctx, b, req, nil, &fsm.RenewToken{Accessor: accessor})
}

func (b *Broker) newAccessor() (fsm.TokenAccessor, error) {
	id, err := b.newID()
	return fsm.TokenAccessor(id), err
}

// account reads an account of the present state.
func (b *Broker) account(name fsm.AccountName) (fsm.Account, error) {
	var found fsm.Account
	var ok bool
	if err := b.State.Peek(func(v *fsm.View) { found, ok = v.Account(name) }); err != nil {
		return found, err
	}
	if !ok {
		return found, &fsm.Refusal{Code: fsm.CodeNotFound, Field: "account", Message: "there is no account \"" + string(name) + "\""}
	}
	return found, nil
}

func (ps *problems) tokenTTL(field string, ttl time.Duration, kind fsm.AccountKind) {
	if ttl == 0 {
		return
	}
	if most := MaxTokenTTL(kind); ttl < MinTTL || ttl > most {
		ps.add(field, "a token of a %s lives %s to %s, not %s", kind, fsm.FormatTTL(MinTTL), fsm.FormatTTL(most), fsm.FormatTTL(ttl))
	}
}

func (ps *problems) uses(field string, uses int) {
	if uses < 0 || uses > MaxTokenUses {
		ps.add(field, "0 (any number) to %d, not %d", MaxTokenUses, uses)
	}
}

func (ps *problems) cidrs(field string, list []string) {
	if len(list) > maxCIDRs {
		ps.add(field, "at most %d, not %d", maxCIDRs, len(list))
	}
	for _, one := range list {
		if !fsm.ValidCIDR(one) {
			ps.add(field, "%q is no network: give it like 10.1.0.0/16, or an address like 10.1.2.3/32", one)
		}
	}
}
