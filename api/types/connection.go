package types

import "time"

// Connection is an outside system and who may use it. Its secret fields are never shown.
type Connection struct {
	Name         string         `json:"name" example:"orders-db"`
	Provider     string         `json:"provider" example:"postgres"`
	Description  string         `json:"description"`
	Environments []string       `json:"environments" nullable:"false" doc:"Environments that may use it: app/env, app/* or *"`
	Settings     map[string]any `json:"settings" doc:"The provider's fields that are not secret"`
	SecretFields []string       `json:"secret_fields" nullable:"false" doc:"Names of the secret fields that are set"`
	System       string         `json:"system,omitempty" doc:"The outside system's identity, as a check found it"`
	Sweep        string         `json:"sweep" doc:"What happens to logins that no lease knows: remove, report or off"`
	CreatedAt    time.Time      `json:"created_at"`
	UpdatedAt    time.Time      `json:"updated_at"`
	Version      uint64         `json:"version" doc:"Changes with every change; send it as If-Match"`
	Warnings     []string       `json:"warnings,omitempty"`

	PausedUntil    *time.Time `json:"paused_until,omitempty" doc:"The outside system is not called before; ends of leases wait"`
	PauseReason    string     `json:"pause_reason,omitempty"`
	BeingDeletedBy string     `json:"being_deleted_by,omitempty" doc:"The operation that deletes it"`
}

// ConnectionSpec says what connection to make.
type ConnectionSpec struct {
	Name         string         `json:"name" example:"orders-db"`
	Provider     string         `json:"provider" example:"postgres"`
	Description  string         `json:"description,omitempty"`
	Environments []string       `json:"environments,omitempty" doc:"Environments that may use it; none by default"`
	Settings     map[string]any `json:"settings,omitempty" doc:"The provider's fields, secret ones included"`
	SkipCheck    bool           `json:"skip_check,omitempty" doc:"Save without asking the outside system"`
	Sweep        string         `json:"sweep,omitempty" enum:"remove,report,off" doc:"What happens to logins that no lease knows; remove unless said"`
}

// ConnectionChange says what to change; absent fields stay.
type ConnectionChange struct {
	Description  *string        `json:"description,omitempty"`
	Environments *[]string      `json:"environments,omitempty"`
	Settings     map[string]any `json:"settings,omitempty" doc:"Merged over the present ones; null removes one"`
	System       string         `json:"system,omitempty" enum:"moved,replaced" doc:"What a changed address means: the same system elsewhere (old leases follow) or another one (old leases stay with the old one)"`
	SkipCheck    bool           `json:"skip_check,omitempty"`
	Sweep        *string        `json:"sweep,omitempty" enum:"remove,report,off"`
}

// ConnectionCheck is what a check found.
type ConnectionCheck struct {
	Connection string   `json:"connection"`
	System     string   `json:"system" doc:"The outside system's identity"`
	Warnings   []string `json:"warnings,omitempty"`
}
