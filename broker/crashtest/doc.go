// Package crashtest runs the real lease engine, broker and state machine, over a log, an outside system
// and nodes that fail on command. It has tests only.
//
// Everything that can go wrong goes wrong at a point: where a command is proposed, where a call leaves
// for the outside system, where its answer comes back, where a client asks and is answered. At each, the
// goroutine that reached it is parked, and one scheduler decides what happens next: go on, crash, lose
// leadership without noticing, pause and come back, duplicate, lose or delay an answer, jump the clock,
// fail the outside system, change, disable or delete what leases hang on. Time is virtual, and the
// scheduler decides only when everything else is blocked and lets one thing go on at a time: the same
// decisions give the same run, to the last id.
//
// Two ways make the decisions. TestOneLease plays every fault at every point in the life of one lease, a
// sample of the pairs of faults, the sweep included, and demands that every row of the crash table was
// reached; with -v it prints how often. TestSeeds plays many leases and many faults, drawn by a seed; in
// some worlds operators revoke, retry and forget leases, lock, pause and delete, in some nodes start from
// snapshots. The promises A1 to A7 and a few more (see checker) are checked after every step, against a
// ledger of their own that applied every committed entry and against the outside system's exact state.
// What keeps the checker honest are deliberate bugs, each of which must be caught: in the engine
// (TestMutants, behind the tag mutants), in the log and the outside system (TestBugsAtTheSeams).
//
//	go test ./broker/crashtest -run='^TestSeeds$' -crashtest.from=1 -crashtest.seeds=10000 -timeout=1h
//	go test ./broker/crashtest -run='^TestOneLease$' -crashtest.pairs=1 -timeout=3h   every pair of faults
//	go test ./broker/crashtest -tags=mutants -run='^TestMutants$' -timeout=30m
//
// A test that fails prints what happened, the promise that was broken and, of a seed, the command that
// plays it again. Seeds that found something are kept in regressions.
package crashtest
