package types

import "time"

// SweepSpec says what to sweep.
type SweepSpec struct {
	Connection string `json:"connection,omitempty" doc:"All connections unless said"`
}

// SweepReport is what one sweep of an outside system found.
type SweepReport struct {
	Connection string   `json:"connection"`
	System     string   `json:"system,omitempty" doc:"The outside system's identity"`
	Current    bool     `json:"current" doc:"The connection points at this system now"`
	Mode       string   `json:"mode" doc:"remove, report or off"`
	Skipped    string   `json:"skipped,omitempty" doc:"Why the system was not listed"`
	Error      string   `json:"error,omitempty" doc:"Why listing it failed"`
	Listed     uint64   `json:"listed" doc:"Logins with this cluster's prefix"`
	Orphans    []Orphan `json:"orphans" nullable:"false" doc:"Logins that no live lease knows"`
	Adopted    []string `json:"adopted" nullable:"false" doc:"Ids of the leases under which orphans are removed from now on"`
	Missing    []string `json:"missing" nullable:"false" doc:"Ids of active leases whose logins are gone"`
}

// Orphan is a login at an outside system that no live lease knows.
type Orphan struct {
	Connection  string    `json:"connection"`
	System      string    `json:"system,omitempty" doc:"The outside system's identity"`
	Username    string    `json:"username"`
	Ours        bool      `json:"ours" doc:"It carries the full id of this cluster; others are never removed"`
	Kept        bool      `json:"kept,omitempty" doc:"Left alone for good, as was decided when a restored cluster was released"`
	FirstSeenAt time.Time `json:"first_seen_at"`
	LastSeenAt  time.Time `json:"last_seen_at"`
}

// ConnectionHealth is what the leader knows of an outside system.
type ConnectionHealth struct {
	Connection  string     `json:"connection"`
	System      string     `json:"system,omitempty" doc:"The outside system's identity"`
	Current     bool       `json:"current" doc:"The connection points at this system now"`
	Available   bool       `json:"available" doc:"False: nothing is issued, renewed or removed there until a try succeeds"`
	Since       *time.Time `json:"unavailable_since,omitempty"`
	Error       string     `json:"error,omitempty"`
	NextTryAt   *time.Time `json:"next_try_at,omitempty"`
	PausedUntil *time.Time `json:"paused_until,omitempty"`
	Waiting     int        `json:"waiting" doc:"Logins that are to be removed"`
}

// PauseSpec says until when an outside system is left alone: exactly one of Until and TTL is given.
type PauseSpec struct {
	Until  time.Time `json:"until,omitzero"`
	TTL    *Duration `json:"ttl,omitempty"`
	Reason string    `json:"reason" maxLength:"500" doc:"Shown to everybody whom it stops"`
}
