package fsm

import (
	"slices"
	"time"
)

// SweepMode says what is done with a login that no lease knows.
type SweepMode string

// The modes of a connection's sweep.
const (
	SweepRemove SweepMode = "remove" // the default: it is removed like a revoked lease's
	SweepReport SweepMode = "report" // it is shown and left alone
	SweepOff    SweepMode = "off"    // the outside system is not listed
)

// Orphan is a login that a sweep found at an outside system and that no live lease knows.
type Orphan struct {
	Connection  ConnectionName `cbor:"1,keyasint"`
	System      uint64         `cbor:"2,keyasint"`
	Username    string         `cbor:"3,keyasint"`
	Ours        bool           `cbor:"4,keyasint,omitempty"` // it carries the full id of this cluster
	FirstSeenAt Instant        `cbor:"5,keyasint"`
	LastSeenAt  Instant        `cbor:"6,keyasint"`
	Version     uint64         `cbor:"7,keyasint"`

	// Kept is true when an operator decided to leave it alone: it is shown and never removed.
	Kept bool `cbor:"8,keyasint,omitempty"`
}

// Sweep is the newest complete sweep of an outside system.
type Sweep struct {
	Connection ConnectionName `cbor:"1,keyasint"`
	System     uint64         `cbor:"2,keyasint"`
	At         Instant        `cbor:"3,keyasint"`
	Listed     uint64         `cbor:"4,keyasint,omitempty"` // logins with our prefix
	Orphans    uint64         `cbor:"5,keyasint,omitempty"` // of those, without a live lease
	Missing    uint64         `cbor:"6,keyasint,omitempty"` // active leases without a login
}

// RecordSweep records what a listing showed. It is proposed after the listing, so that whatever was
// listed has its lease, if it has one, before this entry. A sweep that found much is recorded by
// several of these. Value: Sweep, with the numbers of this command.
type RecordSweep struct {
	Connection ConnectionName `cbor:"1,keyasint"`
	System     uint64         `cbor:"2,keyasint"`
	BeganAt    Instant        `cbor:"3,keyasint"`           // the state machine's clock before the listing
	Unknown    []FoundLogin   `cbor:"4,keyasint,omitempty"` // listed, and the leader knew no lease
	Missing    []LeaseID      `cbor:"5,keyasint,omitempty"` // active before the listing, and not listed
	Present    []LeaseID      `cbor:"6,keyasint,omitempty"` // said to be missing before, and listed
	Complete   bool           `cbor:"7,keyasint,omitempty"` // the last of this sweep
	Listed     uint64         `cbor:"8,keyasint,omitempty"`
	Quarantine time.Duration  `cbor:"9,keyasint,omitempty"` // how far apart two sweeps without orphans must be to end a doubt
}

// FoundLogin is one login of a listing.
type FoundLogin struct {
	Username string `cbor:"1,keyasint"`
	Ours     bool   `cbor:"2,keyasint,omitempty"`
}

// AdoptOrphans makes revoking records for orphans that two sweeps saw a quarantine apart, so that they
// are removed like any other. Value: []Lease, those it made.
type AdoptOrphans struct {
	Connection ConnectionName `cbor:"1,keyasint"`
	System     uint64         `cbor:"2,keyasint"`
	Orphans    []Adoption     `cbor:"3,keyasint"`
	Quarantine time.Duration  `cbor:"4,keyasint"`
}

// Adoption gives an orphan the id of its record.
type Adoption struct {
	ID       LeaseID `cbor:"1,keyasint"`
	Username string  `cbor:"2,keyasint"`
}

func (*RecordSweep) commandType() CommandType  { return TypeRecordSweep }
func (*AdoptOrphans) commandType() CommandType { return TypeAdoptOrphans }

// maxLoginName is more than any outside system allows.
const maxLoginName = 512

