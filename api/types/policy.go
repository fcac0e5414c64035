package types

import "time"

// Policy is a text of rules in the language Cedar. They permit besides roles, and forbid whatever else permits.
type Policy struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Text        string    `json:"text"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	Version     uint64    `json:"version" doc:"Changes with every change; send it as If-Match"`
	Warnings    []string  `json:"warnings,omitempty"`
}

// PolicySpec says what policy to make.
type PolicySpec struct {
	Name        string `json:"name" example:"short-leases"`
	Description string `json:"description,omitempty" maxLength:"1000"`
	Text        string `json:"text" maxLength:"65536"`
}

// PolicyChange says what to change; absent fields stay.
type PolicyChange struct {
	Description *string `json:"description,omitempty" maxLength:"1000"`
	Text        *string `json:"text,omitempty" maxLength:"65536"`
}
