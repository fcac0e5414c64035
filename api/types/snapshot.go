package types

import "time"

// SnapshotContentType is the media type of a snapshot file.
const SnapshotContentType = "application/vnd.broker.snapshot"

// Restored tells that the cluster was restored from a snapshot and changes nothing at outside systems.
type Restored struct {
	Drill      bool      `json:"drill" doc:"For practising: it can never be released"`
	SnapshotAt time.Time `json:"snapshot_at" doc:"When the snapshot was made"`
	RestoredAt time.Time `json:"restored_at"`
}

// SnapshotDifference is what differs between a restored ledger and one outside system.
type SnapshotDifference struct {
	Connection string   `json:"connection"`
	System     string   `json:"system,omitempty" doc:"The outside system's identity"`
	Current    bool     `json:"current" doc:"The connection points at this system now"`
	Mode       string   `json:"mode" doc:"remove, report or off"`
	Skipped    string   `json:"skipped,omitempty" doc:"Why the system was not listed"`
	Error      string   `json:"error,omitempty" doc:"Why listing it failed"`
	Listed     uint64   `json:"listed" doc:"Logins with this cluster's prefix"`
	Unknown    []Orphan `json:"unknown" nullable:"false" doc:"Logins that the ledger does not know"`
	Missing    []string `json:"missing" nullable:"false" doc:"Ids of active leases whose logins are gone"`
	Over       []string `json:"over" nullable:"false" doc:"Ids of active leases whose end has passed: they end with the release, unless it puts that off"`
}

// SnapshotReleaseSpec says what becomes of logins that a restored ledger does not know.
type SnapshotReleaseSpec struct {
	Unknown string    `json:"unknown" enum:"adopt,report,remove" doc:"adopt: they get a lease that ends after ttl, and leases that would end before live as long; report: they are shown and left alone; remove: they are removed at once"`
	TTL     *Duration `json:"ttl,omitempty" doc:"With adopt: how long they live"`
	Reason  string    `json:"reason" maxLength:"500" doc:"Part of the history"`
}

// SnapshotRelease is what a release did.
type SnapshotRelease struct {
	Adopted uint64 `json:"adopted" doc:"Unknown logins that got a lease, under which they are removed in the end"`
	Kept    uint64 `json:"kept" doc:"Leases whose end was put off"`
	Alone   uint64 `json:"left_alone" doc:"Unknown logins that are left alone"`
}