func applyRecordSweep(t *txn, c *RecordSweep) (Sweep, *Refusal) {
	s := Sweep{Connection: c.Connection, System: c.System, At: t.now(), Listed: c.Listed}
	if _, ok := t.System(c.Connection, c.System); !ok {
		return s, notFound("connection", "connection", string(c.Connection))
	}
	for _, u := range c.Unknown {
		if len(u.Username) > maxLoginName {
			continue // none of ours is that long, and keys of the state have a limit
		}
		if _, live := t.liveLogin(u.Username); live {
			continue // prepared since the leader looked
		}
		if system, _ := t.System(c.Connection, c.System); system.DoubtAt == 0 {
			t.doubt(c.Connection, c.System, t.now()) // whether or not this sweep comes to its end
		}
		o, known := t.Orphan(c.Connection, c.System, u.Username)
		if !known {
			o = Orphan{Connection: c.Connection, System: c.System, Username: u.Username, FirstSeenAt: t.now()}
			t.record(Event{Type: EventOrphanFound, Subject: u.Username, Details: map[string]string{"connection": string(c.Connection)}})
		}
		o.Ours, o.LastSeenAt, o.Version = u.Ours, t.now(), t.meta.Index
		orphans.put(t, o)
	}
	for _, id := range c.Missing {
		t.setMissing(id, true)
	}
	for _, id := range c.Present {
		t.setMissing(id, false)
	}
	if !c.Complete {
		return s, nil
	}
	for _, o := range t.Orphans(c.Connection, c.System) {
		if o.LastSeenAt < c.BeganAt {
			orphans.delete(t, orphanKey(o.Connection, o.System, o.Username))
			t.record(Event{Type: EventOrphanGone, Subject: o.Username, Details: map[string]string{"connection": string(c.Connection)}})
			continue
		}
		s.Orphans++
	}
	s.Missing = uint64(len(t.MissingLeases(c.Connection, c.System)))
	sweeps.put(t, s)
	switch system, _ := t.System(c.Connection, c.System); {
	case s.Orphans > 0 && system.DoubtAt != 0:
		t.doubt(c.Connection, c.System, system.DoubtAt) // a system that nobody clears is given up in the end
	case s.Orphans > 0:
		t.doubt(c.Connection, c.System, t.now())
	case t.meta.Restored != nil: // what is dropped now could not be looked at again
	case t.clean(system, c.BeganAt, c.Quarantine) && t.Count(systemCounter(c.Connection, c.System)) == 0:
		t.dropSystem(c.Connection, c.System)
	}
	return s, nil
}

func (t *txn) setMissing(id LeaseID, missing bool) {
	l, ok := t.Lease(id)
	if !ok || l.State != Active || l.Missing == missing {
		return
	}
	l.Missing = missing
	l = t.putLease(l)
	what := EventLeaseMissing
	if !missing {
		what = EventLeasePresent
	}
	t.record(Event{Type: what, Lease: l.ID, Subject: string(l.Secret)})
}

func applyAdoptOrphans(t *txn, c *AdoptOrphans) ([]Lease, *Refusal) {
	var adopted []Lease
	for _, a := range c.Orphans {
		o, ok := t.Orphan(c.Connection, c.System, a.Username)
		if !ok || !t.adoptable(o, c.Quarantine) || a.ID == "" {
			continue
		}
		if _, taken := t.Lease(a.ID); taken {
			continue
		}
		adopted = append(adopted, t.adopt(o, a.ID))
	}
	return adopted, nil
}

// adoptable reports whether the orphan certainly is one and may be removed.
func (t *txn) adoptable(o Orphan, quarantine time.Duration) bool {
	c, ok := t.Connection(o.Connection)
	_, live := t.liveLogin(o.Username)
	return ok && !live && o.Ours && !o.Kept && c.SweepMode() == SweepRemove &&
		o.LastSeenAt > o.FirstSeenAt && o.LastSeenAt.Sub(o.FirstSeenAt) >= quarantine
}

