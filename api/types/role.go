package types

import "time"

// Role is a set of actions that accounts and groups are given.
type Role struct {
	Name    string   `json:"name"`
	Help    string   `json:"help"`
	Actions []string `json:"actions" doc:"Sorted"`
}

// RoleBinding gives an account, or the members of a group, a role within a scope.
type RoleBinding struct {
	ID        string    `json:"id"`
	Role      string    `json:"role"`
	Account   string    `json:"account,omitempty"`
	Group     string    `json:"group,omitempty"`
	Scope     string    `json:"scope" doc:"*, app/*, app/env or app/env/secret"`
	CreatedAt time.Time `json:"created_at"`
	Version   uint64    `json:"version" doc:"Send it as If-Match"`
	Warnings  []string  `json:"warnings,omitempty"`
}

// RoleBindingSpec says which role to give to whom: to an account or to a group.
type RoleBindingSpec struct {
	Role    string `json:"role" example:"developer"`
	Account string `json:"account,omitempty"`
	Group   string `json:"group,omitempty"`
	Scope   string `json:"scope" example:"payments/*" doc:"*, app/*, app/env or app/env/secret"`
}
