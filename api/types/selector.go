package types

import "time"

// LeaseSelector chooses leases, by the words of the query of GET /leases. Empty fields choose all; all
// given ones must hold.
type LeaseSelector struct {
	ID            []string  `json:"id,omitempty" doc:"Leases by their ids; any of them, 1000 at the most"`
	Environment   []string  `json:"environment,omitempty" doc:"app/env, app/* or *; any of them"`
	Secret        string    `json:"secret,omitempty" doc:"Full name: app/env/name"`
	Connection    string    `json:"connection,omitempty"`
	Account       string    `json:"account,omitempty" doc:"Who holds them"`
	Username      string    `json:"username,omitempty" doc:"The login's name"`
	Label         []string  `json:"label,omitempty" doc:"key=value; all of them"`
	State         []string  `json:"state,omitempty" doc:"Shown states; any of them"`
	Token         string    `json:"token,omitempty" doc:"Accessor of the token they were issued with"`
	Operation     string    `json:"operation,omitempty" doc:"The operation that revokes them"`
	IssuedAfter   time.Time `json:"issued_after,omitzero"`
	IssuedBefore  time.Time `json:"issued_before,omitzero"`
	ExpiresAfter  time.Time `json:"expires_after,omitzero"`
	ExpiresBefore time.Time `json:"expires_before,omitzero"`
}

// BulkSpec asks for something to be done with many leases.
type BulkSpec struct {
	Selector LeaseSelector `json:"selector,omitzero" doc:"Which leases; one that chooses all of them is refused unless all is true"`
	All      bool          `json:"all,omitempty" doc:"Really every lease: given in place of a selector"`
	Reason   string        `json:"reason,omitempty" maxLength:"500" doc:"Kept in the history; required to forget"`
	Max      uint64        `json:"max,omitempty" doc:"Refuse when more leases are chosen"`
}

// ForgetSpec says why a lease's login is given up.
type ForgetSpec struct {
	Reason string `json:"reason" maxLength:"500" doc:"Kept in the lease's history"`
}
