package fsm

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Recovery is the keyring of the cluster, wrapped for a key pair whose private half only the recovery shares make. It lies in
// the state so that every snapshot can be opened where nothing but the shares is left.
type Recovery struct {
	Wrapped   []byte  `cbor:"1,keyasint"`
	Shares    int     `cbor:"2,keyasint"`
	Threshold int     `cbor:"3,keyasint"` // how many shares make the private half
	Split     []byte  `cbor:"4,keyasint"` // names the splitting; every share of it tells the same
	CreatedAt Instant `cbor:"5,keyasint"`
	Public    []byte  `cbor:"6,keyasint"` // what keyrings are wrapped with; only the shares have its private half
}

// Restored is the mark of a state that was restored from a snapshot. What it says about outside systems is
// old, so nothing is changed there until somebody has looked and released it.
type Restored struct {
	At        Instant `cbor:"1,keyasint"`           // when it was restored, by the clock of who did it
	Index     uint64  `cbor:"2,keyasint"`           // of the snapshot
	ClockAt   Instant `cbor:"3,keyasint"`           // the snapshot's clock
	CreatedAt Instant `cbor:"4,keyasint"`           // when the snapshot was made
	Drill     bool    `cbor:"5,keyasint,omitempty"` // for practising: it can never be released
}

// Kind names what the state was restored for.
func (r *Restored) Kind() string {
	if r.Drill {
		return "drill"
	}
	return "restore"
}

// Restored returns the mark of a restored state, nil when it has none. It sees everything that was applied.
func (s *State) Restored() *Restored { return s.restored.Load() }

// frozen are the commands that authorise a change at an outside system, those after which something
// there could not be found any more, and the exchange of the sealing key. They are refused while the mark stands.
var frozen = map[CommandType]bool{
	TypePrepareLease: true, TypeActivateLease: true, TypeRenewLease: true,
	TypeBeginRevoke: true, TypeExpireLeases: true, TypeRollbackLeases: true, TypeFinishRevoke: true,
	TypeRetryLease: true, TypeForgetLease: true, TypeAdoptOrphans: true,
	TypeCreateOperation: true, TypeAdvanceOperation: true, TypeFinishOperation: true,
	TypeDeleteConnection: true, TypePrune: true,
	TypeCreateSealingKey: true, TypePromoteSealingKey: true, TypeResealValues: true, TypeRetireSealingKey: true,
	TypeBeginRotation: true, TypeCommitRotation: true, TypeFinishRotation: true, // giving one up changes nothing outside
}

// whileRestored refuses what a restored cluster must not do.
func (t *txn) whileRestored(c Command) *Refusal {
	if t.meta.Restored == nil || !frozen[c.Type] {
		return nil
	}
	return t.meta.Restored.Refusal()
}

// Refusal says why nothing is changed at outside systems, and what to do.
func (r *Restored) Refusal() *Refusal {
	what := "look with `brokerctl snapshot diff`, then end this with `brokerctl snapshot release`"
	if r.Drill {
		what = "it is a drill, which can never be released: throw it away when you have seen enough"
	}
	return &Refusal{Code: CodeClusterRestored, Message: "this cluster was restored from a snapshot of " + r.CreatedAt.String() + " and changes nothing at outside systems: " + what}
}

// UnknownPolicy says what becomes of logins that a restored ledger does not know.
type UnknownPolicy string

// The policies of a release.
const (
	UnknownAdopt  UnknownPolicy = "adopt"  // they get a record, and end with it
	UnknownReport UnknownPolicy = "report" // they are shown and left alone
	UnknownRemove UnknownPolicy = "remove" // they get a record that has ended already
)

// AdoptUnknown gives logins that a restored ledger does not know a record each, which ends after TTL, and
// has active leases that would end before live as long: they may have been renewed since the snapshot. It is
// refused unless the state is a restored one. Value: []Lease, those it made or changed.
type AdoptUnknown struct {
	Connection ConnectionName `cbor:"1,keyasint,omitempty"`
	System     uint64         `cbor:"2,keyasint,omitempty"`
	Logins     []Adoption     `cbor:"3,keyasint,omitempty"`
	Leases     []LeaseID      `cbor:"4,keyasint,omitempty"`
	TTL        time.Duration  `cbor:"5,keyasint"`
}

// ReleaseRestored ends the mark of a restored state. Every system that sweeps may remove logins at must have
// been listed since the restore. Unknown logins that have no record by then are left alone, whatever the
// policy. Value: Released.
type ReleaseRestored struct {
	Unknown UnknownPolicy `cbor:"1,keyasint"`
	TTL     time.Duration `cbor:"2,keyasint,omitempty"` // of adopted logins, for the history
	Reason  string        `cbor:"3,keyasint"`
}

// Released is what a ReleaseRestored did.
type Released struct {
	Restored Restored
	Kept     uint64 // unknown logins that are left alone
}

func (*AdoptUnknown) commandType() CommandType    { return TypeAdoptUnknown }
func (*ReleaseRestored) commandType() CommandType { return TypeReleaseRestored }

