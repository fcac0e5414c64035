package fsm

// The buckets of the state file. Names are part of the snapshot's format.
const (
	bucketMeta          = "meta"
	bucketCounts        = "counts"
	bucketReplies       = "replies"
	bucketOutputKeys    = "output_keys" // (environment, output key) → secret
	bucketEventsByLease = "events_by_lease"
	bucketStuck         = "leases_by_stuck"
	bucketWithdrawn     = "leases_by_withdrawal" // (connection, end of the credential) → lease

	bucketTokensByAccount        = "tokens_by_account"
	bucketTokensByMaker          = "tokens_by_maker" // those made for others
	bucketTokensByParent         = "tokens_by_parent"
	bucketTokensByHost           = "tokens_by_host" // those made on a node's host
	bucketTokensByEnd            = "tokens_by_end"
	bucketGroupsByMember         = "groups_by_member"
	bucketClientSecretsByHash    = "client_secrets_by_hash"
	bucketClientSecretsByAccount = "client_secrets_by_account"
	bucketClientSecretsByEnd     = "client_secrets_by_end"
	bucketWrappedByEnd           = "wrapped_by_end"
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
		indexes: []index[Secret]{filedBy("secrets_by_connection", func(r *Secret) string { return string(r.Connection) })},
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
		bucket: "tokens",
		key:    func(r *Token) []byte { return []byte(r.Accessor) },
		indexes: []index[Token]{
			filedBy("tokens_by_hash", func(r *Token) string { return string(r.Hash) }),
			filedBy(bucketTokensByAccount, func(r *Token) string { return string(r.Account) }),
			filedWhere(bucketTokensByMaker, func(r *Token) (string, bool) { return string(r.MadeBy), r.madeForAnother() }),
			filedWhere(bucketTokensByParent, func(r *Token) (string, bool) { return string(r.Parent), r.Parent != "" }),
			filedWhere(bucketTokensByHost, func(r *Token) (string, bool) { return "", r.fromHost() }),
			filedAt(bucketTokensByEnd, func(r *Token) (Instant, bool) { return r.EndsAt(), r.EndsAt() != 0 }),
		},
	}
	groups = table[Group]{
		bucket:  "groups",
		cached:  true,
		key:     func(r *Group) []byte { return []byte(r.Name) },
		indexes: []index[Group]{{bucket: bucketGroupsByMember, keys: groupMemberKeys}},
	}
	clientSecrets = table[ClientSecret]{
		bucket: "client_secrets",
		key:    func(r *ClientSecret) []byte { return []byte(r.ID) },
		indexes: []index[ClientSecret]{
			filedBy(bucketClientSecretsByHash, func(r *ClientSecret) string { return string(r.Hash) }),
			filedBy(bucketClientSecretsByAccount, func(r *ClientSecret) string { return string(r.Account) }),
			filedAt(bucketClientSecretsByEnd, func(r *ClientSecret) (Instant, bool) { return r.ExpiresAt, r.ExpiresAt != 0 }),
		},
	}
	passwords = table[Password]{
		bucket: "passwords",
		key:    func(r *Password) []byte { return []byte(r.Account) },
	}
	wrappedValues = table[Wrapped]{
		bucket:  "wrapped",
		key:     func(r *Wrapped) []byte { return r.Hash },
		indexes: []index[Wrapped]{filedAt(bucketWrappedByEnd, func(r *Wrapped) (Instant, bool) { return r.ExpiresAt, true })},
	}
	leases = table[Lease]{
		bucket: "leases",
		cached: true,
		key:    func(r *Lease) []byte { return []byte(r.ID) },
		indexes: []index[Lease]{
			filedAt("leases_by_due", func(r *Lease) (Instant, bool) { return r.DueAt() }),
			filedAt("leases_by_end", func(r *Lease) (Instant, bool) { return r.RememberedFrom(), !r.State.Live() }),
			filedBy("leases_by_state", func(r *Lease) string { return string(r.State) }),
			filedBy("leases_by_environment", func(r *Lease) string { return string(r.Environment()) }),
			filedBy("leases_by_secret", func(r *Lease) string { return string(r.Secret) }),
			filedBy("leases_by_account", func(r *Lease) string { return string(r.Account) }),
			filedBy("leases_by_username", func(r *Lease) string { return r.Username }),
			filedBy("leases_by_connection", func(r *Lease) string { return string(r.Connection) }),
			{bucket: "leases_by_label", keys: leaseLabelKeys},
			{bucket: "leases_by_missing", key: leaseMissingKey},
			{bucket: bucketWithdrawn, key: leaseWithdrawnKey},
			{bucket: bucketStuck, key: func(r *Lease, to []byte) ([]byte, bool) { return to, r.State == Revoking && r.Stuck }},
		},
	}
	locks = table[Lock]{
		bucket:  "locks",
		key:     func(r *Lock) []byte { return []byte(r.ID) },
		indexes: []index[Lock]{filedAt("locks_by_until", func(r *Lock) (Instant, bool) { return r.UntilAt, r.UntilAt != 0 })},
	}
	operations = table[Operation]{
		bucket: "operations",
		cached: true,
		key:    func(r *Operation) []byte { return []byte(r.ID) },
		indexes: []index[Operation]{
			filedBy("operations_by_state", func(r *Operation) string { return string(r.State) }),
			filedAt("operations_by_end", func(r *Operation) (Instant, bool) { return r.EndedAt, r.EndedAt != 0 }),
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
	nodes = table[Node]{
		bucket: "nodes",
		key:    func(r *Node) []byte { return r.Key },
	}
	joinTokens = table[JoinToken]{
		bucket: "join_tokens",
		key:    func(r *JoinToken) []byte { return []byte(r.ID) },
	}
	authorities = table[Authority]{
		bucket: "authorities",
		key:    func(r *Authority) []byte { return bigEndian(r.Number) },
	}
	gossipKeys = table[GossipKey]{
		bucket: "gossip_keys",
		key:    func(r *GossipKey) []byte { return bigEndian(r.Number) },
	}
	keys = table[keyRecord]{
		bucket:  "idempotency_keys",
		key:     func(r *keyRecord) []byte { return r.ID },
		indexes: []index[keyRecord]{filedAt("idempotency_keys_by_age", func(r *keyRecord) (Instant, bool) { return r.CreatedAt, true })},
	}
	replies = table[reply]{
		bucket:  bucketReplies,
		key:     func(r *reply) []byte { return []byte(r.Lease) },
		indexes: []index[reply]{filedAt("replies_by_end", func(r *reply) (Instant, bool) { return r.UntilAt, true })},
	}
	events = table[Event]{
		bucket:  "events",
		key:     func(r *Event) []byte { return eventKey(r.Index, r.Ordinal) },
		indexes: []index[Event]{filedBy(bucketEventsByLease, func(r *Event) string { return string(r.Lease) })},
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
	list = append(list, bucketsOf(nodes)...)
	list = append(list, bucketsOf(joinTokens)...)
	list = append(list, bucketsOf(authorities)...)
	list = append(list, bucketsOf(gossipKeys)...)
	list = append(list, bucketsOf(memberships)...)
	list = append(list, bucketsOf(keys)...)
	list = append(list, bucketsOf(sealingKeys)...)
	list = append(list, bucketsOf(replies)...)

	list = append(list, bucketsOf(auditAnchors)...)
	list = append(list, bucketsOf(groups)...)
	list = append(list, bucketsOf(bindings)...)
	list = append(list, bucketsOf(policies)...)
	list = append(list, bucketsOf(clientSecrets)...)
	list = append(list, bucketsOf(passwords)...)
	list = append(list, bucketsOf(wrappedValues)...)
	list = append(list, bucketsOf(rotations)...)
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

func leaseMissingKey(r *Lease, to []byte) ([]byte, bool) {
	return append(to, systemKey(r.Connection, r.System)...), r.Missing
}

func leaseWithdrawnKey(r *Lease, to []byte) ([]byte, bool) {
	return append(to, withdrawnKey(r.Connection, r.ExpiresAt)...), r.Withdrawn()
}

func withdrawnKey(name ConnectionName, end Instant) []byte {
	return rowKey([]byte(name), bigEndian(uint64(end)))
}

func leaseLabelKeys(r *Lease) [][]byte {
	list := make([][]byte, 0, len(r.Labels))
	for k, v := range r.Labels {
		list = append(list, labelKey(k, v))
	}
	return list
}

func labelKey(k, v string) []byte { return []byte(k + "=" + v) }
