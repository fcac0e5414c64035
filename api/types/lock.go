package types

import "time"

// Lock stops issue and renew for what it covers. It touches no lease that exists.
type Lock struct {
	ID        string     `json:"id"`
	Scope     LockScope  `json:"scope"`
	Reason    string     `json:"reason"`
	Until     *time.Time `json:"until,omitempty" doc:"Absent: until it is deleted"`
	InForce   bool       `json:"in_force" doc:"Its time is not over"`
	By        string     `json:"by,omitempty" doc:"The account that made it"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	Version   uint64     `json:"version" doc:"Changes with every change; send it as If-Match"`
	Warnings  []string   `json:"warnings,omitempty"`
}

// LockScope says what a lock covers: the leases for which every given field holds. At least one is
// given.
type LockScope struct {
	Environment string `json:"environment,omitempty" example:"payments/*" doc:"app/env, app/* or *"`
	Account     string `json:"account,omitempty"`
	Secret      string `json:"secret,omitempty" doc:"Full name: app/env/name"`
	Connection  string `json:"connection,omitempty"`
	Label       string `json:"label,omitempty" doc:"key=value, of the lease or of its secret"`
}

// LockSpec says what lock to make. At most one of Until and TTL is given.
type LockSpec struct {
	Scope  LockScope `json:"scope"`
	Reason string    `json:"reason" maxLength:"500" doc:"Shown to everybody whom it stops"`
	Until  time.Time `json:"until,omitzero" doc:"Without until and ttl it holds until it is deleted"`
	TTL    *Duration `json:"ttl,omitempty"`
	Revoke bool      `json:"revoke,omitempty" doc:"Revoke the leases that it covers, too, once it is in force"`
}

// LockChange says what to change; absent fields stay.
type LockChange struct {
	Reason *string    `json:"reason,omitempty" maxLength:"500"`
	Until  *time.Time `json:"until,omitempty" doc:"The new end"`
	TTL    *Duration  `json:"ttl,omitempty" doc:"The new end, from now on"`
	NoEnd  bool       `json:"no_end,omitempty" doc:"It holds until it is deleted"`
}

// Locked is a new lock with what revokes the leases that it covers.
type Locked struct {
	Lock      Lock       `json:"lock"`
	Operation *Operation `json:"operation,omitempty" doc:"With revoke"`
}
