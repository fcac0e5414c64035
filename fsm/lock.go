package fsm

import (
	"fmt"
	"strings"
)

// LockID is a ULID.
type LockID string

// Lock stops issue and renew for what it covers until it is deleted or its time is over. It touches no
// lease that exists.
type Lock struct {
	ID        LockID    `cbor:"1,keyasint"`
	Scope     LockScope `cbor:"2,keyasint"`
	Reason    string    `cbor:"3,keyasint"`
	UntilAt   Instant   `cbor:"4,keyasint,omitempty"` // zero: until it is deleted
	By        Actor     `cbor:"5,keyasint"`
	CreatedAt Instant   `cbor:"6,keyasint"`
	UpdatedAt Instant   `cbor:"7,keyasint"`
	Version   uint64    `cbor:"8,keyasint"`
}

// LockScope says which leases a lock covers: those for which every given field holds. At least one is
// given.
type LockScope struct {
	Environment Pattern        `cbor:"1,keyasint,omitempty"`
	Account     AccountName    `cbor:"2,keyasint,omitempty"`
	Secret      SecretName     `cbor:"3,keyasint,omitempty"`
	Connection  ConnectionName `cbor:"4,keyasint,omitempty"`
	Label       string         `cbor:"5,keyasint,omitempty"` // "key=value", of the lease or of its secret
}

// Valid reports whether the scope covers anything and is well formed.
func (s LockScope) Valid() bool {
	if s == (LockScope{}) || s.Environment != "" && !ValidPattern(string(s.Environment)) {
		return false
	}
	key, _, ok := strings.Cut(s.Label, "=")
	return s.Label == "" || ok && ValidLabelKey(key)
}

// Selector returns the selector of the leases that the scope covers.
func (s LockScope) Selector() LeaseSelector {
	sel := LeaseSelector{Account: s.Account, Secret: s.Secret, Connection: s.Connection}
	if s.Environment != "" {
		sel.Environments = []Pattern{s.Environment}
	}
	if key, value, ok := strings.Cut(s.Label, "="); ok {
		sel.Labels, sel.SecretLabels = map[string]string{key: value}, true
	}
	return sel
}

// String names what the scope covers, for messages.
func (s LockScope) String() string {
	var parts []string
	for _, p := range []struct{ noun, name string }{
		{"environment", string(s.Environment)}, {"account", string(s.Account)}, {"secret", string(s.Secret)},
		{"connection", string(s.Connection)}, {"label", s.Label},
	} {
		if p.name != "" {
			parts = append(parts, p.noun+" "+p.name)
		}
	}
	return strings.Join(parts, ", ")
}

// covers reports whether a lease of the secret, for the account, with the labels, is covered.
func (s LockScope) covers(secret Secret, account AccountName, labels map[string]string) bool {
	if s.Label != "" {
		key, value, _ := strings.Cut(s.Label, "=")
		if has(labels, key, value) || has(secret.Labels, key, value) {
			s.Label = ""
		}
	}
	return s.Label == "" &&
		(s.Environment == "" || s.Environment.Matches(secret.environment())) &&
		(s.Account == "" || s.Account == account) &&
		(s.Secret == "" || s.Secret == secret.Name) &&
		(s.Connection == "" || s.Connection == secret.Connection)
}

func has(labels map[string]string, key, value string) bool {
	v, ok := labels[key]
	return ok && v == value
}

// inForce reports whether the lock's time is not over.
func (l Lock) inForce(now Instant) bool { return l.UntilAt == 0 || now < l.UntilAt }

func (l Lock) ref() string { return string(l.ID) }

func (l Lock) refusal() *Refusal {
	until := ""
	if l.UntilAt != 0 {
		until = " until " + l.UntilAt.String()
	}
	return (&Refusal{Code: CodeLocked, Message: fmt.Sprintf("locked%s (%s): %s", until, l.Scope, l.Reason)}).With("lock_id", string(l.ID))
}

// CreateLock makes a lock. Value: Lock.
type CreateLock struct {
	ID      LockID      `cbor:"1,keyasint"`
	Scope   LockScope   `cbor:"2,keyasint"`
	Reason  string      `cbor:"3,keyasint"`
	UntilAt Instant     `cbor:"4,keyasint,omitempty"`
	Revoke  *Revocation `cbor:"5,keyasint,omitempty"` // of what it covers
}

