package access

import (
	"context"
	"encoding/json"
	"time"
)

// AuditLog reads the records that a [Recorder] of the same node has written. Package audit provides one. It is safe for
// concurrent use, and holds up nobody who writes.
type AuditLog interface {
	// Records returns the newest records that the query chooses. It looks through a bounded part of the log; the page says
	// how to go on. An error means that the files could not be read, or that the context ended.
	Records(context.Context, AuditQuery) (AuditPage, error)
}

// AuditQuery chooses records; zero fields choose all.
type AuditQuery struct {
	Since, Until time.Time
	Account      string // who asked
	Action       string // lease:issue, or lease for all that begin with lease:
	Resource     string // as [Resource.String] writes it, or what it belongs to: an environment, app/*, connection/NAME, a kind
	Result       AuditResult
	Request      string // id of the request
	Changes      bool   // leave out what changed nothing: reads that were answered, calls that went well

	Before AuditPlace // only records before this one; zero: the newest
	Limit  int        // of records; at least 1
}

// AuditPlace names a record of a log.
type AuditPlace struct {
	Chain string
	Seq   uint64
}

// AuditResult says in a word how what a record tells ended.
type AuditResult string

// The results.
const (
	AuditOK         AuditResult = "ok"
	AuditRefused    AuditResult = "refused"    // by a rule: statuses 400 to 499
	AuditFailed     AuditResult = "failed"     // by trouble: statuses from 500 on
	AuditUnanswered AuditResult = "unanswered" // a request without an outcome: it is being served, or that was lost
	AuditUnknown    AuditResult = "unknown"    // a request whose outcome, if there is one, stands too far behind it to be looked for
)

// AuditRecord is a record as it stands in the log, and for a request its outcome.
type AuditRecord struct {
	Line     json.RawMessage
	Outcome  json.RawMessage // of a request; nil: there is none, or none near it
	Result   AuditResult
	Resource string // what it is about, as [Resource.String] writes it; empty: it does not say
}

// AuditPage is what was found, newest first.
type AuditPage struct {
	Records    []AuditRecord
	Next       AuditPlace // what to go on before; zero: there is no more
	Stopped    bool       // as much was looked through as one query may: there may be records before Next that fit
	Back       time.Time  // of the oldest record that was looked at; zero: none was
	Unsure     bool       // for a result was asked, and requests that may have ended so were left out, as theirs is unknown
	Unreadable int        // lines that are no records
}
