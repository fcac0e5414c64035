package access

import (
	"errors"
	"fmt"
	"time"

	"broker/fsm"
)

// ErrUnauthenticated is returned for a token that gives no access: unknown, expired, or of an account
// that is disabled. The three are not told apart.
var ErrUnauthenticated = errors.New("the token is not valid")

// hashPurpose keeps token hashes apart from other keyed hashes.
const hashPurpose = "token"

// Hasher makes keyed hashes. Package seal provides one.
type Hasher interface {
	Hash(purpose, value string) ([]byte, error)
}

// State is where tokens and accounts are kept. *fsm.State implements it.
type State interface {
	View(func(*fsm.View) error) error
}

// Tokens identifies tokens by what this node's state knows of them. It is safe for concurrent use.
type Tokens struct {
	State  State
	Hasher Hasher
	Now    func() time.Time // nil: time.Now
}

// HashToken returns what is kept of a token.
func HashToken(h Hasher, token string) ([]byte, error) { return h.Hash(hashPurpose, token) }

// Identify returns the record of a token, or ErrUnauthenticated.
func (t *Tokens) Identify(token string) (fsm.Token, error) {
	if CheckToken(token) != nil {
		return fsm.Token{}, ErrUnauthenticated
	}
	hash, err := HashToken(t.Hasher, token)
	if err != nil {
		return fsm.Token{}, err
	}
	now := time.Now
	if t.Now != nil {
		now = t.Now
	}
	var found fsm.Token
	err = t.State.View(func(v *fsm.View) error {
		record, ok := v.TokenByHash(hash)
		if !ok || record.ExpiresAt != 0 && fsm.At(now()) >= record.ExpiresAt {
			return ErrUnauthenticated
		}
		if account, ok := v.Account(record.Account); !ok || account.Disabled {
			return ErrUnauthenticated
		}
		found = record
		return nil
	})
	if err != nil && !errors.Is(err, ErrUnauthenticated) {
		return fsm.Token{}, fmt.Errorf("looking a token up: %w", err)
	}
	return found, err
}
