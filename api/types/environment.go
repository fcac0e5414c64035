package types

import "time"

// Environment is where secrets live, named app/env.
type Environment struct {
	Name        string    `json:"name" example:"payments/production"`
	Description string    `json:"description"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	Version     uint64    `json:"version" doc:"Changes with every change; send it as If-Match"`
	Warnings    []string  `json:"warnings,omitempty"`

	BeingDeletedBy string `json:"being_deleted_by,omitempty" doc:"The operation that deletes it"`
}

// EnvironmentSpec says what environment to make.
type EnvironmentSpec struct {
	Name        string `json:"name" example:"payments/production"`
	Description string `json:"description,omitempty"`
}

// EnvironmentChange says what to change; absent fields stay.
type EnvironmentChange struct {
	Description *string `json:"description,omitempty"`
}
