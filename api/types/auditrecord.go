package types

import (
	"strings"
	"time"
)

// AuditRecord is a record of a node's audit log, with the members that it has there; see docs/audit.md. A request has its
// outcome's status, code, lease and took_us.
type AuditRecord struct {
	Node  string    `json:"node" doc:"Whose log it is"`
	Chain string    `json:"chain" doc:"Names the log"`
	Seq   uint64    `json:"seq" doc:"Number of the record in its chain"`
	Time  time.Time `json:"time"`
	Type  string    `json:"type" doc:"request; outcome, of what was refused before it was known what is asked; call, of an outside system; start, stop, rotate, gap"`

	Result   string `json:"result" enum:"ok,refused,failed,unanswered,unknown" doc:"How it ended: refused by a rule (statuses 400 to 499), failed by trouble, unanswered when there is no outcome (yet), unknown when an outcome may stand too far behind the request to be looked for"`
	Resource string `json:"resource,omitempty" doc:"What it is about, in the words of permissions"`

	ID             string         `json:"id,omitempty" doc:"Of the request, the same on every node"`
	Stage          string         `json:"stage,omitempty" doc:"forwarded, served or refused"`
	FromNode       string         `json:"from_node,omitempty" doc:"That took the request from the client"`
	Address        string         `json:"address,omitempty" doc:"The client's"`
	Account        string         `json:"account,omitempty"`
	Token          string         `json:"token,omitempty" doc:"Its accessor"`
	Method         string         `json:"method,omitempty"`
	Path           string         `json:"path,omitempty"`
	UserAgent      string         `json:"user_agent,omitempty"`
	Action         string         `json:"action,omitempty"`
	On             *AuditResource `json:"on,omitempty"`
	Allowed        *bool          `json:"allowed,omitempty"`
	Because        []AuditReason  `json:"because,omitempty"`
	DryRun         bool           `json:"dry_run,omitempty"`
	IdempotencyKey string         `json:"idempotency_key,omitempty" doc:"Keyed hash"`
	Shortened      bool           `json:"shortened,omitempty" doc:"It was longer than a line of the log may be"`
	Status         int            `json:"status,omitempty"`
	Code           string         `json:"code,omitempty"`
	Lease          string         `json:"lease,omitempty" doc:"That the request made or changed"`
	TookUS         *int64         `json:"took_us,omitempty" doc:"Microseconds"`
	Connection     string         `json:"connection,omitempty" doc:"Of a call"`
	Provider       string         `json:"provider,omitempty" doc:"Of a call"`
	Call           string         `json:"call,omitempty" doc:"create, renew, revoke and so on"`
	Usernames      []string       `json:"usernames,omitempty" doc:"Of a call: the first logins that it was about"`
	Logins         int            `json:"logins,omitempty" doc:"Of a call: how many"`
	Term           uint64         `json:"term,omitempty" doc:"Of a call: the leadership period"`
	Outcome        string         `json:"outcome,omitempty" doc:"Of a call"`
	Details        map[string]any `json:"details,omitempty" doc:"Of start, stop, rotate and gap: what else they say"`
}

// AuditResource is what a request is about, as its record says it.
type AuditResource struct {
	Kind        string `json:"kind,omitempty"`
	Environment string `json:"environment,omitempty"`
	Secret      string `json:"secret,omitempty"`
	Name        string `json:"name,omitempty"`
	Owner       string `json:"owner,omitempty"`
	Connection  string `json:"connection,omitempty"`
}

// AuditReason is why a request was allowed or refused.
type AuditReason struct {
	What    string `json:"what" doc:"role, policy, own or everyone"`
	Name    string `json:"name,omitempty"`
	Binding string `json:"binding,omitempty"`
	Scope   string `json:"scope,omitempty"`
	Group   string `json:"group,omitempty"`
	Forbids bool   `json:"forbids,omitempty"`
}

// AuditRecords is a page of a node's audit log, newest first.
type AuditRecords struct {
	Node       string        `json:"node" doc:"Whose log it is"`
	Items      []AuditRecord `json:"items" nullable:"false"`
	NextCursor string        `json:"next_cursor,omitempty" doc:"Send it as cursor to get the next page; absent where the log, or the time asked for, begins"`
	Stopped    bool          `json:"stopped,omitempty" doc:"As much was looked through as one request may, so the page may be short, or empty: next_cursor goes on, and is absent only where all of that were no records"`
	BackTo     *time.Time    `json:"back_to,omitempty" doc:"Time of the oldest record that was looked at"`
	Warnings   []string      `json:"warnings,omitempty"`
}

// Reason is what a gap says of itself; empty: it is none.
func (r AuditRecord) Reason() string {
	text, _ := r.Details["reason"].(string)
	return text
}

// Why tells the reasons in a line.
func (r AuditRecord) Why() string {
	var parts []string
	for _, one := range r.Because {
		text := one.What
		if one.Name != "" {
			text += " " + one.Name
		}
		if one.Scope != "" {
			text += " in " + one.Scope
		}
		if one.Group != "" {
			text += " by group " + one.Group
		}
		if one.Forbids {
			text += " forbids it"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}