// mayRelease refuses what only a restored state, and no drill, can be told.
func (t *txn) mayRelease() *Refusal {
	switch r := t.meta.Restored; {
	case r == nil:
		return &Refusal{Code: CodeNotRestored, Message: "this cluster is not a restored one, or was released already: there is nothing to release"}
	case r.Drill:
		return r.Refusal()
	}
	return nil
}

func applyAdoptUnknown(t *txn, c *AdoptUnknown) ([]Lease, *Refusal) {
	if r := t.mayRelease(); r != nil {
		return nil, r
	}
	if c.TTL < 0 {
		return nil, &Refusal{Code: CodeInvalid, Field: "ttl", Message: "a length of time is not negative"}
	}
	changed := []Lease{}
	end := t.now().Add(c.TTL)
	for _, a := range c.Logins {
		o, ok := t.Orphan(c.Connection, c.System, a.Username)
		if _, taken := t.Lease(a.ID); ok && !taken && a.ID != "" && t.unknown(o) {
			changed = append(changed, t.adoptUnknown(o, a.ID, end))
		}
	}
	for _, id := range c.Leases {
		l, ok := t.Lease(id)
		if !ok || l.State != Active || l.ExpiresAt >= end {
			continue
		}
		from := l.ExpiresAt
		l.ExpiresAt, l.MaxExpiresAt = end, max(l.MaxExpiresAt, end)
		l = t.putLease(l)
		t.record(Event{Type: EventLeaseKept, Lease: l.ID, Subject: string(l.Secret), Details: map[string]string{"from": from.String(), "expires_at": end.String()}})
		changed = append(changed, l)
	}
	return changed, nil
}

// unknown reports whether a login is certainly of this cluster and no live lease's, and may be removed in the end.
func (t *txn) unknown(o Orphan) bool {
	c, ok := t.Connection(o.Connection)
	_, live := t.liveLogin(o.Username)
	return ok && !live && o.Ours && !o.Kept && c.SweepMode() == SweepRemove
}

// adoptUnknown makes the record of an unknown login: an active lease of nobody, which cannot be renewed.
func (t *txn) adoptUnknown(o Orphan, id LeaseID, end Instant) Lease {
	l := Lease{
		ID: id, Name: "restored", Connection: o.Connection, System: o.System, Username: o.Username, State: Active,
		CreatedAt: t.now(), CreateDeadlineAt: t.now(), ActivatedAt: t.now(), ExpiresAt: end, MaxExpiresAt: end, Term: t.meta.Term,
	}
	details := map[string]string{"username": o.Username, "expires_at": end.String()}
	if before, ok := t.lastLease(o.Connection, o.Username); ok {
		details["earlier_lease"] = string(before.ID)
		if s, ok := t.Secret(before.Secret); ok && s.Connection == o.Connection {
			l.Secret, l.SecretVersion = s.Name, s.Version
		}
	}
	l = t.putLease(l)
	orphans.delete(t, orphanKey(o.Connection, o.System, o.Username))
	t.record(Event{Type: EventLeaseAdopted, Lease: l.ID, Subject: string(l.Secret), Details: details})
	return l
}

func applyReleaseRestored(t *txn, c *ReleaseRestored) (Released, *Refusal) {
	if r := t.mayRelease(); r != nil {
		return Released{}, r
	}
	if strings.TrimSpace(c.Reason) == "" {
		return Released{}, &Refusal{Code: CodeInvalid, Field: "reason", Message: "a release needs a reason"}
	}
	switch c.Unknown {
	case UnknownAdopt, UnknownReport, UnknownRemove:
	default:
		return Released{}, &Refusal{Code: CodeInvalid, Field: "unknown", Message: fmt.Sprintf("%q is none of adopt, report, remove", string(c.Unknown))}
	}
	if names := t.unlisted(); len(names) > 0 {
		return Released{}, &Refusal{Code: CodeNotListed, Message: "not every outside system was listed since the restore, so what differs there is not known: " + strings.Join(names, ", ") +
			". Make them reachable and run `brokerctl snapshot diff`, or have their logins left alone (brokerctl connection update NAME --sweep report)"}
	}
	out := Released{Restored: *t.meta.Restored}
	for _, s := range t.Systems("") {
		for _, o := range t.Orphans(s.Connection, s.Number) {
			o.Kept, o.Version = true, t.meta.Index
			orphans.put(t, o)
			out.Kept++
		}
	}
	details := map[string]string{"reason": c.Reason, "unknown": string(c.Unknown), "kept": fmt.Sprint(out.Kept)}
	if c.Unknown == UnknownAdopt {
		details["ttl"] = FormatTTL(c.TTL)
	}
	t.meta.Restored = nil
	t.record(Event{Type: EventClusterReleased, Subject: t.meta.ClusterID, Details: details})
	return out, nil
}

// unlisted names the connections at whose systems a sweep may remove logins and of which no listing is known.
// A restore forgets those from before.
func (t *txn) unlisted() []string {
	var names []string
	for _, s := range t.Systems("") {
		c, ok := t.Connection(s.Connection)
		if _, listed := t.Sweep(s.Connection, s.Number); ok && !listed && c.SweepMode() == SweepRemove && !slices.Contains(names, string(c.Name)) {
			names = append(names, string(c.Name))
		}
	}
	return names
}
