package broker

import (
	"context"
	"time"

	"broker/fsm"
)

// ClientSecretSpec says what client secret to make. Whoever asks has the secret itself; the ledger knows its hash.
type ClientSecretSpec struct {
	ID          fsm.ClientSecretID // of NewClientSecretID
	Account     fsm.AccountName
	Hash        []byte
	Description string
	TTL         time.Duration // zero: it does not expire
	MaxUses     int           // sign-ins that it is good for; zero: any number
	CIDRs       []string      // networks that it, and tokens by it, are good from; none: from anywhere
	TokenTTL    time.Duration // how long tokens by it live; zero: DefaultTokenTTL
	Wrapped     *WrappedSpec  // nil: whoever asks is told the secret
}

// WrappedSpec says what value to keep until somebody takes it once.
type WrappedSpec struct {
	Hash   []byte // of the token that it is taken with
	Sealed []byte
	About  string
	TTL    time.Duration
}

// The bounds of client secrets and wrapped values.
const (
	MaxClientSecretTTL = 5 * 365 * 24 * time.Hour
	MaxWrapTTL         = 24 * time.Hour
)

// NewClientSecretID names a client secret that is going to be made: what it is sealed as depends on it.
func (b *Broker) NewClientSecretID() (fsm.ClientSecretID, error) {
	id, err := b.newID()
	return fsm.ClientSecretID(id), err
}

// CreateClientSecret makes a client secret, and may keep it for whoever has the token for it. A repeated request is
// answered as by MakeToken.
func (b *Broker) CreateClientSecret(ctx context.Context, req Request, spec ClientSecretSpec) (fsm.ClientSecret, error) {
	account, err := b.account(spec.Account)
	if err != nil {
		return fsm.ClientSecret{}, err
	}
	var ps problems
	ps.text("description", spec.Description, maxDescription)
	if spec.TTL != 0 && (spec.TTL < time.Minute || spec.TTL > MaxClientSecretTTL) {
		ps.add("ttl", "%s to %s, not %s", fsm.FormatTTL(time.Minute), fsm.FormatTTL(MaxClientSecretTTL), fsm.FormatTTL(spec.TTL))
	}
	ps.tokenTTL("token_ttl", spec.TokenTTL, account.Kind)
	ps.uses("uses", spec.MaxUses)
	ps.cidrs("cidrs", spec.CIDRs)
	secret := fsm.ClientSecret{
		ID: spec.ID, Account: spec.Account, Hash: spec.Hash, Description: spec.Description, MaxUses: uint32(spec.MaxUses), CIDRs: spec.CIDRs,
		TokenTTL: spec.TokenTTL, MadeBy: req.Actor.Account,
	}
	if spec.TTL > 0 {
		secret.ExpiresAt = fsm.At(b.Now().Add(spec.TTL))
	}
	body := &fsm.CreateClientSecret{Secret: secret}
	if spec.Wrapped != nil {
		ps.wrapped(*spec.Wrapped)
		body.Wrapped = spec.Wrapped.command()
	}
	made, err := change[fsm.ClientSecret](ctx, b, req, ps, body)
	if err == nil && string(made.Hash) != string(spec.Hash) {
		return made, shownBefore("client secret")
	}
	return made, err
}

// DeleteClientSecret makes a client secret useless; tokens by it stay.
func (b *Broker) DeleteClientSecret(ctx context.Context, req Request, account fsm.AccountName, id fsm.ClientSecretID) error {
	_, err := change[fsm.ClientSecret](ctx, b, req, nil, &fsm.DeleteClientSecret{Account: account, ID: id})
	return err
}

// SetPassword gives an account a password, sealed; nothing takes the present one away. A key has no meaning: what it is
// bound to would hold a hash of the request, and so of the password.
func (b *Broker) SetPassword(ctx context.Context, req Request, account fsm.AccountName, sealed []byte) error {
	req.Key = nil
	_, err := change[fsm.Password](ctx, b, req, nil, &fsm.SetPassword{Account: account, Sealed: sealed})
	return err
}

// SignInSpec says who has shown who they are, by what, and what token they get.
type SignInSpec struct {
	Account      fsm.AccountName
	Hash         []byte // of the token
	Method       string
	TTL          time.Duration // zero: DefaultTokenTTL
	CIDRs        []string
	Groups       []fsm.GroupName
	ClientSecret fsm.ClientSecretID // that was shown; empty: something else was
	Password     uint64             // the version of the password that was shown; zero: something else was
	Description  string             // of the token
	IdleTTL      time.Duration      // for how long it is good without being renewed; zero: it need not be
}

// SignIn makes a token for whoever has shown who they are. Like SetPassword it binds no key: repeated, it makes another
// token.
func (b *Broker) SignIn(ctx context.Context, req Request, spec SignInSpec) (fsm.Token, error) {
	req.Key, req.DryRun = nil, false
	req.Actor.Account = spec.Account
	account, err := b.account(spec.Account)
	if isRefusal(err, fsm.CodeNotFound) {
		return fsm.Token{}, &fsm.Refusal{Code: fsm.CodeSignInRefused, Message: fsm.SignInRefused}
	}
	if err != nil {
		return fsm.Token{}, err
	}
	if spec.TTL == 0 {
		spec.TTL = DefaultTokenTTL(account.Kind)
	}
	var ps problems
	ps.text("description", spec.Description, maxDescription)
	ps.tokenTTL("idle_ttl", spec.IdleTTL, account.Kind)
	accessor, err := b.newAccessor()
	if err != nil {
		return fsm.Token{}, err
	}
	return change[fsm.Token](ctx, b, req, ps, &fsm.SignIn{
		Token: fsm.Token{
			Accessor: accessor, Hash: spec.Hash, Account: spec.Account, ExpiresAt: fsm.At(b.Now().Add(min(spec.TTL, MaxTokenTTL(account.Kind)))),
			CIDRs: spec.CIDRs, Method: spec.Method, Groups: spec.Groups, Description: spec.Description, IdleTTL: spec.IdleTTL,
		},
		ClientSecret: spec.ClientSecret, Password: spec.Password,
	})
}

// StoreWrapped keeps a value until it is taken or its time is over.
func (b *Broker) StoreWrapped(ctx context.Context, req Request, spec WrappedSpec) (fsm.Wrapped, error) {
	var ps problems
	ps.wrapped(spec)
	return change[fsm.Wrapped](ctx, b, req, ps, spec.command())
}

// TakeWrapped takes the value that waits under the hash of a token. It is gone then. Strangers ask: what would be
// refused does not become an entry of the log.
func (b *Broker) TakeWrapped(ctx context.Context, req Request, hash []byte) (fsm.Wrapped, error) {
	req.Key, req.DryRun = nil, true
	if would, err := change[fsm.Wrapped](ctx, b, req, nil, &fsm.TakeWrapped{Hash: hash}); err != nil {
		return would, err
	}
	req.DryRun = false
	return change[fsm.Wrapped](ctx, b, req, nil, &fsm.TakeWrapped{Hash: hash})
}

func (w WrappedSpec) command() *fsm.StoreWrapped {
	return &fsm.StoreWrapped{Hash: w.Hash, Sealed: w.Sealed, About: w.About, TTL: w.TTL}
}

func (ps *problems) wrapped(w WrappedSpec) {
	if w.TTL < MinTTL || w.TTL > MaxWrapTTL {
		ps.add("wrap_ttl", "%s to %s, not %s", fsm.FormatTTL(MinTTL), fsm.FormatTTL(MaxWrapTTL), fsm.FormatTTL(w.TTL))
	}
}
