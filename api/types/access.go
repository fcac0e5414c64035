package types

import "time"

// ExplainSpec asks whether an account may do something, and why.
type ExplainSpec struct {
	Account  string    `json:"account"`
	Action   string    `json:"action" example:"lease:issue"`
	Resource string    `json:"resource" example:"payments/production/orders-ro" doc:"A secret app/env/name, an environment app/env, app/* or *, KIND/NAME such as connection/orders-db, account/ci or lease/ID, or cluster"`
	TTL      *Duration `json:"ttl,omitempty" doc:"The life of a lease that would be asked for; policies may look at it"`
	Address  string    `json:"address,omitempty" doc:"The address that it would be asked from; policies may look at it"`
}

// Explanation says whether an account may do something, and why.
type Explanation struct {
	Allowed  bool      `json:"allowed"`
	Account  string    `json:"account"`
	Action   string    `json:"action"`
	Resource string    `json:"resource"`
	Why      []string  `json:"why" doc:"A sentence each, the most telling first"`
	MaxTTL   *Duration `json:"max_ttl,omitempty" doc:"The longest life of leases that it is allowed for; absent: as long as the secret allows"`
	Because  []Ground  `json:"because" doc:"What why says, for programs"`
}

// Ground is a ground of a decision.
type Ground struct {
	What    string `json:"what" doc:"role, policy, own (it belongs to the account itself) or everyone"`
	Name    string `json:"name,omitempty" doc:"Of the role or policy"`
	Rule    string `json:"rule,omitempty" doc:"Of the policy: its @id, or its number"`
	Binding string `json:"binding,omitempty" doc:"That gives the role"`
	Scope   string `json:"scope,omitempty" doc:"Of the binding"`
	Group   string `json:"group,omitempty" doc:"By which the account has the role"`
	Forbids bool   `json:"forbids,omitempty"`
}

// Answer says whether whoever asks may do something.
type Answer struct {
	Action   string    `json:"action"`
	Resource string    `json:"resource"`
	Allowed  bool      `json:"allowed"`
	MaxTTL   *Duration `json:"max_ttl,omitempty" doc:"The longest life of leases that it is allowed for; absent: as long as the secret allows"`
}

// WhoCanSpec asks who may do something.
type WhoCanSpec struct {
	Action   string `json:"action" example:"lease:issue"`
	Resource string `json:"resource" example:"payments/production/orders-ro" doc:"As for explain"`
}

// WhoCan is who may do something: accounts, and groups whose members may, those to come included.
type WhoCan struct {
	Action   string   `json:"action"`
	Resource string   `json:"resource"`
	Holders  []Holder `json:"holders" doc:"Accounts before groups, each by name"`
}

// Holder is an account or a group that may do something.
type Holder struct {
	Account string   `json:"account,omitempty"`
	Group   string   `json:"group,omitempty"`
	Why     []string `json:"why"`
	Because []Ground `json:"because"`
}

// AccessRow is a line of the report of who may do what where.
type AccessRow struct {
	Account string     `json:"account"`
	Place   string     `json:"place" doc:"An environment; a secret where it holds for no more than that; * for what is in no environment"`
	Action  string     `json:"action"`
	Why     []string   `json:"why"`
	UsedAt  *time.Time `json:"used_at,omitempty" doc:"When history last saw the account do it there"`
	Tracked bool       `json:"tracked" doc:"History tells of this action; reading leaves no trace there"`
}
