package api

import (
	"context"
	"fmt"
	"strings"
	"time"

	"broker/fsm"
)

// TokenPrefix is what every token of the broker begins with.
const TokenPrefix = "brk_"

// TokenAuthenticator finds tokens in the replicated state by their keyed hash.
type TokenAuthenticator struct {
	state State
	hash  func(token string) ([]byte, error)
	now   func() time.Time
}

// NewTokenAuthenticator returns an authenticator over a state. The hash is the keyed one that tokens
// are stored with; now tells the time, nil means the system's clock.
func NewTokenAuthenticator(state State, hash func(token string) ([]byte, error), now func() time.Time) *TokenAuthenticator {
	if now == nil {
		now = time.Now
	}
	return &TokenAuthenticator{state: state, hash: hash, now: now}
}

// Identify returns whose token it is, or [ErrUnauthenticated].
func (a *TokenAuthenticator) Identify(_ context.Context, token string) (Identity, error) {
	if !strings.HasPrefix(token, TokenPrefix) {
		return Identity{}, ErrUnauthenticated
	}
	// Looking up by a keyed hash leaves nothing to measure about the tokens that exist.
	hash, err := a.hash(token)
	if err != nil {
		return Identity{}, fmt.Errorf("hashing a token: %w", err)
	}
	var who Identity
	err = a.state.View(func(view View) error {
		found, ok := view.TokenByHash(hash)
		if !ok || !found.ExpiresAt.IsZero() && fsm.At(a.now()) >= found.ExpiresAt {
			return ErrUnauthenticated
		}
		account, ok := view.Account(found.Account)
		if !ok || account.Disabled {
			return ErrUnauthenticated
		}
		who = Identity{Account: account.Name, Token: found.Accessor}
		return nil
	})
	return who, err
}
