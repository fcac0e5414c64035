package types

import "time"

// Account is who holds leases.
type Account struct {
	Name           string     `json:"name"`
	Kind           string     `json:"kind" doc:"user or service"`
	Disabled       bool       `json:"disabled"`
	MaxLeases      uint64     `json:"max_leases,omitempty" doc:"Live at one time; absent: no limit"`
	IssueRate      string     `json:"issue_rate,omitempty" example:"10/1m" doc:"Leases in a length of time; absent: no limit"`
	LiveLeases     uint64     `json:"live_leases" doc:"Pending, active and revoking"`
	BeingDeletedBy string     `json:"being_deleted_by,omitempty" doc:"The operation that deletes it"`
	Operation      *Operation `json:"operation,omitempty" doc:"In the answer to disabling it: what revokes its leases"`
	CreatedAt      time.Time  `json:"created_at"`
	Version        uint64     `json:"version" doc:"Changes with every change; send it as If-Match"`
	Warnings       []string   `json:"warnings,omitempty"`
}

// AccountChange says what to change; absent fields stay.
type AccountChange struct {
	Disabled  *bool   `json:"disabled,omitempty" doc:"A disabled account's leases are revoked and its tokens refused"`
	MaxLeases *uint64 `json:"max_leases,omitempty" doc:"0: no limit"`
	IssueRate *string `json:"issue_rate,omitempty" example:"10/1m" doc:"Empty: no limit"`
}
