package types

import "time"

// Activity tells what happened with leases lately and what comes, of all environments together, minute by minute.
type Activity struct {
	At    time.Time     `json:"at" doc:"When it was counted"`
	Since time.Time     `json:"since" doc:"From when on the past is complete: the beginning of its first minute, or later when more happened than is counted"`
	Past  []PastMinute  `json:"past" nullable:"false" doc:"The last 60 minutes of the clock, the present one last"`
	Ahead []AheadMinute `json:"ahead" nullable:"false" doc:"The 60 minutes to come, the next one first"`
}

// PastMinute is a minute of the clock.
type PastMinute struct {
	At              time.Time `json:"at" doc:"Its beginning"`
	Issued          uint64    `json:"issued" doc:"Leases that became active"`
	Ended           uint64    `json:"ended" doc:"Leases that were active and are gone: revoked, expired or forgotten"`
	WorstLatenessMS int64     `json:"worst_lateness_ms" doc:"The longest time from the end of a lease that expired until its login was gone"`
}

// AheadMinute is a minute to come, counted from when it was asked for.
type AheadMinute struct {
	At     time.Time `json:"at" doc:"Its beginning"`
	Ending uint64    `json:"ending" doc:"Active leases that end within it unless they are renewed"`
}
