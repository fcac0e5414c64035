package fsm

// The buckets of the state file. Names are part of the snapshot's format.
const (
	bucketMeta          = "meta"
	bucketCounts        = "counts"
	bucketReplies       = "replies"
	bucketOutputKeys    = "output_keys" // (environment, output key) → secret
	bucketEventsByLease = "events_by_lease"
)

var (
	environments = table[Environment]{
		bucket: "environments",
		cached: true,
		key:    func(r *Environment) []byte { return []byte(r.Name) },
	}
	connections = table[Connection]{
		bucket: "connections",
		cached: true,
		key:    func(r *Connection) []byte { return []byte(r.Name) },
	}
	systems = table[System]{
		bucket: "systems",
		key:    func(r *System) []byte { return systemKey(r.Connection, r.Number) },
	}
	secrets = table[Secret]{
		bucket:  "secrets",
		cached:  true,
		key:     func(r *Secret) []byte { return []byte(r.Name) },
		indexes: []index[Secret]{{"secrets_by_connection", func(r *Secret) [][]byte { return [][]byte{[]byte(r.Connection)} }}},
	}
	// secretVersions holds the versions that live leases pinned and that are no longer current.
	secretVersions = table[Secret]{
		bucket: "secret_versions",
		key:    func(r *Secret) []byte { return secretVersionKey(r.Name, r.Version) },
	}
	accounts = table[Account]{
		bucket: "accounts",
		cached: true,
		key:    func(r *Account) []byte { return []byte(r.Name) },
	}
	tokens = table[Token]{
		bucket:  "tokens",
		key:     func(r *Token) []byte { return []byte(r.Accessor) },
		indexes: []index[Token]{{"tokens_by_hash", func(r *Token) [][]byte { return [][]byte{r.Hash} }}},
	}
	leases = table[Lease]{
		bucket: "leases",
		cached: true,
		key:    func(r *Lease) []byte { return []byte(r.ID) },
		indexes: []index[Lease]{
			{"leases_by_due", leaseDueKeys},
			{"leases_by_end", leaseEndKeys},
			{"leases_by_state", func(r *Lease) [][]byte { return [][]byte{[]byte(r.State)} }},
			{"leases_by_environment", func(r *Lease) [][]byte { return [][]byte{[]byte(r.Environment())} }},
			{"leases_by_secret", func(r *Lease) [][]byte { return [][]byte{[]byte(r.Secret)} }},
			{"leases_by_account", func(r *Lease) [][]byte { return [][]byte{[]byte(r.Account)} }},
			{"leases_by_username", func(r *Lease) [][]byte { return [][]byte{[]byte(r.Username)} }},
			{"leases_by_connection", func(r *Lease) [][]byte { return [][]byte{[]byte(r.Connection)} }},
			{"leases_by_label", leaseLabelKeys},
			{"leases_by_missing", leaseMissingKeys},
		},
	}
	locks = table[Lock]{
		bucket:  "locks",
		key:     func(r *Lock) []byte { return []byte(r.ID) },
		indexes: []index[Lock]{{"locks_by_until", lockUntilKeys}},
	}
	operations = table[Operation]{
		bucket: "operations",
		cached: true,
		key:    func(r *Operation) []byte { return []byte(r.ID) },
		indexes: []index[Operation]{
			{"operations_by_state", func(r *Operation) [][]byte { return [][]byte{[]byte(r.State)} }},
			{"operations_by_end", operationEndKeys},
		},
	}
	orphans = table[Orphan]{
		bucket: "orphans",
		key:    func(r *Orphan) []byte { return orphanKey(r.Connection, r.System, r.Username) },
	}
	sweeps = table[Sweep]{
		bucket: "sweeps",
		key:    func(r *Sweep) []byte { return systemKey(r.Connection, r.System) },
	}
	keys = table[keyRecord]{
		bucket:  "idempotency_keys",
		key:     func(r *keyRecord) []byte { return r.ID },
		indexes: []index[keyRecord]{{"idempotency_keys_by_age", func(r *keyRecord) [][]byte { return [][]byte{bigEndian(uint64(r.CreatedAt))} }}},
	}
	replies = table[reply]{
		bucket:  bucketReplies,
		key:     func(r *reply) []byte { return []byte(r.Lease) },
		indexes: []index[reply]{{"replies_by_end", func(r *reply) [][]byte { return [][]byte{bigEndian(uint64(r.UntilAt))} }}},
	}
	events = table[Event]{
		bucket:  "events",
		key:     func(r *Event) []byte { return eventKey(r.Index, r.Ordinal) },
		indexes: []index[Event]{{bucketEventsByLease, func(r *Event) [][]byte { return [][]byte{[]byte(r.Lease)} }}},
	}
)

