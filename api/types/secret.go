package types

import "time"

// Secret is a dynamic secret: what kind of login is made, for how long, and how its values are named.
type Secret struct {
	Name        string            `json:"name" example:"orders-ro"`
	Environment string            `json:"environment" example:"payments/production"`
	FullName    string            `json:"full_name" example:"payments/production/orders-ro"`
	Description string            `json:"description"`
	Connection  string            `json:"connection"`
	Provider    string            `json:"provider" example:"postgres" doc:"That of the connection, which one may not be allowed to read"`
	Options     map[string]any    `json:"options" doc:"The provider's options"`
	DefaultTTL  Duration          `json:"default_ttl"`
	MaxTTL      Duration          `json:"max_ttl"`
	Outputs     []Output          `json:"outputs" nullable:"false"`
	Labels      map[string]string `json:"labels"`
	Disabled    bool              `json:"disabled"`
	MaxLeases   uint64            `json:"max_leases,omitempty" doc:"Live at one time; absent: no limit"`
	IssueRate   string            `json:"issue_rate,omitempty" example:"10/1m" doc:"Leases in a length of time; absent: no limit"`
	LiveLeases  uint64            `json:"live_leases" doc:"Pending, active and revoking"`
	CreatedAt   time.Time         `json:"created_at"`
	UpdatedAt   time.Time         `json:"updated_at"`
	Version     uint64            `json:"version" doc:"Changes with every change; send it as If-Match"`
	Warnings    []string          `json:"warnings,omitempty"`
	Preview     *SecretPreview    `json:"preview,omitempty" doc:"In a dry run: what a lease would do"`

	BeingDeletedBy string `json:"being_deleted_by,omitempty" doc:"The operation that deletes it"`
}

// Output is one key of the leased values.
type Output struct {
	Key    string `json:"key" example:"DB_USER"`
	Source string `json:"source" example:"username" doc:"A field of the provider's values or a template with fields in double braces"`
	Masked *bool  `json:"masked,omitempty" doc:"Hidden where people look; true unless said"`
}

// SecretSpec says what secret to make.
type SecretSpec struct {
	Name        string            `json:"name" example:"orders-ro"`
	Description string            `json:"description,omitempty"`
	Connection  string            `json:"connection"`
	Options     map[string]any    `json:"options,omitempty"`
	DefaultTTL  *Duration         `json:"default_ttl,omitempty" doc:"One hour unless said"`
	MaxTTL      *Duration         `json:"max_ttl,omitempty" doc:"24 hours unless said"`
	Outputs     []Output          `json:"outputs,omitempty" doc:"Every output of the provider under its upper-case name unless said"`
	Labels      map[string]string `json:"labels,omitempty"`
	MaxLeases   uint64            `json:"max_leases,omitempty" doc:"Live at one time; 0: no limit"`
	IssueRate   string            `json:"issue_rate,omitempty" example:"10/1m" doc:"Leases in a length of time; empty: no limit"`
	Disabled    bool              `json:"disabled,omitempty" doc:"A disabled secret issues and renews no leases"`
}

// SecretChange says what to change; absent fields stay.
type SecretChange struct {
	Description *string            `json:"description,omitempty"`
	Options     map[string]any     `json:"options,omitempty" doc:"Merged over the present ones; null removes one"`
	DefaultTTL  *Duration          `json:"default_ttl,omitempty"`
	MaxTTL      *Duration          `json:"max_ttl,omitempty"`
	Outputs     *[]Output          `json:"outputs,omitempty"`
	Labels      *map[string]string `json:"labels,omitempty"`
	Disabled    *bool              `json:"disabled,omitempty" doc:"A disabled secret issues and renews no leases"`
	MaxLeases   *uint64            `json:"max_leases,omitempty" doc:"0: no limit"`
	IssueRate   *string            `json:"issue_rate,omitempty" example:"10/1m" doc:"Empty: no limit"`
}
