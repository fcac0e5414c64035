package types

import "time"

// JoinToken lets nodes into the cluster until it is used up or its time is over.
type JoinToken struct {
	ID          string    `json:"id"`
	Token       string    `json:"token,omitempty" doc:"In the answer to its creation only; it is kept nowhere"`
	Description string    `json:"description,omitempty"`
	Uses        int       `json:"uses" doc:"How many nodes it has let in"`
	MaxUses     int       `json:"max_uses" doc:"How many it lets in"`
	State       string    `json:"state" enum:"valid,used,expired"`
	By          string    `json:"by,omitempty" doc:"The account that made it"`
	CreatedAt   time.Time `json:"created_at"`
	ExpiresAt   time.Time `json:"expires_at"`
}

// JoinTokenSpec says what join token to make.
type JoinTokenSpec struct {
	Description string    `json:"description,omitempty" maxLength:"1000"`
	Uses        int       `json:"uses,omitempty" minimum:"1" maximum:"100" doc:"How many nodes it lets in; 1 unless said"`
	TTL         *Duration `json:"ttl,omitempty" doc:"How long it is valid; an hour unless said"`
}

// Authority is a certificate authority of the cluster.
type Authority struct {
	Number      uint64    `json:"number"`
	Signs       bool      `json:"signs" doc:"It signs the certificates; others are believed only"`
	Fingerprint string    `json:"fingerprint" doc:"By it clients know the cluster: sha256:…"`
	Certificate string    `json:"certificate" doc:"PEM"`
	CreatedAt   time.Time `json:"created_at"`
	ExpiresAt   time.Time `json:"expires_at"`
}
