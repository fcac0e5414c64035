package types

import "time"

// Cluster is how one node sees the cluster.
type Cluster struct {
	ID            string            `json:"id" doc:"Of the cluster"`
	Node          string            `json:"node" doc:"The node that answered"`
	Leader        string            `json:"leader,omitempty" doc:"The leading node; absent when the answering node knows of none"`
	Term          uint64            `json:"term"`
	LeaderChanges uint64            `json:"leader_changes" doc:"How often the answering node came to know of another leader or term since it was started"`
	AppliedIndex  uint64            `json:"applied_index" doc:"Of the answering node"`
	CommitIndex   uint64            `json:"commit_index" doc:"As far as the answering node knows"`
	StalenessMS   int64             `json:"staleness_ms" doc:"Milliseconds since the answering node last heard of a leader; -1 when it never did"`
	Members       []Member          `json:"members" nullable:"false"`
	Leases        map[string]uint64 `json:"leases" doc:"Leases by state, those that have not ended"`
	FeatureLevel  uint64            `json:"feature_level" doc:"In force: what every node must be able to read"`
	Trouble       Trouble           `json:"trouble"`
	Version       string            `json:"version,omitempty" doc:"Of the program of the answering node"`

	Seal Seal `json:"seal"`

	ClockAt      *time.Time `json:"clock_at,omitempty" doc:"The ledger's clock, by which leases end"`
	ClockAheadMS int64      `json:"clock_ahead_ms" doc:"Milliseconds that the ledger's clock is ahead of the answering node's; below zero, it was not needed for so long"`
	Warnings     []string   `json:"warnings,omitempty"`

	SnapshotAt *time.Time `json:"snapshot_at,omitempty" doc:"When the newest scheduled snapshot of the answering node was complete; absent when it has none"`

	// Restored is set while the cluster is a restored one that nobody has released.
	Restored *Restored `json:"restored,omitempty"`

	// ExpirySuspendedSince is when the cluster lost its quorum: until it is back nothing is revoked.
	ExpirySuspendedSince *time.Time `json:"expiry_suspended_since,omitempty"`
}

// Trouble counts what should not last, up to 100 000 of each.
type Trouble struct {
	Overdue uint64 `json:"overdue" doc:"Leases whose time is over and whose removal has not begun"`
	Stuck   uint64 `json:"stuck" doc:"Leases whose login could not be removed several times"`
	Missing uint64 `json:"missing" doc:"Active leases whose login was gone in the newest sweep"`
	Orphans uint64 `json:"orphans" doc:"Logins that no live lease knows, as the newest sweeps left them"`
}

// Seal tells how the keys are kept that everything secret is encrypted with.
type Seal struct {
	Kind              string `json:"kind" enum:"key-file" doc:"A file on each node"`
	RecoveryShares    int    `json:"recovery_shares" doc:"How many were made that open a snapshot where nothing else is left; 0: none"`
	RecoveryThreshold int    `json:"recovery_threshold" doc:"How many of them it takes"`
}

// Health answers the health routes.
type Health struct {
	Status string `json:"status" doc:"ok or the reason why not"`
	Node   string `json:"node"`
}
