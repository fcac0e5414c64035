package types

import "time"

// Account is who holds leases.
type Account struct {
	Name           string     `json:"name"`
	Kind           string     `json:"kind" doc:"user or service"`
	Description    string     `json:"description,omitempty"`
	Disabled       bool       `json:"disabled"`
	Groups         []string   `json:"groups,omitempty" doc:"That it is in"`
	HasPassword    bool       `json:"has_password,omitempty"`
	MaxLeases      uint64     `json:"max_leases,omitempty" doc:"Live at one time; absent: no limit"`
	IssueRate      string     `json:"issue_rate,omitempty" example:"10/1m" doc:"Leases in a length of time; absent: no limit"`
	LiveLeases     uint64     `json:"live_leases" doc:"Pending, active and revoking"`
	BeingDeletedBy string     `json:"being_deleted_by,omitempty" doc:"The operation that deletes it"`
	Operation      *Operation `json:"operation,omitempty" doc:"In the answer to disabling it: what revokes its leases"`
	MadeTokens     []Token    `json:"made_tokens,omitempty" doc:"In the answer to disabling it: tokens that it made for others"`
	CreatedAt      time.Time  `json:"created_at"`
	Version        uint64     `json:"version" doc:"Changes with every change; send it as If-Match"`
	Warnings       []string   `json:"warnings,omitempty"`
}

// AccountSpec says what account to make.
type AccountSpec struct {
	Name        string `json:"name"`
	Kind        string `json:"kind" enum:"user,service" doc:"A person or a program"`
	Description string `json:"description,omitempty" maxLength:"1000"`
	MaxLeases   uint64 `json:"max_leases,omitempty" doc:"Live at one time; no limit unless said"`
	IssueRate   string `json:"issue_rate,omitempty" example:"10/1m" doc:"Leases in a length of time; no limit unless said"`
}

// AccountChange says what to change; absent fields stay.
type AccountChange struct {
	Disabled  *bool   `json:"disabled,omitempty" doc:"A disabled account's leases are revoked and its tokens refused"`
	MaxLeases *uint64 `json:"max_leases,omitempty" doc:"0: no limit"`
	IssueRate *string `json:"issue_rate,omitempty" example:"10/1m" doc:"Empty: no limit"`

	Description      *string `json:"description,omitempty" maxLength:"1000"`
	DeleteMadeTokens bool    `json:"delete_made_tokens,omitempty" doc:"Delete the tokens that it made for others"`
}
