package fsm

import (
	"strconv"
	"time"
)

// Counters of live leases, kept exact in the transaction that changes a lease.
func stateCounter(s LeaseState) string          { return "state/" + string(s) }
func secretCounter(n SecretName) string         { return "secret/" + string(n) }
func accountCounter(n AccountName) string       { return "account/" + string(n) }
func connectionCounter(n ConnectionName) string { return "connection/" + string(n) }
func systemCounter(n ConnectionName, number uint64) string {
	return "system/" + string(n) + "@" + strconv.FormatUint(number, 10)
}
func secretVersionCounter(n SecretName, version uint64) string {
	return "secret_version/" + string(n) + "@" + strconv.FormatUint(version, 10)
}

// putLease writes a lease that changed in this entry, keeps the counters and lets go of what the
// lease had pinned once it has ended.
func (t *txn) putLease(l Lease) Lease {
	old, had := t.Lease(l.ID)
	wasLive := had && old.State.Live()
	switch {
	case wasLive && l.State.Live():
		if old.State != l.State {
			t.count(stateCounter(old.State), -1)
			t.count(stateCounter(l.State), 1)
		}
	case l.State.Live():
		t.countLive(l, l.State, 1)
	case wasLive:
		t.countLive(l, old.State, -1)
	}
	if had && old.State == Active && l.State != Active {
		replies.delete(t, []byte(l.ID))
	}
	if l.State != Active {
		l.Missing = false
	}
	l.Version = t.meta.Index
	if had {
		t.countProgress(old, l)
		leases.replace(t, &old, l)
	} else {
		leases.replace(t, nil, l)
	}
	return l
}

func (t *txn) countLive(l Lease, state LeaseState, by int64) {
	t.count(stateCounter(state), by)
	t.count(secretCounter(l.Secret), by)
	t.count(accountCounter(l.Account), by)
	t.count(connectionCounter(l.Connection), by)
	if n := t.count(systemCounter(l.Connection, l.System), by); n == 0 {
		t.dropSystem(l.Connection, l.System)
	}
	if n := t.count(secretVersionCounter(l.Secret, l.SecretVersion), by); n == 0 {
		secretVersions.delete(t, secretVersionKey(l.Secret, l.SecretVersion))
	}
}

// dropSystem forgets a system that no lease needs, unless it is what the connection points at now, or
// sweeps are still to find out what is left there.
func (t *txn) dropSystem(name ConnectionName, number uint64) {
	c, ok := t.Connection(name)
	if ok && c.System == number {
		return
	}
	if ok && t.meta.Restored != nil {
		return // there may be logins that the ledger does not know; a sweep after the release drops it
	}
	if s, there := t.System(name, number); ok && there && s.DoubtAt != 0 && c.SweepMode() != SweepOff {
		return
	}
	t.deleteSystem(name, number)
}

// doubt notes that there may be logins at a system that no lease knows.
func (t *txn) doubt(name ConnectionName, number uint64, since Instant) {
	s, ok := t.System(name, number)
	if ok && (s.DoubtAt != since || s.CleanAt != 0) {
		s.DoubtAt, s.CleanAt = since, 0
		systems.put(t, s)
	}
}

// clean notes that a sweep found none, and reports whether that ends the doubt. What became doubtful since
// the sweep began was perhaps listed too early.
func (t *txn) clean(s System, beganAt Instant, quarantine time.Duration) bool {
	switch {
	case s.DoubtAt == 0:
		return true
	case s.DoubtAt >= beganAt:
		return false
	case s.CleanAt == 0:
		s.CleanAt = beganAt
		systems.put(t, s)
		return false
	case beganAt <= s.CleanAt || beganAt.Sub(s.CleanAt) < quarantine:
		return false
	}
	s.DoubtAt, s.CleanAt = 0, 0
	systems.put(t, s)
	return true
}

// deleteSystem removes a system with what sweeps found there.
func (t *txn) deleteSystem(name ConnectionName, number uint64) {
	for _, o := range t.Orphans(name, number) {
		orphans.delete(t, orphanKey(name, number, o.Username))
	}
	sweeps.delete(t, systemKey(name, number))
	systems.delete(t, systemKey(name, number))
}