// UpdateLock changes a lock's reason or end; nil fields stay. Value: Lock.
type UpdateLock struct {
	ID        LockID   `cbor:"1,keyasint"`
	Reason    *string  `cbor:"2,keyasint,omitempty"`
	UntilAt   *Instant `cbor:"3,keyasint,omitempty"`
	IfVersion uint64   `cbor:"4,keyasint,omitempty"`
}

// DeleteLock ends a lock. Value: Lock.
type DeleteLock struct {
	ID        LockID `cbor:"1,keyasint"`
	IfVersion uint64 `cbor:"2,keyasint,omitempty"`
}

func (*CreateLock) commandType() CommandType { return TypeCreateLock }
func (*UpdateLock) commandType() CommandType { return TypeUpdateLock }
func (*DeleteLock) commandType() CommandType { return TypeDeleteLock }

func applyCreateLock(t *txn, c *CreateLock) (Lock, *Refusal) {
	if c.ID == "" || !c.Scope.Valid() {
		return Lock{}, badName("lock", c.Scope.String())
	}
	if _, ok := t.Lock(c.ID); ok {
		return Lock{}, exists("", "lock", string(c.ID))
	}
	if c.UntilAt != 0 && c.UntilAt <= t.now() {
		return Lock{}, &Refusal{Code: CodeInvalid, Field: "until", Message: fmt.Sprintf("%s is over already", c.UntilAt)}
	}
	if r := t.mayRevoke(c.Revoke); r != nil {
		return Lock{}, r
	}
	l := Lock{
		ID: c.ID, Scope: c.Scope, Reason: c.Reason, UntilAt: c.UntilAt, By: t.actor,
		CreatedAt: t.now(), UpdatedAt: t.now(), Version: t.meta.Index,
	}
	locks.put(t, l)
	t.recordLock(EventLockCreated, l)
	t.beginRevocation(c.Revoke)
	return l, nil
}

func applyUpdateLock(t *txn, c *UpdateLock) (Lock, *Refusal) {
	l, ok := t.Lock(c.ID)
	if !ok {
		return l, notFound("id", "lock", string(c.ID))
	}
	if r := checkVersion(c.IfVersion, l.Version, "lock", string(c.ID)); r != nil {
		return l, r
	}
	set(&l.Reason, c.Reason)
	set(&l.UntilAt, c.UntilAt)
	l.UpdatedAt, l.Version = t.now(), t.meta.Index
	locks.put(t, l)
	t.recordLock(EventLockUpdated, l)
	return l, nil
}

func applyDeleteLock(t *txn, c *DeleteLock) (Lock, *Refusal) {
	l, ok := t.Lock(c.ID)
	if !ok {
		return l, notFound("id", "lock", string(c.ID))
	}
	if r := checkVersion(c.IfVersion, l.Version, "lock", string(c.ID)); r != nil {
		return l, r
	}
	locks.delete(t, []byte(c.ID))
	t.recordLock(EventLockDeleted, l)
	return l, nil
}

func (t *txn) recordLock(what EventType, l Lock) {
	details := map[string]string{"scope": l.Scope.String(), "reason": l.Reason}
	if l.UntilAt != 0 {
		details["until"] = l.UntilAt.String()
	}
	t.record(Event{Type: what, Subject: string(l.ID), Details: details})
}

// locked refuses what a lock in force covers.
func (t *txn) locked(secret Secret, account AccountName, labels map[string]string) *Refusal {
	for _, l := range t.everyLock() {
		if l.inForce(t.now()) && l.Scope.covers(secret, account, labels) {
			return l.refusal()
		}
	}
	return nil
}

// allLocks is where a write transaction keeps the list of locks, which is asked for with every lease.
var allLocks = cacheKey{bucket: locks.bucket}

func (t *txn) everyLock() []Lock {
	if list, ok := t.cache[allLocks]; ok {
		return list.([]Lock)
	}
	list := page(t.tx, locks, nil, int(^uint(0)>>1), nil)
	t.cache[allLocks] = list
	return list
}

// Lock returns the lock with that id.
func (v *View) Lock(id LockID) (Lock, bool) { return locks.get(v.tx, []byte(id)) }

// Locks returns up to limit locks in the order of their making, beginning after the one named.
func (v *View) Locks(after LockID, limit int) []Lock {
	return page(v.tx, locks, []byte(after), limit, nil)
}
