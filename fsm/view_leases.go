package fsm

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
)

// LeaseSelector chooses leases. Empty fields choose all; all given ones must hold.
type LeaseSelector struct {
	Environments  []Pattern         `cbor:"1,keyasint,omitempty"` // any of them
	Secret        SecretName        `cbor:"2,keyasint,omitempty"`
	Connection    ConnectionName    `cbor:"3,keyasint,omitempty"`
	Account       AccountName       `cbor:"4,keyasint,omitempty"`
	Username      string            `cbor:"5,keyasint,omitempty"`
	Labels        map[string]string `cbor:"6,keyasint,omitempty"`
	States        []string          `cbor:"7,keyasint,omitempty"` // shown words, any of them; see [Lease.Shown]
	Token         TokenAccessor     `cbor:"8,keyasint,omitempty"`
	IssuedAfter   Instant           `cbor:"9,keyasint,omitempty"`
	IssuedBefore  Instant           `cbor:"10,keyasint,omitempty"`
	ExpiresAfter  Instant           `cbor:"11,keyasint,omitempty"`
	ExpiresBefore Instant           `cbor:"12,keyasint,omitempty"`
	Operation     OperationID       `cbor:"13,keyasint,omitempty"` // the one that revokes them
	SecretLabels  bool              `cbor:"14,keyasint,omitempty"` // a label counts, too, when the lease's secret has it
	IDs           []LeaseID         `cbor:"15,keyasint,omitempty"` // any of them
	Now           Instant           `cbor:"-"`                     // for the shown words
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
	return leases.read(v, []byte(id))
}

// Leases returns a page of the chosen leases. Ids are in order of time, so that is the order of all
// indexes too. What the indexes tell is walked together, the rest is filtered.
func (v *View) Leases(sel LeaseSelector, p LeasePage) []Lease {
	return v.leasesOn(v.idsOf(&sel, p.Order, sel.livesIn()), &sel, p)
}

// LeasesIn returns up to limit chosen leases that are in one of the states, oldest first, beginning after
// the one named. Leases in other states, the many that ended above all, are not read.
func (v *View) LeasesIn(states []LeaseState, sel LeaseSelector, after LeaseID, limit int) []Lease {
	if len(states) == 0 {
		return nil
	}
	return v.leasesOn(v.idsOf(&sel, OldestFirst, states), &sel, LeasePage{After: after, Limit: limit, Order: OldestFirst})
}

// CountLeases counts the chosen leases that are in one of the states.
func (v *View) CountLeases(sel LeaseSelector, states []LeaseState) uint64 {
	if len(states) == 0 {
		return 0
	}
	var n uint64
	v.eachLease(v.idsOf(&sel, OldestFirst, states), &sel, "", func(Lease) bool {
		n++
		return true
	})
	return n
}

// leasesOn returns a page of the chosen leases among those that are walked.
func (v *View) leasesOn(ids walk, sel *LeaseSelector, p LeasePage) []Lease {
	var list []Lease
	if p.Limit > 0 {
		v.eachLease(ids, sel, p.After, func(l Lease) bool {
			list = append(list, l)
			return len(list) < p.Limit
		})
	}
	return list
}

func (v *View) eachLease(ids walk, sel *LeaseSelector, after LeaseID, visit func(Lease) bool) {
	chosen := v.chosen(sel)
	for id := ids([]byte(after), true); id != nil; id = ids(id, true) {
		if l, ok := leases.read(v, id); ok && chosen(&l) && !visit(l) {
			return
		}
	}
}

// idsOf walks the ids of leases in one of the states (none: in any) as far as indexes tell which are chosen.
func (v *View) idsOf(sel *LeaseSelector, order LeaseOrder, states []LeaseState) walk {
	var all []walk
	if len(sel.IDs) > 0 {
		all = append(all, listed(sel.IDs, order))
	}
	if bucket, derived, ok := sel.index(); ok {
		all = append(all, v.filed(bucket, derived, order))
	}
	if len(states) > 0 {
		var in []walk
		for _, s := range states {
			in = append(in, v.filed("leases_by_state", []byte(s), order))
		}
		all = append(all, union(in, order))
	}
	if len(all) == 0 {
		return walkRows(v.tx.Bucket([]byte(leases.bucket)).Cursor(), nil, order)
	}
	return common(all)
}

