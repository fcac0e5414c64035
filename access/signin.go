package access

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"broker/fsm"
)

// ErrSignInRefused is returned to whoever fails to show who they are, for whatever reason.
var ErrSignInRefused = errors.New(fsm.SignInRefused)

// Proof is what somebody shows to sign in. It is never printed.
type Proof struct {
	Name    fsm.AccountName // that is claimed
	Secret  string
	Address netip.Addr // the client's

	again func() error // whether it may still be tried
}

// String hides the secret.
func (p Proof) String() string { return "a proof of " + string(p.Name) }

// GoString hides the secret.
func (p Proof) GoString() string { return p.String() }

// Proven is who somebody is, after a proof.
type Proven struct {
	Account fsm.AccountName
	Groups  []fsm.GroupName // that the proof brought, beside those that the account is in
	TTL     time.Duration   // of the token; zero: as usual
	CIDRs   []string        // networks that the token is good from; none: any

	ClientSecret fsm.ClientSecretID // that was shown
	Password     uint64             // the version of the password that was shown
}

// Method is a way to sign in: it turns a proof into an account and groups. It must take as long, and answer the same,
// for a name that is not known.
type Method interface {
	// Name is what tokens by it tell as their method.
	Name() string

	// Prove returns ErrSignInRefused when the proof does not hold. Other errors are the broker's own.
	Prove(context.Context, Proof) (Proven, error)
}

// Keyring hashes and seals what is kept of credentials. Package seal provides one.
type Keyring interface {
	Hasher
	Seal(plain []byte, record string) ([]byte, error)
	Open(sealed []byte, record string) ([]byte, error)
	SealFor(secret string, plain []byte, record string) ([]byte, error)
	OpenFor(secret string, sealed []byte, record string) ([]byte, error)
}

// Records is where credentials are kept. *fsm.State implements it.
type Records interface {
	View(func(*fsm.View) error) error
}

// CredentialsConfig says what Credentials work with. Records and Keyring are required.
type CredentialsConfig struct {
	Records Records
	Keyring Keyring
	Now     func() time.Time // nil: time.Now
	Random  io.Reader        // nil: the system's
	Argon2  Argon2           // nil: argon2id itself; tests count
	Methods []Method         // beside client secrets and passwords
}

// Credentials makes what people and programs show who they are by, and judges it. It is safe for concurrent use.
type Credentials struct {
	keyring Keyring
	random  io.Reader
	hash    *slowHash
	lockout *lockout
	methods map[string]Method
}

// NewCredentials returns Credentials.
func NewCredentials(c CredentialsConfig) *Credentials {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	out := &Credentials{
		keyring: c.Keyring, random: c.Random, hash: newSlowHash(c.Argon2, c.Random), lockout: newLockout(c.Now), methods: map[string]Method{},
	}
	for _, m := range append([]Method{
		&clientSecretMethod{c.Records, c.Keyring, c.Now},
		&passwordMethod{c.Records, c.Keyring, out.hash},
	}, c.Methods...) {
		out.methods[m.Name()] = m
	}
	return out
}

// SignIn returns who a proof makes whoever shows it. Errors: ErrSignInRefused, *LockedError, ErrBusy, or the broker's
// own.
func (c *Credentials) SignIn(ctx context.Context, method string, proof Proof) (Proven, error) {
	m, ok := c.methods[method]
	if !ok {
		return Proven{}, fmt.Errorf("there is no way to sign in by %q", method)
	}
	name, address := method+" "+string(proof.Name), addressKey(proof.Address)
	if method == fsm.MethodClient {
		// Nobody guesses a client secret. Who sends wrong ones keeps the program that has the right one from nothing.
		name += " " + address
	}
	proof.again = func() error { return c.lockout.check(name, address) }
	if err := proof.again(); err != nil {
		return Proven{}, err
	}
	proven, err := m.Prove(ctx, proof)
	switch {
	case errors.Is(err, ErrSignInRefused):
		c.lockout.failed(name, address)
	case err == nil:
		c.lockout.succeeded(name)
	}
	return proven, err
}

// clientSecretMethod is signing in with a client secret.
type clientSecretMethod struct {
	records Records
	hasher  Hasher
	now     func() time.Time
}

func (m *clientSecretMethod) Name() string { return fsm.MethodClient }

func (m *clientSecretMethod) Prove(_ context.Context, proof Proof) (Proven, error) {
	if !wellFormed(ClientSecretPrefix, proof.Secret) {
		return Proven{}, ErrSignInRefused
	}
	hash, err := m.hasher.Hash(purposeClientSecret, proof.Secret)
	if err != nil {
		return Proven{}, err
	}
	var account fsm.Account
	var secret fsm.ClientSecret
	var known bool
	err = m.records.View(func(v *fsm.View) error {
		if secret, known = v.ClientSecretByHash(hash); known {
			account, known = v.Account(secret.Account)
		}
		return nil
	})
	if err != nil {
		return Proven{}, fmt.Errorf("looking a client secret up: %w", err)
	}
	if !known || secret.Account != proof.Name || account.Disabled || secret.Over(fsm.At(m.now())) {
		return Proven{}, ErrSignInRefused
	}
	from, err := networksOf(secret.CIDRs)
	if err != nil {
		return Proven{}, err
	}
	if !from.allow(proof.Address) {
		return Proven{}, ErrSignInRefused
	}
	return Proven{Account: account.Name, TTL: secret.TokenTTL, CIDRs: secret.CIDRs, ClientSecret: secret.ID}, nil
}

// NewToken makes a token, and the hash by which the ledger knows it.
func (c *Credentials) NewToken() (text string, hash []byte, err error) {
	return c.make(TokenPrefix, purposeToken)
}

// NewClientSecret makes a client secret, and the hash by which the ledger knows it.
func (c *Credentials) NewClientSecret() (text string, hash []byte, err error) {
	return c.make(ClientSecretPrefix, purposeClientSecret)
}

func (c *Credentials) make(prefix, purpose string) (text string, hash []byte, err error) {
	if text, err = newCredential(prefix, c.random); err != nil {
		return "", nil, err
	}
	hash, err = c.keyring.Hash(purpose, text)
	return text, hash, err
}

// SealPassword returns what is kept of a password.
func (c *Credentials) SealPassword(ctx context.Context, account fsm.AccountName, password string) ([]byte, error) {
	text, err := c.hash.make(ctx, password)
	if err != nil {
		return nil, err
	}
	return c.keyring.Seal([]byte(text), fsm.PasswordSeal(account))
}

// Wrap makes a token by which a value can be taken once, the hash that the ledger knows it by, and the value sealed:
// keyring and token together open it.
func (c *Credentials) Wrap(value []byte) (token string, hash, sealed []byte, err error) {
	if token, hash, err = c.make(WrappingPrefix, purposeWrapping); err != nil {
		return "", nil, nil, err
	}
	sealed, err = c.keyring.SealFor(token, value, fsm.WrappedSeal)
	return token, hash, sealed, err
}

// HashWrapping returns the hash that the ledger knows a wrapped value by. One that no token can have is a hash, too.
func (c *Credentials) HashWrapping(token string) ([]byte, error) {
	return c.keyring.Hash(purposeWrapping, token)
}

// Unwrap opens a value that was taken.
func (c *Credentials) Unwrap(token string, sealed []byte) ([]byte, error) {
	return c.keyring.OpenFor(token, sealed, fsm.WrappedSeal)
}
