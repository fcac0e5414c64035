package postgres

// How calls share transactions. What a create costs the server is the hash of its verifier, about a
// microsecond for each iteration on one processor, and else some 600 µs, of which sharing saves two
// thirds. So it helps where there are few iterations, and where there are many it would only have one
// processor work and the others wait. DESIGN.md of the providers has the measurements.
const (
	// sharedIterations is the most that a login may have to share a transaction with others.
	sharedIterations = 512

	// createLanes is how many transactions are shared at the same time: one works while the other
	// commits.
	createLanes = 2

	// createBatch is how many logins share one.
	createBatch = 32

	// renewLanes is createLanes for renewals.
	renewLanes = 2
)

// share sets up who shares transactions with whom.
func (b *backend) share() {
	const waits = 4 // for a connection, and for statements
	b.sharedCreates = queue[*creation]{backend: b, lanes: createLanes, most: createBatch, statements: waits, run: b.createShared}
	b.loneCreates = queue[*creation]{backend: b, lanes: int(b.settings.maxConnections), most: 1, statements: waits, run: b.createAlone}
	// Users' statements change the same objects more often than not, and what changes those at the same
	// time collides.
	b.ownCreates = queue[*creation]{backend: b, lanes: 1, most: 1, statements: waits, run: b.createAlone}
	b.renewals = queue[*renewal]{
		backend: b, lanes: renewLanes, most: maxBatch, statements: 8, run: b.renewAll,
		weight: func(r *renewal) int { return len(r.logins) },
	}
}
