package access

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"broker/fsm"
)

// ErrUnauthenticated is returned for a token that gives no access: unknown, expired, used up, of an account that is
// disabled, or from a network that it is not good from. They are not told apart.
var ErrUnauthenticated = errors.New("the token is not valid")

// The purposes keep keyed hashes of different things apart.
const (
	purposeToken        = "token"
	purposeClientSecret = "client-secret"
	purposeWrapping     = "wrapping"
)

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
func HashToken(h Hasher, token string) ([]byte, error) { return h.Hash(purposeToken, token) }

// known is what is remembered of a token.
type known struct {
	token fsm.Token
	from  networks
}

// Identify returns who a token makes its bearer, or ErrUnauthenticated. The address is the client's.
func (t *Tokens) Identify(token string, address netip.Addr) (Identity, error) {
	if CheckToken(token) != nil {
		return Identity{}, ErrUnauthenticated
	}
	hash, err := HashToken(t.Hasher, token)
	if err != nil {
		return Identity{}, err
	}
	now := time.Now
	if t.Now != nil {
		now = t.Now
	}
	var found *known
	remembered, err := t.State.Remember(tokenHash(hash), func(v *fsm.View) any {
		found = lookUp(v, hash)
		if found == nil || found.token.MaxUses > 0 || found.token.IdleTTL > 0 {
			return nil // not to be kept: anybody can make tokens up, and uses and renewals come without a word to what remembers
		}
		return found
	})
	if err != nil {
		return Identity{}, fmt.Errorf("looking a token up: %w", err)
	}
	if kept, ok := remembered.(*known); ok {
		found = kept
	}
	if found == nil || found.token.Over(fsm.At(now())) || !found.from.allow(address) {
		return Identity{}, ErrUnauthenticated
	}
	return Identity{Account: found.token.Account, Token: found.token.Accessor, Counted: found.token.MaxUses > 0}, nil
}

// lookUp returns what is known of a token; nil when it gives no access.
func lookUp(v *fsm.View, hash []byte) *known {
	record, ok := v.TokenByHash(hash)
	if !ok {
		return nil
	}
	if account, ok := v.Account(record.Account); !ok || account.Disabled {
		return nil
	}
	from, err := networksOf(record.CIDRs)
	if err != nil {
		return nil
	}
	return &known{record, from}
}

// networks are those that a credential is good from; none: any.
type networks []netip.Prefix

func networksOf(cidrs []string) (networks, error) {
	var list networks
	for _, text := range cidrs {
		one, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("reading a network: %w", err)
		}
		list = append(list, one)
	}
	return list, nil
}

// allow reports whether an address is in the networks. One that is not known is in none.
func (n networks) allow(address netip.Addr) bool {
	if len(n) == 0 {
		return true
	}
	address = address.Unmap().WithZone("")
	for _, one := range n {
		if one.Contains(address) {
			return true
		}
	}
	return false
}
