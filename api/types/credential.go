package types

import (
	"fmt"
	"time"
)

// Group is a set of accounts that can be given roles together.
type Group struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Members     []string  `json:"members" doc:"Names of accounts, sorted"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	Version     uint64    `json:"version" doc:"Changes with every change; send it as If-Match"`
}

// GroupSpec says what group to make.
type GroupSpec struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty" maxLength:"1000"`
	Members     []string `json:"members,omitempty" doc:"Names of accounts"`
}

// GroupChange says what to change; absent fields stay.
type GroupChange struct {
	Description *string  `json:"description,omitempty" maxLength:"1000"`
	Add         []string `json:"add,omitempty" doc:"Accounts to take in"`
	Remove      []string `json:"remove,omitempty" doc:"Accounts to take out"`
}

// Token gives its bearer an account's rights.
type Token struct {
	Token       string     `json:"token,omitempty" doc:"In the answer to its creation only; it is kept nowhere"`
	Accessor    string     `json:"accessor" doc:"Names the token without giving access"`
	Account     string     `json:"account"`
	Description string     `json:"description,omitempty"`
	Method      string     `json:"method,omitempty" doc:"How it came into being: init, host, token, client or password"`
	MadeBy      string     `json:"made_by,omitempty" doc:"The account that made it with a token of its own"`
	Parent      string     `json:"parent,omitempty" doc:"The token that it was made with, and that it goes with"`
	MaxUses     int        `json:"max_uses,omitempty" doc:"Requests that it is good for; absent: any number"`
	Uses        int        `json:"uses,omitempty" doc:"Requests that it was used for, where they are counted"`
	CIDRs       []string   `json:"cidrs,omitempty" doc:"Networks that it is good from; absent: any"`
	Groups      []string   `json:"groups,omitempty" doc:"Groups that signing in brought, beside those that the account is in"`
	State       string     `json:"state" enum:"valid,used,expired"`
	CreatedAt   time.Time  `json:"created_at"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty" doc:"Absent: it does not expire"`
	IdleTTL     Duration   `json:"idle_ttl,omitempty" doc:"How long it is good without being renewed; absent: it need not be"`
	IdleEndsAt  *time.Time `json:"idle_ends_at,omitempty" doc:"When it ends unless it is renewed before"`
}

// TokenSpec says what token to make.
type TokenSpec struct {
	Account     string    `json:"account,omitempty" doc:"Whose it is; that of whoever asks, unless said"`
	TTL         *Duration `json:"ttl,omitempty" doc:"How long it is valid: 12h for people and 24h for services unless said, 30 and 90 days at the most; never longer than the token it is made with"`
	Uses        int       `json:"uses,omitempty" minimum:"0" maximum:"1000000" doc:"Requests that it is good for; any number unless said"`
	CIDRs       []string  `json:"cidrs,omitempty" doc:"Networks that it is good from, e.g. 10.1.0.0/16; any unless said"`
	Description string    `json:"description,omitempty" maxLength:"1000"`
	IdleTTL     *Duration `json:"idle_ttl,omitempty" doc:"End it when it was not renewed for so long; unless said it need not be"`
}

// ClientSecret is what a program signs in with.
type ClientSecret struct {
	ID           string     `json:"id" doc:"Names the client secret without giving access"`
	ClientID     string     `json:"client_id" doc:"The account's name"`
	ClientSecret string     `json:"client_secret,omitempty" doc:"In the answer to its creation only; it is kept nowhere"`
	Wrapping     *Wrapping  `json:"wrapping,omitempty" doc:"In the answer to its creation, in place of the client secret"`
	Description  string     `json:"description,omitempty"`
	MaxUses      int        `json:"max_uses,omitempty" doc:"Sign-ins that it is good for; absent: any number"`
	Uses         int        `json:"uses,omitempty" doc:"Sign-ins that it was used for, where they are counted"`
	CIDRs        []string   `json:"cidrs,omitempty" doc:"Networks that it, and tokens by it, are good from; absent: any"`
	TokenTTL     Duration   `json:"token_ttl,omitempty" doc:"How long tokens by it live; absent: as long as others"`
	MadeBy       string     `json:"made_by,omitempty"`
	State        string     `json:"state" enum:"valid,used,expired"`
	CreatedAt    time.Time  `json:"created_at"`
	ExpiresAt    *time.Time `json:"expires_at,omitempty" doc:"Absent: it does not expire"`
}

// Wrapping is by what a value can be taken, once.
type Wrapping struct {
	Token     string    `json:"token" doc:"For /auth/unwrap"`
	ExpiresAt time.Time `json:"expires_at"`
}

// ClientSecretSpec says what client secret to make.
type ClientSecretSpec struct {
	Description string    `json:"description,omitempty" maxLength:"1000"`
	TTL         *Duration `json:"ttl,omitempty" doc:"How long it is valid; for ever unless said"`
	Uses        int       `json:"uses,omitempty" minimum:"0" maximum:"1000000" doc:"Sign-ins that it is good for; any number unless said"`
	CIDRs       []string  `json:"cidrs,omitempty" doc:"Networks that it, and tokens by it, are good from, e.g. 10.1.0.0/16; any unless said"`
	TokenTTL    *Duration `json:"token_ttl,omitempty" doc:"How long tokens by it live"`
	WrapTTL     *Duration `json:"wrap_ttl,omitempty" doc:"Answer with a token by which the client secret can be taken once within this time, in place of the client secret"`
}

// PasswordChange gives an account a password, or takes it away.
type PasswordChange struct {
	Password string `json:"password" doc:"At least 12 characters; empty: none any more"`
	Current  string `json:"current_password,omitempty" doc:"Of whoever changes his own password"`
}

// Format writes "[redacted]" for every verb.
func (PasswordChange) Format(f fmt.State, _ rune) { fmt.Fprint(f, redactedText) }

// ClientSignIn is how a program signs in.
type ClientSignIn struct {
	ClientID     string `json:"client_id" maxLength:"128"`
	ClientSecret string `json:"client_secret" maxLength:"1024"`
}

// Format writes "[redacted]" for every verb.
func (ClientSignIn) Format(f fmt.State, _ rune) { fmt.Fprint(f, redactedText) }

// PasswordSignIn is how a person signs in.
type PasswordSignIn struct {
	Username string `json:"username" maxLength:"128" doc:"The account's name"`
	Password string `json:"password" maxLength:"4096"`

	Description string    `json:"description,omitempty" maxLength:"1000" doc:"Of the token"`
	IdleTTL     *Duration `json:"idle_ttl,omitempty" doc:"End the token when it was not renewed for so long; unless said it need not be"`
}

// Format writes "[redacted]" for every verb.
func (PasswordSignIn) Format(f fmt.State, _ rune) { fmt.Fprint(f, redactedText) }

// Unwrap asks for a value that waits to be taken once.
type Unwrap struct {
	Token string `json:"token" maxLength:"1024"`
}

// Format writes "[redacted]" for every verb.
func (Unwrap) Format(f fmt.State, _ rune) { fmt.Fprint(f, redactedText) }

// Unwrapped is a value that was taken.
type Unwrapped struct {
	About  string `json:"about" doc:"What it is: client-secret"`
	Values Values `json:"values" doc:"For a client secret: id, client_id and client_secret"`
}

const redactedText = "[redacted]"
