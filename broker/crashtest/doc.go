// Package crashtest runs the real lease engine, broker and state machine, over a log, an outside system
// and nodes that fail on command. It has tests only.
//
// Everything that can go wrong goes wrong at a point: where a command is proposed, where a call leaves
// for the outside system, where its answer comes back, where a client asks and is answered. At each, the
// goroutine that reached it is parked, and one scheduler decides what happens next: go on, crash, lose
// leadership without noticing, pause and come back, duplicate, lose or delay an answer, jump the clock,
// fail the outside system. Time is virtual, so nothing moves but what the scheduler lets go on. The
// same decisions give the same run but for one thing: how many leases a revoker finds waiting when it
// takes a batch. A failing seed is therefore worth playing a few times.
//
// Two ways make the decisions: exhaustively, every pair of faults in the life of one lease, and by seed,
// many leases and many faults. The promises A1 to A7 (see checker) are checked after every step, against
// a ledger of their own that applied every committed entry and against the outside system's exact state.
// What keeps the checker honest is the table of deliberate bugs, each of which must be caught
// (go test -tags mutants -run TestMutants ./broker/crashtest).
package crashtest
