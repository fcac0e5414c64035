package fsm

import (
	"fmt"
	"time"
)

// JoinTokenID is a ULID.
type JoinTokenID string

// JoinToken lets nodes into the cluster until it is used up or its time is over.
type JoinToken struct {
	ID          JoinTokenID `cbor:"1,keyasint"`
	Hash        []byte      `cbor:"2,keyasint"` // of the token
	Description string      `cbor:"3,keyasint,omitempty"`
	MaxUses     uint32      `cbor:"4,keyasint"`
	Uses        uint32      `cbor:"5,keyasint,omitempty"`
	CreatedAt   Instant     `cbor:"6,keyasint"`
	ExpiresAt   Instant     `cbor:"7,keyasint"`
	By          Actor       `cbor:"8,keyasint"`
	Version     uint64      `cbor:"9,keyasint"`
}

// CreateJoinToken makes a join token. Value: JoinToken.
type CreateJoinToken struct {
	ID          JoinTokenID   `cbor:"1,keyasint"`
	Hash        []byte        `cbor:"2,keyasint"`
	Description string        `cbor:"3,keyasint,omitempty"`
	MaxUses     uint32        `cbor:"4,keyasint"`
	TTL         time.Duration `cbor:"5,keyasint"`
}

// DeleteJoinToken makes a join token useless. Value: JoinToken.
type DeleteJoinToken struct {
	ID JoinTokenID `cbor:"1,keyasint"`
}

func (*CreateJoinToken) commandType() CommandType { return TypeCreateJoinToken }
func (*DeleteJoinToken) commandType() CommandType { return TypeDeleteJoinToken }

func (k JoinToken) ref() string { return string(k.ID) }

func recallJoinToken(v *View, ref string) (any, bool) { return recalled(v.JoinToken(JoinTokenID(ref))) }

// JoinToken returns a join token.
func (v *View) JoinToken(id JoinTokenID) (JoinToken, bool) { return joinTokens.get(v.tx, []byte(id)) }

// JoinTokens returns up to limit join tokens in the order of their making, beginning after the one named.
func (v *View) JoinTokens(after JoinTokenID, limit int) []JoinToken {
	return page(v.tx, joinTokens, []byte(after), limit, nil)
}

// forgottenAfter is how long a join token is shown after its time is over.
const forgottenAfter = 7 * 24 * time.Hour

func applyCreateJoinToken(t *txn, c *CreateJoinToken) (JoinToken, *Refusal) {
	if r := badJoinToken(c); r != nil {
		return JoinToken{}, r
	}
	if _, ok := t.JoinToken(c.ID); ok {
		return JoinToken{}, exists("id", "join token", string(c.ID))
	}
	for _, old := range t.JoinTokens("", maxJoinTokens) {
		if old.ExpiresAt.Add(forgottenAfter) < t.now() {
			joinTokens.delete(t, []byte(old.ID))
		}
	}
	if len(t.JoinTokens("", maxJoinTokens)) == maxJoinTokens {
		return JoinToken{}, &Refusal{Code: CodeQuotaExceeded, Message: fmt.Sprintf("there are %d join tokens, which is the most: delete some", maxJoinTokens)}
	}
	k := t.makeJoinToken(c)
	t.record(Event{Type: EventJoinTokenCreated, Subject: string(k.ID), Details: map[string]string{"expires_at": k.ExpiresAt.String(), "uses": fmt.Sprint(k.MaxUses)}})
	return k, nil
}

// maxJoinTokens bounds what is looked through.
const maxJoinTokens = 1000

func badJoinToken(c *CreateJoinToken) *Refusal {
	switch {
	case c.ID == "" || len(c.Hash) == 0:
		return badName("join token", string(c.ID))
	case c.MaxUses == 0:
		return &Refusal{Code: CodeInvalid, Field: "uses", Message: "a join token must be good for one use at least"}
	case c.TTL <= 0:
		return &Refusal{Code: CodeInvalid, Field: "ttl", Message: "a join token must be valid for a time"}
	}
	return nil
}

func (t *txn) makeJoinToken(c *CreateJoinToken) JoinToken {
	k := JoinToken{
		ID: c.ID, Hash: c.Hash, Description: c.Description, MaxUses: c.MaxUses,
		CreatedAt: t.now(), ExpiresAt: t.now().Add(c.TTL), By: t.actor, Version: t.meta.Index,
	}
	joinTokens.put(t, k)
	return k
}

func applyDeleteJoinToken(t *txn, c *DeleteJoinToken) (JoinToken, *Refusal) {
	k, ok := t.JoinToken(c.ID)
	if !ok {
		return k, notFound("id", "join token", string(c.ID))
	}
	joinTokens.delete(t, []byte(c.ID))
	t.record(Event{Type: EventJoinTokenDeleted, Subject: string(c.ID)})
	return k, nil
}

// usableJoinToken returns the token with this hash when it is good for another use.
func (t *txn) usableJoinToken(hash []byte) (JoinToken, *Refusal) {
	var k JoinToken
	joinTokens.scan(t.tx, nil, func(one JoinToken) bool {
		if string(one.Hash) == string(hash) {
			k = one
		}
		return k.ID == ""
	})
	const again = `: "brokerctl cluster join-token create" makes another`
	switch {
	case k.ID == "":
		return k, &Refusal{Code: CodeJoinTokenRefused, Field: "token", Message: "the join token is not known here: it was deleted, or is that of another cluster" + again}
	case t.now() >= k.ExpiresAt:
		return k, &Refusal{Code: CodeJoinTokenRefused, Field: "token", Message: "the join token ran out at " + k.ExpiresAt.String() + again}
	case k.Uses >= k.MaxUses:
		return k, &Refusal{Code: CodeJoinTokenRefused, Field: "token", Message: fmt.Sprintf("the join token is used up: it was good for %s%s", counted(uint64(k.MaxUses), "node"), again)}
	}
	return k, nil
}
