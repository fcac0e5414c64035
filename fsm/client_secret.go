package fsm

import (
	"fmt"
	"time"
)

// ClientSecret is what a program signs in with; its client id is the account's name. Only a keyed hash of it is known.
type ClientSecret struct {
	ID          ClientSecretID `cbor:"1,keyasint"`
	Account     AccountName    `cbor:"2,keyasint"`
	Hash        []byte         `cbor:"3,keyasint"`
	Description string         `cbor:"4,keyasint,omitempty"`
	CreatedAt   Instant        `cbor:"5,keyasint"`
	ExpiresAt   Instant        `cbor:"6,keyasint,omitempty"` // zero: never
	MaxUses     uint32         `cbor:"7,keyasint,omitempty"` // sign-ins that it is good for; zero: any number
	Used        uint32         `cbor:"8,keyasint,omitempty"`
	CIDRs       []string       `cbor:"9,keyasint,omitempty"`  // networks that it, and tokens by it, are good from; none: from anywhere
	TokenTTL    time.Duration  `cbor:"10,keyasint,omitempty"` // how long tokens by it live; zero: as long as others
	MadeBy      AccountName    `cbor:"11,keyasint,omitempty"`
	Version     uint64         `cbor:"12,keyasint"`
}

// Over reports whether a client secret's time is over, or it is used up.
func (s ClientSecret) Over(now Instant) bool {
	return s.ExpiresAt != 0 && now >= s.ExpiresAt || s.MaxUses > 0 && s.Used >= s.MaxUses
}

// CreateClientSecret makes a client secret. When Wrapped is given whoever asks is told no more than the token by which
// the secret can be had once. Value: ClientSecret.
type CreateClientSecret struct {
	Secret  ClientSecret  `cbor:"1,keyasint"`
	Wrapped *StoreWrapped `cbor:"2,keyasint,omitempty"`
}

// DeleteClientSecret makes a client secret useless; tokens by it stay. Value: ClientSecret.
type DeleteClientSecret struct {
	Account AccountName    `cbor:"1,keyasint"`
	ID      ClientSecretID `cbor:"2,keyasint"`
}

func (*CreateClientSecret) commandType() CommandType { return TypeCreateClientSecret }
func (*DeleteClientSecret) commandType() CommandType { return TypeDeleteClientSecret }

func (s ClientSecret) ref() string { return string(s.ID) }

func recallClientSecret(v *View, ref string) (any, bool) {
	return recalled(v.ClientSecret(ClientSecretID(ref)))
}

// maxClientSecrets bounds the client secrets of one account.
const maxClientSecrets = 100

func applyCreateClientSecret(t *txn, c *CreateClientSecret) (ClientSecret, *Refusal) {
	s := c.Secret
	if s.ID == "" || len(s.Hash) == 0 {
		return s, badName("client secret", string(s.ID))
	}
	a, ok := t.Account(s.Account)
	if !ok {
		return s, notFound("account", "account", string(s.Account))
	}
	if r := going(TargetAccount, string(s.Account), a.Going); r != nil {
		return s, r
	}
	if _, ok := t.ClientSecret(s.ID); ok {
		return s, exists("id", "client secret", string(s.ID))
	}
	if _, err := networks(s.CIDRs); err != nil {
		return s, &Refusal{Code: CodeInvalid, Field: "cidrs", Message: err.Error()}
	}
	if len(t.ClientSecretsOf(s.Account, "", maxClientSecrets)) == maxClientSecrets {
		return s, &Refusal{Code: CodeQuotaExceeded, Message: fmt.Sprintf("account %q has %d client secrets, which is the most: delete some", s.Account, maxClientSecrets)}
	}
	if c.Wrapped != nil {
		if r := t.badWrapped(c.Wrapped); r != nil {
			return s, r
		}
	}
	s.CreatedAt, s.Version, s.Used = t.now(), t.meta.Index, 0
	clientSecrets.put(t, s)
	details := map[string]string{"account": string(s.Account)}
	if s.ExpiresAt != 0 {
		details["expires_at"] = s.ExpiresAt.String()
	}
	if s.MaxUses > 0 {
		details["uses"] = fmt.Sprint(s.MaxUses)
	}
	t.record(Event{Type: EventClientSecretCreated, Subject: string(s.ID), Details: details})
	if c.Wrapped != nil {
		t.storeWrapped(c.Wrapped)
	}
	return s, nil
}

func applyDeleteClientSecret(t *txn, c *DeleteClientSecret) (ClientSecret, *Refusal) {
	s, ok := t.ClientSecret(c.ID)
	if !ok || s.Account != c.Account {
		return s, notFound("id", "client secret", string(c.ID))
	}
	t.dropClientSecret(s)
	return s, nil
}

func (t *txn) dropClientSecret(s ClientSecret) {
	clientSecrets.delete(t, []byte(s.ID))
	t.record(Event{Type: EventClientSecretDeleted, Subject: string(s.ID), Details: map[string]string{"account": string(s.Account)}})
}

// ClientSecret returns the client secret of that id.
func (v *View) ClientSecret(id ClientSecretID) (ClientSecret, bool) {
	return clientSecrets.get(v.tx, []byte(id))
}

// ClientSecretByHash returns the client secret with that keyed hash.
func (v *View) ClientSecretByHash(hash []byte) (s ClientSecret, ok bool) {
	eachRow(v.tx, bucketClientSecretsByHash, hash, nil, false, func(k []byte) bool {
		s, ok = v.ClientSecret(ClientSecretID(k))
		return false
	})
	return s, ok
}

// ClientSecretsOf returns up to limit client secrets of an account in the order of their making, beginning after the one
// named.
func (v *View) ClientSecretsOf(account AccountName, after ClientSecretID, limit int) (list []ClientSecret) {
	if limit <= 0 {
		return nil
	}
	eachRow(v.tx, bucketClientSecretsByAccount, []byte(account), []byte(after), false, func(k []byte) bool {
		if s, ok := v.ClientSecret(ClientSecretID(k)); ok {
			list = append(list, s)
		}
		return len(list) < limit
	})
	return list
}
