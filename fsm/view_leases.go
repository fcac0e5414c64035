package fsm

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
)

// LeaseSelector chooses leases. Empty fields choose all; all given ones must hold.
type LeaseSelector struct {
	Environments  []Pattern // any of them
	Secret        SecretName
	Connection    ConnectionName
	Account       AccountName
	Username      string
	Labels        map[string]string
	States        []string // shown words, any of them; see [Lease.Shown]
	Token         TokenAccessor
	IssuedAfter   Instant
	IssuedBefore  Instant
	ExpiresAfter  Instant
	ExpiresBefore Instant
	Now           Instant // for the shown words
}

// LeaseOrder is the order of a list of leases.
type LeaseOrder uint8

// The orders of lists of leases.
const (
	NewestFirst LeaseOrder = iota
	OldestFirst
)

// LeasePage says which part of a list is wanted.
type LeasePage struct {
	After LeaseID // the last one of the page before; empty: from the beginning
	Limit int
	Order LeaseOrder
}

// Lease returns the lease with that id.
func (v *View) Lease(id LeaseID) (Lease, bool) {
	return leases.get(v.tx, []byte(id))
}

// Leases returns a page of the chosen leases. Ids are in order of time, so that is the order of all
// indexes too. The most telling index is walked, the rest is filtered.
func (v *View) Leases(sel LeaseSelector, p LeasePage) []Lease {
	var list []Lease
	visit := func(id []byte) bool {
		if l, ok := leases.get(v.tx, id); ok && sel.matches(&l) {
			list = append(list, l)
		}
		return len(list) < p.Limit
	}
	if p.Limit <= 0 {
		return nil
	}
	if bucket, derived, ok := sel.index(); ok {
		eachRow(v.tx, bucket, derived, []byte(p.After), p.Order == NewestFirst, visit)
		return list
	}
	c := v.tx.Bucket([]byte(leases.bucket)).Cursor()
	var k []byte
	if p.Order == NewestFirst {
		for k = seekBefore(c, nil, []byte(p.After)); k != nil && visit(k); k, _ = c.Prev() {
			continue
		}
		return list
	}
	k, _ = c.Seek([]byte(p.After))
	if string(k) == string(p.After) && k != nil {
		k, _ = c.Next()
	}
	for ; k != nil && visit(k); k, _ = c.Next() {
		continue
	}
	return list
}

func (s *LeaseSelector) index() (bucket string, derived []byte, ok bool) {
	switch {
	case s.Username != "":
		return "leases_by_username", []byte(s.Username), true
	case s.Secret != "":
		return "leases_by_secret", []byte(s.Secret), true
	case len(s.Labels) > 0:
		k := slices.Sorted(maps.Keys(s.Labels))[0]
		return "leases_by_label", labelKey(k, s.Labels[k]), true
	case len(s.States) == 1 && s.States[0] != "overdue":
		state := LeaseState(s.States[0])
		if state == "stuck" {
			state = Revoking
		}
		return "leases_by_state", []byte(state), true
	case s.Account != "":
		return "leases_by_account", []byte(s.Account), true
	case s.Connection != "":
		return "leases_by_connection", []byte(s.Connection), true
	case len(s.Environments) == 1 && ValidEnvironmentName(string(s.Environments[0])):
		return "leases_by_environment", []byte(s.Environments[0]), true
	}
	return "", nil, false
}

func (s *LeaseSelector) matches(l *Lease) bool {
	if len(s.Environments) > 0 && !slices.ContainsFunc(s.Environments, func(p Pattern) bool { return p.Matches(l.Environment()) }) {
		return false
	}
	for k, v := range s.Labels {
		if l.Labels[k] != v {
			return false
		}
	}
	if len(s.States) > 0 && !slices.Contains(s.States, l.Shown(s.Now)) && !slices.Contains(s.States, string(l.State)) {
		return false
	}
	return (s.Secret == "" || s.Secret == l.Secret) &&
		(s.Connection == "" || s.Connection == l.Connection) &&
		(s.Account == "" || s.Account == l.Account) &&
		(s.Username == "" || s.Username == l.Username) &&
		(s.Token == "" || s.Token == l.Token) &&
		(s.IssuedAfter == 0 || l.CreatedAt > s.IssuedAfter) &&
		(s.IssuedBefore == 0 || l.CreatedAt < s.IssuedBefore) &&
		(s.ExpiresAfter == 0 || l.ExpiresAt > s.ExpiresAfter) &&
		(s.ExpiresBefore == 0 || l.ExpiresAt < s.ExpiresBefore)
}

// Due is a lease and the instant at which the leader must act on it.
type Due struct {
	At    Instant
	Lease LeaseID
}

// DueLeases returns up to limit leases on which the leader must act before the given instant, in
// order, beginning after the given place. Pending leases are due at their create deadline, active
// ones at their end.
func (v *View) DueLeases(after Due, before Instant, limit int) []Due {
	var list []Due
	c := v.tx.Bucket([]byte("leases_by_due")).Cursor()
	start := rowKey(bigEndian(uint64(after.At)), []byte(after.Lease))
	k, _ := c.Seek(start)
	if bytes.Equal(k, start) {
		k, _ = c.Next()
	}
	for ; k != nil && len(list) < limit; k, _ = c.Next() {
		at := Instant(binary.BigEndian.Uint64(k))
		if at >= before {
			break
		}
		list = append(list, Due{At: at, Lease: LeaseID(k[9:])})
	}
	return list
}

// LeaseIDs returns up to limit ids of the leases in a state, oldest first, beginning after one.
func (v *View) LeaseIDs(state LeaseState, after LeaseID, limit int) []LeaseID {
	var list []LeaseID
	eachRow(v.tx, "leases_by_state", []byte(state), []byte(after), false, func(id []byte) bool {
		list = append(list, LeaseID(id))
		return len(list) < limit
	})
	return list
}
