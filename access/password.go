package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"

	"broker/fsm"
)

// Argon2 is argon2id, as [argon2.IDKey] is.
type Argon2 func(password, salt []byte, passes, memory uint32, threads uint8, length uint32) []byte

// What a password is hashed with (OWASP's recommendation of 19 MiB and two passes).
const (
	argonMemory  = 19 * 1024 // KiB
	argonPasses  = 2
	argonThreads = 1
	argonSalt    = 16
	argonLength  = 32
)

// The bounds of a password.
const (
	minPassword = 12
	maxPassword = 1024
)

// CheckPassword says what is wrong with a password that somebody wants to have.
func CheckPassword(account fsm.AccountName, password string) error {
	switch {
	case len([]rune(password)) < minPassword:
		return fmt.Errorf("at least %d characters", minPassword)
	case len(password) > maxPassword:
		return fmt.Errorf("at most %d bytes", maxPassword)
	case strings.EqualFold(password, string(account)) || strings.Count(password, password[:1]) == len(password):
		return errors.New("not the account's name, nor one character again and again")
	}
	return nil
}

// ErrBusy is returned when so many passwords are being checked that another has to come later.
var ErrBusy = errors.New("too many passwords are being checked at once: try again in a moment")

// How many passwords are hashed at once at a node, since each takes memory and a processor, and how many wait.
const (
	maxHashing = 2
	maxHashers = 32
)

// slowHash makes and checks slow hashes of passwords, a few at once. It is safe for concurrent use.
type slowHash struct {
	argon  Argon2
	random io.Reader
	turns  chan struct{}
	here   atomic.Int32
}

func newSlowHash(argon Argon2, random io.Reader) *slowHash {
	if argon == nil {
		argon = argon2.IDKey
	}
	if random == nil {
		random = rand.Reader
	}
	return &slowHash{argon: argon, random: random, turns: make(chan struct{}, maxHashing)}
}

// turn waits until a password may be hashed. The caller calls done.
func (h *slowHash) turn(ctx context.Context) (done func(), err error) {
	if h.here.Add(1) > maxHashing+maxHashers {
		h.here.Add(-1)
		return nil, ErrBusy
	}
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns; h.here.Add(-1) }, nil
	case <-ctx.Done():
		h.here.Add(-1)
		return nil, ctx.Err()
	}
}

// make hashes a password, in PHC's form: parameters, salt and hash.
func (h *slowHash) make(ctx context.Context, password string) (string, error) {
	salt := make([]byte, argonSalt)
	if _, err := io.ReadFull(h.random, salt); err != nil {
		return "", fmt.Errorf("making a salt: %w", err)
	}
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	sum := h.argon([]byte(password), salt, argonPasses, argonMemory, argonThreads, argonLength)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonPasses, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum)), nil
}

// phc is a slow hash taken apart.
type phc struct {
	passes, memory uint32
	threads        uint8
	salt, sum      []byte
}

// nobodys is what the password of an unknown name is compared with: it costs as much, and matches nothing.
func nobodys() phc {
	return phc{argonPasses, argonMemory, argonThreads, make([]byte, argonSalt), nil}
}

func parsePHC(text string) (phc, error) {
	var p phc
	var version int
	parts := strings.Split(text, "$")
	wrong := errors.New("a password's hash cannot be read")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return p, wrong
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &p.memory, &p.passes, &p.threads); err != nil || version != argon2.Version {
		return p, wrong
	}
	var err, err2 error
	p.salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	p.sum, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || err2 != nil || len(p.sum) == 0 || p.passes == 0 || p.threads == 0 || p.memory > 1<<20 {
		return p, wrong
	}
	return p, nil
}

// matches hashes a password and compares. The caller has its turn.
func (h *slowHash) matches(p phc, password string) bool {
	length := uint32(argonLength)
	if len(p.sum) > 0 {
		length = uint32(len(p.sum))
	}
	sum := h.argon([]byte(password), p.salt, p.passes, p.memory, p.threads, length)
	return len(p.sum) > 0 && subtle.ConstantTimeCompare(sum, p.sum) == 1
}

// passwordMethod is signing in with a password.
type passwordMethod struct {
	records Records
	keyring Keyring
	hash    *slowHash
}

func (m *passwordMethod) Name() string { return fsm.MethodPassword }

func (m *passwordMethod) Prove(ctx context.Context, proof Proof) (Proven, error) {
	if len(proof.Secret) > maxPassword {
		return Proven{}, ErrSignInRefused
	}
	var account fsm.Account
	var password fsm.Password
	var known bool
	err := m.records.View(func(v *fsm.View) error {
		if account, known = v.Account(proof.Name); known {
			password, known = v.Password(proof.Name)
		}
		return nil
	})
	if err != nil {
		return Proven{}, fmt.Errorf("looking a password up: %w", err)
	}
	compare := nobodys()
	if known {
		text, err := m.keyring.Open(password.Sealed, fsm.PasswordSeal(proof.Name))
		if err != nil {
			return Proven{}, err
		}
		if compare, err = parsePHC(string(text)); err != nil {
			return Proven{}, err
		}
	}
	done, err := m.hash.turn(ctx)
	if err != nil {
		return Proven{}, err
	}
	defer done()
	// Others may have failed while this one waited.
	if err := proof.again(); err != nil {
		return Proven{}, err
	}
	if !m.hash.matches(compare, proof.Secret) || account.Disabled {
		return Proven{}, ErrSignInRefused
	}
	return Proven{Account: account.Name, Password: password.Version}, nil
}
