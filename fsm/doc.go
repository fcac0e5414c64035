// Package fsm is the replicated state machine: records, the commands that change them, one apply
// function per command, tables with their indexes, history, and snapshots.
//
// It owns what is true. It refuses to know how entries reach the log, to call anything outside the
// process, and to look at a clock: time, ids and names arrive in the command. It imports nothing of
// ours.
//
// Two rules could break it. Applying must be pure, or nodes drift apart: no clock, no randomness, no
// goroutine, no order that depends on a map. And a command that refuses must not have written
// before, since a batch is one transaction; applyEntry stops the node if one does.
package fsm
