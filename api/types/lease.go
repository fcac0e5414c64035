package types

import (
	"slices"
	"time"
)

// Lease is one credential given to one account for a time.
type Lease struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Secret     string `json:"secret" doc:"Full name: app/env/name"`
	Connection string `json:"connection"`
	Account    string `json:"account" doc:"Who holds it"`
	Username   string `json:"username" doc:"The login's name at the outside system"`
	State      string `json:"state" doc:"pending, active, revoking, revoked, expired, failed; besides overdue, stuck, missing and forgotten"`

	CreatedAt    time.Time  `json:"created_at"`
	ActivatedAt  *time.Time `json:"activated_at,omitempty"`
	RenewedAt    *time.Time `json:"renewed_at,omitempty"`
	ExpiresAt    time.Time  `json:"expires_at"`
	MaxExpiresAt time.Time  `json:"max_expires_at" doc:"Renewing cannot go beyond"`
	RevokingAt   *time.Time `json:"revoking_at,omitempty"`
	EndedAt      *time.Time `json:"ended_at,omitempty"`

	RenewableTTL Duration          `json:"renewable_ttl" doc:"By how much it can still be extended, in seconds"`
	Renewable    bool              `json:"renewable" doc:"It is active and can still be extended; never, where the end of a credential is fixed as it is made"`
	Renewals     int               `json:"renewals"`
	Labels       map[string]string `json:"labels"`

	Parameters map[string]any `json:"parameters,omitempty" doc:"What it was asked for with besides"`

	Replaces   string `json:"replaces,omitempty" doc:"The lease that its holder had before, as the request for it said"`
	ReplacedBy string `json:"replaced_by,omitempty" doc:"The lease that came in its place"`

	Cause     string     `json:"cause,omitempty" doc:"Why its end began: revoke, expire, rollback, abort, refused or orphan"`
	Reason    string     `json:"reason,omitempty"`
	Attempts  int        `json:"attempts,omitempty" doc:"Attempts at revoking that failed"`
	LastError string     `json:"last_error,omitempty" doc:"Of the newest attempt at revoking"`
	NextTryAt *time.Time `json:"next_try_at,omitempty" doc:"When revoking is tried again"`

	Missing   bool   `json:"missing,omitempty" doc:"It is active and its login was not there in the newest sweep"`
	Forgotten bool   `json:"forgotten,omitempty" doc:"It was ended without its login being removed; the login may still exist"`
	Operation string `json:"operation,omitempty" doc:"The operation that revokes it"`

	Version  uint64   `json:"version"`
	Warnings []string `json:"warnings,omitempty"`
}

// Ended reports whether the lease's life is over.
func (l Lease) Ended() bool {
	return slices.Contains([]string{"revoked", "expired", "failed", "forgotten"}, l.State)
}

// IssueSpec asks for a lease.
type IssueSpec struct {
	Name   string            `json:"name,omitempty" maxLength:"256" doc:"The secret's name unless said"`
	TTL    *Duration         `json:"ttl,omitempty" doc:"The secret's default_ttl unless said"`
	Labels map[string]string `json:"labels,omitempty"`

	Parameters map[string]any `json:"parameters,omitempty" doc:"What the provider takes besides, as its description tells; kept with the lease"`

	Replaces string `json:"replaces,omitempty" maxLength:"64" doc:"A lease of the same secret and account that this one comes after; it is marked, and lives on until it is revoked"`
}

// Issued is a new lease with its values, which are shown this once.
type Issued struct {
	Lease    Lease    `json:"lease"`
	Values   Values   `json:"values" doc:"In the order of the secret's outputs; empty in a dry run"`
	Masked   []string `json:"masked" nullable:"false" doc:"Keys whose values are hidden where people look"`
	Replayed bool     `json:"replayed,omitempty" doc:"The answer to an earlier request with the same idempotency key"`
	Warnings []string `json:"warnings,omitempty"`
}

// RenewSpec asks for more time: exactly one of TTL and Until is set.
type RenewSpec struct {
	TTL   *Duration `json:"ttl,omitempty" doc:"Added to the lease's end"`
	Until string    `json:"until,omitempty" example:"max" doc:"The new end as an RFC 3339 time, or max; never shortens; safe to repeat"`
}

// UntilMax is the value of [RenewSpec].Until that asks for as much time as the secret allows.
const UntilMax = "max"

// RevokeSpec asks for the end of a lease.
type RevokeSpec struct {
	Reason string `json:"reason,omitempty" maxLength:"1024" doc:"Kept in the lease's history"`
}
