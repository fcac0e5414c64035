package fsm

import (
	"encoding/binary"
	"strings"

	"go.etcd.io/bbolt"
)

// View is one consistent reading of the state. It is valid inside the function it was given to only
// and must not be used by several goroutines. Everything it returns is a copy.
type View struct {
	tx     *bbolt.Tx
	counts map[string]uint64 // counters that a write transaction changed and has not written yet
	cache  map[cacheKey]any  // records that a write transaction has read or written
}

// Meta returns what the state machine knows of itself.
func (v *View) Meta() Meta {
	var m Meta
	if data := v.tx.Bucket([]byte(bucketMeta)).Get([]byte(bucketMeta)); data != nil {
		if err := decode(data, &m); err != nil {
			panic(corruptError{err})
		}
	}
	return m
}

// Environment returns the environment of that name.
func (v *View) Environment(name EnvironmentName) (Environment, bool) {
	return environments.read(v, []byte(name))
}

// Environments returns up to limit environments in order of name, beginning after the one named.
func (v *View) Environments(after EnvironmentName, limit int) []Environment {
	return page(v.tx, environments, []byte(after), limit, nil)
}

// Connection returns the connection of that name.
func (v *View) Connection(name ConnectionName) (Connection, bool) {
	return connections.read(v, []byte(name))
}

// Connections returns up to limit connections in order of name, beginning after the one named.
func (v *View) Connections(after ConnectionName, limit int) []Connection {
	return page(v.tx, connections, []byte(after), limit, nil)
}

// System returns a connection's system of that number.
func (v *View) System(name ConnectionName, number uint64) (System, bool) {
	return systems.get(v.tx, systemKey(name, number))
}

// Secret returns the current version of the secret of that name.
func (v *View) Secret(name SecretName) (Secret, bool) {
	return secrets.read(v, []byte(name))
}

// SecretVersion returns one version of a secret: the current one, or one that a live lease pinned.
func (v *View) SecretVersion(name SecretName, version uint64) (Secret, bool) {
	if s, ok := v.Secret(name); ok && s.Version == version {
		return s, true
	}
	return secretVersions.get(v.tx, secretVersionKey(name, version))
}

// Secrets returns up to limit secrets in order of name, beginning after the one named; of one
// environment, or of all when env is empty.
func (v *View) Secrets(env EnvironmentName, after SecretName, limit int) []Secret {
	if env == "" {
		return page(v.tx, secrets, []byte(after), limit, nil)
	}
	prefix := string(env) + "/"
	start := []byte(after)
	if string(after) < prefix {
		start = []byte(prefix)
	}
	return page(v.tx, secrets, start, limit, func(s Secret) bool { return strings.HasPrefix(string(s.Name), prefix) })
}

// SecretsOf reports whether any secret uses the connection, and names one.
func (v *View) SecretsOf(name ConnectionName) (SecretName, bool) {
	var found SecretName
	eachRow(v.tx, "secrets_by_connection", []byte(name), nil, false, func(k []byte) bool {
		found = SecretName(k)
		return false
	})
	return found, found != ""
}

// Account returns the account of that name.
func (v *View) Account(name AccountName) (Account, bool) {
	return accounts.read(v, []byte(name))
}

// TokenByHash returns the token with that keyed hash.
func (v *View) TokenByHash(hash []byte) (Token, bool) {
	var t Token
	var ok bool
	eachRow(v.tx, "tokens_by_hash", hash, nil, false, func(k []byte) bool {
		t, ok = tokens.get(v.tx, k)
		return false
	})
	return t, ok
}

// LeaseEvents returns the whole history of a lease, oldest first.
func (v *View) LeaseEvents(id LeaseID) []Event {
	var list []Event
	eachRow(v.tx, bucketEventsByLease, []byte(id), nil, false, func(k []byte) bool {
		if e, ok := events.get(v.tx, k); ok {
			list = append(list, e)
		}
		return true
	})
	return list
}

// Events returns events in log order, beginning after the entry of that index. It returns about limit
// events: never a part of an entry's.
func (v *View) Events(after uint64, limit int) []Event {
	list, _, _ := v.EventsFrom(EventPage{From: AfterEntry(after), Limit: limit, Whole: true}, EventFilter{})
	return list
}

// Count returns a counter. Counters of live leases are named by liveCounters.
func (v *View) Count(name string) uint64 {
	if n, changed := v.counts[name]; changed {
		return n
	}
	if data := v.tx.Bucket([]byte(bucketCounts)).Get([]byte(name)); data != nil {
		return binary.BigEndian.Uint64(data)
	}
	return 0
}

// LeaseCounts returns how many leases are in each live state.
func (v *View) LeaseCounts() map[LeaseState]uint64 {
	counts := map[LeaseState]uint64{}
	for _, s := range []LeaseState{Pending, Active, Revoking} {
		counts[s] = v.Count(stateCounter(s))
	}
	return counts
}

// LiveLeases returns how many pending, active and revoking leases a secret has.
func (v *View) LiveLeases(name SecretName) uint64 { return v.Count(secretCounter(name)) }

// Reply returns the sealed answer kept for a lease, if it is still to be given at now.
func (v *View) Reply(id LeaseID, now Instant) ([]byte, bool) {
	r, ok := replies.get(v.tx, []byte(id))
	if !ok || now >= r.UntilAt {
		return nil, false
	}
	return r.Sealed, true
}

// LeaseByKey returns the lease that an idempotency key is bound to, as it is now.
func (v *View) LeaseByKey(key *IdempotencyKey) (Lease, bool) {
	if key == nil {
		return Lease{}, false
	}
	k, ok := keys.get(v.tx, key.ID)
	if !ok {
		return Lease{}, false
	}
	return v.Lease(LeaseID(k.Ref))
}

func page[R any](tx *bbolt.Tx, t table[R], after []byte, limit int, while func(R) bool) []R {
	var list []R
	t.scan(tx, after, func(r R) bool {
		if len(list) >= limit || while != nil && !while(r) {
			return false
		}
		list = append(list, r)
		return true
	})
	return list
}
