package types

import "time"

// The kinds of operations.
const (
	OperationRevoke = "revoke"
	OperationRetry  = "retry"
	OperationForget = "forget"
	OperationDelete = "delete"
)

// The states of an operation.
const (
	OperationRunning   = "running"
	OperationDone      = "done"
	OperationCancelled = "cancelled"
)

// Operation is work on many leases that goes on by itself, whoever leads. In the answer to a dry run
// it has no id and no times.
type Operation struct {
	ID       string        `json:"id,omitempty"`
	Kind     string        `json:"kind" doc:"revoke, retry, forget or delete"`
	State    string        `json:"state,omitempty" doc:"running, done or cancelled"`
	Selector LeaseSelector `json:"selector" doc:"The leases it chose"`
	Reason   string        `json:"reason,omitempty"`
	Target   *Target       `json:"target,omitempty" doc:"What a deletion deletes"`

	Total    uint64 `json:"total" doc:"Leases chosen when it was made"`
	Begun    uint64 `json:"begun" doc:"Leases whose state it changed"`
	AllBegun bool   `json:"all_begun" doc:"Every chosen lease was looked at"`
	Done     uint64 `json:"done" doc:"Of those begun, leases that are at their end"`
	Stuck    uint64 `json:"stuck" doc:"Of those begun, leases that are stuck now"`
	Secrets  uint64 `json:"secrets,omitempty" doc:"Secrets that are deleted with the target; told when a deletion is asked for or tried"`

	By        string     `json:"by,omitempty" doc:"The account that asked for it"`
	CreatedAt *time.Time `json:"created_at,omitempty"`
	UpdatedAt *time.Time `json:"updated_at,omitempty"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
	Version   uint64     `json:"version,omitempty"`
	Warnings  []string   `json:"warnings,omitempty"`
}

// Running reports whether the operation goes on.
func (o Operation) Running() bool { return o.State == OperationRunning }

// Blocked reports whether all that is left of the operation is stuck: it goes on, and somebody has to
// look at the outside systems.
func (o Operation) Blocked() bool {
	return o.Running() && o.AllBegun && o.Stuck > 0 && o.Done+o.Stuck >= o.Begun
}

// Target names what a deletion deletes.
type Target struct {
	Noun string `json:"noun" doc:"environment, connection, secret or account"`
	Name string `json:"name"`
}
