package access

import (
	"context"
	"errors"
	"time"

	"broker/fsm"
)

// ErrNotRecorded is returned when a request could not be written into the audit log. It must not be acted on; the same
// again may succeed later.
var ErrNotRecorded = errors.New("the request could not be written into the audit log, so it is refused")

// Recorder keeps the audit log. A request is recorded before it is acted on; when that fails it is not acted on.
// Package audit provides one. Its methods are safe for concurrent use.
type Recorder interface {
	// Request records that somebody is about to be served. An error, ErrNotRecorded mostly, means that it could not be
	// written: the request is to be refused. It takes two seconds at the most. When whoever asked has gone away before it
	// was written the error is context.Canceled, which says nothing about the log.
	Request(context.Context, RequestRecord) error

	// Outcome records how a request ended. It never fails the request nor waits: what cannot be written is kept and
	// written later, up to a bound; what is lost beyond it is counted, and told in the log.
	Outcome(context.Context, OutcomeRecord)

	// Call records a call of an outside system. It neither fails nor waits, like Outcome.
	Call(context.Context, CallRecord)
}

// RequestRecord tells what is asked, and by whom. Values are never part of it.
type RequestRecord struct {
	ID        string // of the request, the same on every node
	Stage     Stage
	Node      string // that took it from the client
	Address   string
	UserAgent string
	Account   fsm.AccountName
	Token     fsm.TokenAccessor
	Method    string
	Path      string
	Action    Action   // empty where the request is only passed on; of one that is refused, what was
	On        Resource // likewise
	Allowed   bool
	Because   []Reason
	DryRun    bool

	// IdempotencyKey is what the client sent; only its keyed hash is recorded. Empty: none.
	IdempotencyKey string
}

// Stage says where in its way a request was recorded.
type Stage string

// The stages.
const (
	StageForwarded Stage = "forwarded" // at the node that took it, which passes it on to the leader
	StageServed    Stage = "served"    // at the node that acts on it
	StageRefused   Stage = "refused"   // before it was known what is asked: who asks is not known, or too much is asked
)

// OutcomeRecord tells how a request ended.
type OutcomeRecord struct {
	ID     string
	Stage  Stage
	Status int
	Code   string // of the problem, if it was one
	Lease  fsm.LeaseID
	Took   time.Duration

	// Of a request that was refused before it was recorded: see RequestRecord.
	Method, Path, Address string
	Account               fsm.AccountName
}

// CallRecord tells of a call of an outside system: which node called, and what.
type CallRecord struct {
	Request    string // id of the request that it serves; empty: the broker's own work
	Connection fsm.ConnectionName
	Provider   string
	Call       string   // create, renew, revoke, …
	Usernames  []string // of the logins that it is about, the first of them if there are many
	Logins     int      // how many it is about
	Term       uint64
	Outcome    string
	Took       time.Duration
}
