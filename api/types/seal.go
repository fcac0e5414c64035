package types

import "time"

// SealStatus tells which keys everything secret is sealed with, and how far an exchange of them is.
type SealStatus struct {
	Kind     string        `json:"kind" enum:"key-file" doc:"How the keys are kept: a file on each node"`
	Exchange string        `json:"exchange" enum:"none,distributing,resealing" doc:"Whether the sealing key is being exchanged: distributing waits until every node has the new one, resealing seals everything with it"`
	Done     uint64        `json:"done" doc:"How many values are sealed with the key that seals now"`
	Total    uint64        `json:"total" doc:"How many sealed values there are"`
	Missing  []string      `json:"missing,omitempty" doc:"Nodes that do not have the new key yet: start them, or remove them from the cluster"`
	Keeping  []string      `json:"keeping,omitempty" doc:"Nodes that have not dropped a retired key yet"`
	Keys     []SealingKey  `json:"keys" doc:"The sealing keys that there ever were, the oldest first"`
	Recovery *RecoveryKeys `json:"recovery,omitempty" doc:"The shares that open a snapshot where nothing else is left; absent: there are none"`
}

// Running reports whether the sealing key is being exchanged.
func (s SealStatus) Running() bool { return s.Exchange != SealExchangeNone }

// SealExchangeNone is the Exchange of a cluster whose sealing key is not being exchanged.
const SealExchangeNone = "none"

// SealingKey is a sealing key: never the key itself.
type SealingKey struct {
	Number     uint64     `json:"number"`
	ID         string     `json:"id" doc:"What sealed values are known by, in hexadecimal digits"`
	State      string     `json:"state" enum:"next,primary,old,retired"`
	CreatedAt  time.Time  `json:"created_at"`
	PromotedAt *time.Time `json:"promoted_at,omitempty" doc:"Since when it seals; absent in a retired key: it never did"`
	RetiredAt  *time.Time `json:"retired_at,omitempty"`
	Values     uint64     `json:"values" doc:"How many values are sealed with it"`
	Nodes      []string   `json:"nodes" doc:"Nodes that have it in their key files"`
}

// RecoveryKeys says how many recovery shares there are.
type RecoveryKeys struct {
	Shares    int       `json:"shares"`
	Threshold int       `json:"threshold" doc:"How many of them it takes"`
	Split     string    `json:"split" doc:"Names the splitting: every share of it tells the same"`
	CreatedAt time.Time `json:"created_at"`
}