// index returns the most telling index of what is chosen besides states.
func (s *LeaseSelector) index() (bucket string, derived []byte, ok bool) {
	switch {
	case s.Username != "":
		return "leases_by_username", []byte(s.Username), true
	case s.Secret != "":
		return "leases_by_secret", []byte(s.Secret), true
	case len(s.Labels) > 0 && !s.SecretLabels:
		k := slices.Sorted(maps.Keys(s.Labels))[0]
		return "leases_by_label", labelKey(k, s.Labels[k]), true
	case s.Account != "":
		return "leases_by_account", []byte(s.Account), true
	case s.Connection != "":
		return "leases_by_connection", []byte(s.Connection), true
	case len(s.Environments) == 1 && ValidEnvironmentName(string(s.Environments[0])):
		return "leases_by_environment", []byte(s.Environments[0]), true
	}
	return "", nil, false
}

// livesIn returns the states of the leases that are shown with the chosen words, empty when they may be in any.
func (s *LeaseSelector) livesIn() []LeaseState {
	var states []LeaseState
	for _, shown := range s.States {
		state := stateOf(shown)
		if state == "" {
			return nil
		}
		if !slices.Contains(states, state) {
			states = append(states, state)
		}
	}
	return states
}

// stateOf returns the state of all leases that are shown with a word, empty when there are several.
func stateOf(shown string) LeaseState {
	switch shown {
	case "stuck":
		return Revoking
	case "missing", "overdue":
		return Active
	case "forgotten":
		return ""
	}
	return LeaseState(shown)
}

// chosen returns what tells the chosen leases. It is made for one walk: it remembers the secrets that it met.
func (v *View) chosen(s *LeaseSelector) func(*Lease) bool {
	met := map[SecretName]map[string]string{} // their labels
	ofSecret := func(name SecretName) map[string]string {
		labels, ok := met[name]
		if !ok {
			secret, _ := v.Secret(name)
			labels = secret.Labels
			met[name] = labels
		}
		return labels
	}
	return func(l *Lease) bool {
		if !s.matches(l) {
			return false
		}
		for key, value := range s.Labels {
			if !has(l.Labels, key, value) && !(s.SecretLabels && has(ofSecret(l.Secret), key, value)) {
				return false
			}
		}
		return true
	}
}

// matches judges everything but labels.
func (s *LeaseSelector) matches(l *Lease) bool {
	if len(s.Environments) > 0 && !slices.ContainsFunc(s.Environments, func(p Pattern) bool { return p.Matches(l.Environment()) }) {
		return false
	}
	if len(s.States) > 0 && !slices.Contains(s.States, l.Shown(s.Now)) && !slices.Contains(s.States, string(l.State)) {
		return false
	}
	return (len(s.IDs) == 0 || slices.Contains(s.IDs, l.ID)) &&
		(s.Secret == "" || s.Secret == l.Secret) &&
		(s.Connection == "" || s.Connection == l.Connection) &&
		(s.Account == "" || s.Account == l.Account) &&
		(s.Username == "" || s.Username == l.Username) &&
		(s.Token == "" || s.Token == l.Token) &&
		(s.Operation == "" || s.Operation == l.Operation) &&
		(s.IssuedAfter == 0 || l.CreatedAt > s.IssuedAfter) &&
		(s.IssuedBefore == 0 || l.CreatedAt < s.IssuedBefore) &&
		(s.ExpiresAfter == 0 || l.ExpiresAt > s.ExpiresAfter) &&
		(s.ExpiresBefore == 0 || l.ExpiresAt < s.ExpiresBefore)
}

// WithdrawnLeases returns the leases of a connection that are withdrawn (see [Lease.Withdrawn]) and whose credentials end
// after an instant, in the order of these ends.
func (v *View) WithdrawnLeases(name ConnectionName, after Instant) []Lease {
	var list []Lease
	c := v.tx.Bucket([]byte(bucketWithdrawn)).Cursor()
	prefix := rowKey([]byte(name), nil)
	first := withdrawnKey(name, after+1)
	for k, _ := c.Seek(first); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		if l, ok := leases.read(v, k[len(first)+1:]); ok {
			list = append(list, l)
		}
	}
	return list
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
