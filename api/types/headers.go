package types

// The headers that the broker's API adds to those of HTTP.
const (
	// HeaderIndex carries, in every answer about replicated state, the index of the log up to which
	// the answer is true. A client sends it back as HeaderMinIndex to see its own writes.
	HeaderIndex = "Broker-Index"

	// HeaderMinIndex asks for an answer from a state at least as new as this index.
	HeaderMinIndex = "Broker-Min-Index"

	// HeaderNode names the node that answered.
	HeaderNode = "Broker-Node"

	// HeaderConsistency says how the read was made: linearizable, session or stale.
	HeaderConsistency = "Broker-Consistency"

	// HeaderStaleness says by how many milliseconds a stale answer may be behind; "unknown" when the
	// node has not heard of a leader since it started.
	HeaderStaleness = "Broker-Staleness-Ms"

	// HeaderRequestID names the request in answers and logs.
	HeaderRequestID = "Broker-Request-Id"

	// HeaderIdempotencyKey makes repeating a POST safe.
	HeaderIdempotencyKey = "Idempotency-Key"
)

// Consistency says how new the state must be that a read answers from.
type Consistency string

// The kinds of consistency.
const (
	Linearizable Consistency = "linearizable" // sees every write that was answered before the read began
	Session      Consistency = "session"      // sees at least the state of HeaderMinIndex
	Stale        Consistency = "stale"        // answers at once from what the node has, also without a leader
)
