package types

import "time"

// ClockRepairSpec asks for the ledger's clock to be set back.
type ClockRepairSpec struct {
	Reason string `json:"reason" maxLength:"1024" doc:"Why; part of the history"`
}

// ClockRepair is what setting the ledger's clock back did, or would do.
type ClockRepair struct {
	Repaired bool      `json:"repaired" doc:"False: the clock is not ahead, and nothing was changed"`
	From     time.Time `json:"from" doc:"What the clock said"`
	To       time.Time `json:"to" doc:"What it says now: the time, as most nodes have it"`
	AheadMS  int64     `json:"ahead_ms" doc:"How far it was ahead"`
	Leases   uint64    `json:"leases" doc:"Live leases that were issued by the wrong clock: their ends were set back with it"`
	Tokens   uint64    `json:"tokens" doc:"Tokens likewise"`
}
