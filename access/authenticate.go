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
	Remember(key any, read func(*fsm.View) any) (any, error)
}

// tokenHash names a token with its account among what is remembered.
type tokenHash string

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
	found, err := t.State.Remember(tokenHash(hash), func(v *fsm.View) any {
		record, ok := v.TokenByHash(hash)
		if !ok {
			return nil // not to be kept: anybody can make tokens up
		}
		if account, ok := v.Account(record.Account); !ok || account.Disabled {
			return nil
		}
		return record
	})
	if err != nil {
		return fsm.Token{}, fmt.Errorf("looking a token up: %w", err)
	}
	record, ok := found.(fsm.Token)
	if !ok || record.ExpiresAt != 0 && fsm.At(now()) >= record.ExpiresAt {
		return fsm.Token{}, ErrUnauthenticated
	}
	return record, nil
}