// keyRecord binds an idempotency key to what was made with it.
type keyRecord struct {
	ID        []byte      `cbor:"1,keyasint"`
	Body      []byte      `cbor:"2,keyasint"`
	Type      CommandType `cbor:"3,keyasint"`
	Ref       string      `cbor:"4,keyasint"` // name or id of what was made
	CreatedAt Instant     `cbor:"5,keyasint"`
}

// reply is the sealed answer to an issue, kept for a repeated request while the lease is active.
type reply struct {
	Lease   LeaseID `cbor:"1,keyasint"`
	Sealed  []byte  `cbor:"2,keyasint"`
	UntilAt Instant `cbor:"3,keyasint"`
}

// buckets lists every bucket, so that a new state file has them all.
func buckets() []string {
	list := []string{bucketMeta, bucketCounts, bucketOutputKeys}
	list = append(list, bucketsOf(environments)...)
	list = append(list, bucketsOf(connections)...)
	list = append(list, bucketsOf(systems)...)
	list = append(list, bucketsOf(secrets)...)
	list = append(list, bucketsOf(secretVersions)...)
	list = append(list, bucketsOf(accounts)...)
	list = append(list, bucketsOf(tokens)...)
	list = append(list, bucketsOf(leases)...)
	list = append(list, bucketsOf(locks)...)
	list = append(list, bucketsOf(operations)...)
	list = append(list, bucketsOf(orphans)...)
	list = append(list, bucketsOf(sweeps)...)
	list = append(list, bucketsOf(keys)...)
	list = append(list, bucketsOf(replies)...)
	return append(list, bucketsOf(events)...)
}

func bucketsOf[R any](t table[R]) []string {
	list := []string{t.bucket}
	for _, ix := range t.indexes {
		list = append(list, ix.bucket)
	}
	return list
}

func systemKey(c ConnectionName, number uint64) []byte {
	return rowKey([]byte(c), bigEndian(number))
}

func secretVersionKey(s SecretName, version uint64) []byte {
	return rowKey([]byte(s), bigEndian(version))
}

func eventKey(index uint64, ordinal uint32) []byte {
	return append(bigEndian(index), byte(ordinal>>24), byte(ordinal>>16), byte(ordinal>>8), byte(ordinal))
}

func leaseDueKeys(r *Lease) [][]byte {
	if at, ok := r.DueAt(); ok {
		return [][]byte{bigEndian(uint64(at))}
	}
	return nil
}

func leaseEndKeys(r *Lease) [][]byte {
	if r.State.Live() {
		return nil
	}
	return [][]byte{bigEndian(uint64(r.EndedAt))}
}

func leaseMissingKeys(r *Lease) [][]byte {
	if !r.Missing {
		return nil
	}
	return [][]byte{systemKey(r.Connection, r.System)}
}

func lockUntilKeys(r *Lock) [][]byte {
	if r.UntilAt == 0 {
		return nil
	}
	return [][]byte{bigEndian(uint64(r.UntilAt))}
}

func operationEndKeys(r *Operation) [][]byte {
	if r.EndedAt == 0 {
		return nil
	}
	return [][]byte{bigEndian(uint64(r.EndedAt))}
}

func leaseLabelKeys(r *Lease) [][]byte {
	list := make([][]byte, 0, len(r.Labels))
	for k, v := range r.Labels {
		list = append(list, labelKey(k, v))
	}
	return list
}

func labelKey(k, v string) []byte { return []byte(k + "=" + v) }
