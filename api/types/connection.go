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

	Rotation *Rotation `json:"rotation,omitempty" doc:"The newest exchange of its root credential"`

	ChangedSecretFields []string `json:"changed_secret_fields,omitempty" doc:"In a dry run of a change: the secret fields that would have another value"`
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

// The states of a rotation.
const (
	RotationRotating  = "rotating"
	RotationRetiring  = "retiring"
	RotationDone      = "done"
	RotationCancelled = "cancelled"
)

// Rotation is the exchange of a connection's root credential for a new one.
type Rotation struct {
	State     string     `json:"state" enum:"rotating,retiring,done,cancelled" doc:"rotating: the new credential is being made; retiring: it is in use and the old one is not refused yet; both go on by themselves"`
	Since     time.Time  `json:"since" doc:"When it began"`
	By        string     `json:"by,omitempty" doc:"The account that asked for it"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
	RotatedAt *time.Time `json:"rotated_at,omitempty" doc:"When the connection last got a new root credential, by this rotation or one before"`
	Attempts  uint64     `json:"attempts,omitempty" doc:"How often the present step failed"`
	Error     string     `json:"error,omitempty" doc:"Why it failed last"`
	NextTryAt *time.Time `json:"next_try_at,omitempty"`
	Reason    string     `json:"reason,omitempty" doc:"Why it was cancelled"`
}

// RotationCancel says why a rotation is given up.
type RotationCancel struct {
	Reason string `json:"reason" maxLength:"500"`
}

// ConnectionCheck is what a check found.
type ConnectionCheck struct {
	Connection string   `json:"connection"`
	System     string   `json:"system" doc:"The outside system's identity"`
	Warnings   []string `json:"warnings,omitempty"`
}
