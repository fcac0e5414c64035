package telemetry

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"broker/broker"
	"broker/fsm"
)

// ledgerFigures are what the leader tells of the whole cluster: the ledger in numbers, and what it alone
// holds in memory. Other nodes tell nothing of it, so that adding all nodes up counts nothing twice.
type ledgerFigures struct {
	figures
	config Config

	leases, overdue, stuck, nextDue                *prometheus.Desc
	live, orphans, missing, swept, paused, waiting *prometheus.Desc
	available                                      *prometheus.Desc
	wheel, horizon                                 *prometheus.Desc
}

func newLedgerFigures(c Config) *ledgerFigures {
	f := &ledgerFigures{config: c}
	f.leases = f.number("broker_leases", "Leases in each live state.", "state")
	f.overdue = f.number("broker_leases_overdue", "Leases whose time is over and whose removal has not begun; 100 000 at the most.")
	f.stuck = f.number("broker_leases_stuck", "Revoking leases whose login could not be removed several times; 100 000 at the most.")
	f.nextDue = f.number("broker_lease_next_due_timestamp_seconds", "When the first of all leases is due; absent when none is.")
	f.live = f.number("broker_connection_leases", "Live leases of a connection.", "connection", "provider")
	f.orphans = f.number("broker_orphans", "Logins at a connection that no live lease knows, as the newest sweep left them.", "connection")
	f.missing = f.number("broker_leases_missing", "Active leases of a connection whose login was gone in the newest sweep.", "connection")
	f.swept = f.number("broker_connection_sweep_timestamp_seconds", "When the newest complete sweep of a connection was recorded; absent before the first.", "connection")
	f.paused = f.number("broker_connection_paused", "1: an operator has paused the connection.", "connection")
	f.available = f.number("broker_connection_available", "0: the breaker of the connection is open, since its outside system does not answer.", "connection")
	f.waiting = f.number("broker_connection_removals_waiting", "Logins of a connection that are to be removed.", "connection")
	f.wheel = f.number("broker_wheel_leases", "Leases in the timer wheel: those that are due within its window.")
	f.horizon = f.number("broker_wheel_horizon_timestamp_seconds", "Up to when the timer wheel is filled.")
	return f
}

// Collect implements [prometheus.Collector].
func (f *ledgerFigures) Collect(to chan<- prometheus.Metric) {
	memory, leads := f.config.Figures()
	if !leads {
		return
	}
	var census fsm.Census
	err := f.config.View(func(v *fsm.View) error {
		census = v.Census(fsm.At(f.config.Now()))
		return nil
	})
	if err != nil {
		return // the ledger is closed
	}
	for _, state := range slices.Sorted(maps.Keys(census.Leases)) {
		tell(to, f.leases, float64(census.Leases[state]), string(state))
	}
	tell(to, f.overdue, float64(census.Overdue))
	tell(to, f.stuck, float64(census.Stuck))
	tellInstantOf(to, f.nextDue, census.FirstDueAt)
	tell(to, f.wheel, float64(memory.Wheel))
	tellInstantOf(to, f.horizon, fsm.At(memory.HorizonAt))
	f.collectConnections(to, census, memory)
}

func (f *ledgerFigures) collectConnections(to chan<- prometheus.Metric, census fsm.Census, memory broker.Figures) {
	inMemory := map[fsm.ConnectionName]broker.ConnectionFigures{}
	for _, c := range memory.Connections {
		inMemory[c.Name] = c
	}
	for _, c := range census.Connections {
		name := string(c.Name)
		tell(to, f.live, float64(c.Live), name, c.Provider)
		tell(to, f.orphans, float64(c.Orphans), name)
		tell(to, f.missing, float64(c.Missing), name)
		tell(to, f.paused, oneIf(c.Paused), name)
		tellInstantOf(to, f.swept, c.SweptAt, name)
		called, known := inMemory[c.Name]
		tell(to, f.available, oneIf(called.Available || !known), name) // who was never called has not failed
		tell(to, f.waiting, float64(called.Waiting), name)
	}
}

func tellInstantOf(to chan<- prometheus.Metric, desc *prometheus.Desc, at fsm.Instant, labels ...string) {
	if !at.IsZero() {
		tellInstant(to, desc, at.Time(), labels...)
	}
}