// adopt makes the record under which an orphan is removed. It counts as a lease that was active: the
// login was seen twice, so that absence is success. What an ended lease of that name tells is taken over.
func (t *txn) adopt(o Orphan, id LeaseID) Lease {
	l := Lease{
		ID: id, Name: "orphan", Connection: o.Connection, System: o.System, Username: o.Username, State: Revoking,
		CreatedAt: t.now(), ActivatedAt: t.now(), ExpiresAt: t.now(), MaxExpiresAt: t.now(), RevokingAt: t.now(),
		CreateDeadlineAt: t.now(), Cause: CauseOrphan, Reason: "the login exists and no live lease knows it", Term: t.meta.Term,
	}
	details := map[string]string{"username": o.Username, "first_seen_at": o.FirstSeenAt.String()}
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

// liveLogin returns the live lease whose login has that name, at whichever system: two connections may
// lead to one server, which then lists the logins of both. Names are never used twice.
func (v *View) liveLogin(username string) (LeaseID, bool) {
	var found LeaseID
	eachRow(v.tx, "leases_by_username", []byte(username), nil, true, func(id []byte) bool {
		if l, ok := leases.get(v.tx, id); ok && l.State.Live() {
			found = l.ID
		}
		return found == ""
	})
	return found, found != ""
}

// lastLease returns the newest lease whose login had that name.
func (v *View) lastLease(name ConnectionName, username string) (Lease, bool) {
	for _, l := range v.Leases(LeaseSelector{Connection: name, Username: username}, LeasePage{Limit: 1}) {
		return l, true
	}
	return Lease{}, false
}

// UnknownLogins returns those of the names that belong to no live lease.
func (v *View) UnknownLogins(found []FoundLogin) []FoundLogin {
	return slices.DeleteFunc(slices.Clone(found), func(f FoundLogin) bool {
		_, live := v.liveLogin(f.Username)
		return live
	})
}

// Orphan returns the orphan of that name at a system.
func (v *View) Orphan(name ConnectionName, system uint64, username string) (Orphan, bool) {
	return orphans.get(v.tx, orphanKey(name, system, username))
}

// Orphans returns the orphans of a system in order of name.
func (v *View) Orphans(name ConnectionName, system uint64) []Orphan {
	return page(v.tx, orphans, orphanKey(name, system, ""), int(^uint(0)>>1), func(o Orphan) bool {
		return o.Connection == name && o.System == system
	})
}

// AllOrphans returns up to limit orphans by connection and name, beginning after one of them.
func (v *View) AllOrphans(after Orphan, limit int) []Orphan {
	var key []byte
	if after.Username != "" {
		key = orphanKey(after.Connection, after.System, after.Username)
	}
	return page(v.tx, orphans, key, limit, nil)
}

// Sweep returns the newest complete sweep of a system.
func (v *View) Sweep(name ConnectionName, system uint64) (Sweep, bool) {
	return sweeps.get(v.tx, systemKey(name, system))
}

// Systems returns every outside system that a connection points at or pointed at and that is still
// needed, oldest first; of all connections when name is empty.
func (v *View) Systems(name ConnectionName) []System {
	var after []byte
	var while func(System) bool
	if name != "" {
		after = rowKey([]byte(name), nil)
		while = func(s System) bool { return s.Connection == name }
	}
	return page(v.tx, systems, after, int(^uint(0)>>1), while)
}

// MissingLeases returns the active leases of a system whose logins are said to be gone.
func (v *View) MissingLeases(name ConnectionName, system uint64) []LeaseID {
	var list []LeaseID
	eachRow(v.tx, "leases_by_missing", systemKey(name, system), nil, false, func(id []byte) bool {
		list = append(list, LeaseID(id))
		return true
	})
	return list
}

// SweepMode returns what the sweep does with logins that no lease knows.
func (c Connection) SweepMode() SweepMode {
	if c.Sweep == "" {
		return SweepRemove
	}
	return c.Sweep
}

func orphanKey(name ConnectionName, system uint64, username string) []byte {
	return rowKey(systemKey(name, system), []byte(username))
}
