// Package audit keeps the audit log: who asked for what and how it ended, and which calls of outside systems were made
// for it, as lines of JSON that are chained by their hashes. Package chain knows the form and verifies it;
// docs/audit.md is for who reads it.
//
// The log of a node is a file, which counts, and a copy of each record to syslog where that is wanted. One goroutine
// writes: it numbers the records, so that what was refused by the disk leaves no hole, and writes whatever waits with
// one call. Requests wait for it, outcomes and calls do not. A request and its outcome cost 10 µs of CPU together
// (go test ./access/audit -run '^$' -bench . -cpu 1).
// Who looks through the log reads the files, from their end backwards and a bounded part at a time (Records); the writer
// does not notice.
//
// Two rules could break it: a request whose record was not written is refused, whatever the reason, while work that
// was begun is never held up by the log; and values never come here: what is secret is recorded as a keyed hash or
// not at all.
package audit
