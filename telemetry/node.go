package telemetry

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"broker/cluster"
	"broker/fsm"
)

// nodeFigures are what each node tells of itself, whether it leads or not.
type nodeFigures struct {
	figures
	config Config

	term, leads, leaderKnown, contact   *prometheus.Desc
	commit, applied, last               *prometheus.Desc
	candidacies, leaderChanges          *prometheus.Desc
	alive, offset, clockWrong           *prometheus.Desc
	divergent, stateWrong, streams      *prometheus.Desc
	ledgerLead, overdue                 *prometheus.Desc
	featureLevel, certificate, snapshot *prometheus.Desc
	connections, refused, limited       *prometheus.Desc
}

func newNodeFigures(c Config) *nodeFigures {
	f := &nodeFigures{config: c}
	f.term = f.number("broker_raft_term", "Raft's term, as this node knows it.")
	f.leads = f.number("broker_raft_is_leader", "1: this node leads and has applied what came before.")
	f.leaderKnown = f.number("broker_raft_leader_known", "1: this node knows who leads.")
	f.contact = f.number("broker_raft_leader_contact_age_seconds", "Since this node heard from a leader; 0 at the leader, +Inf where it never has.")
	f.commit = f.number("broker_raft_commit_index", "The highest index of the log that this node knows to be committed.")
	f.applied = f.number("broker_raft_applied_index", "The index up to which the ledger of this node has the log.")
	f.last = f.number("broker_raft_last_log_index", "The highest index that this node has stored.")
	f.candidacies = f.number("broker_raft_candidacies_total", "How often this node stood for election.")
	f.leaderChanges = f.number("broker_raft_leader_changes_total", "How often this node came to know of another leader or term.")
	f.alive = f.number("broker_member_alive", "1: the other node was reached lately, 0: it was not; absent when unknown.", "peer")
	f.offset = f.number("broker_clock_offset_seconds", "By how much the other node's clock is ahead of this one's.", "peer")
	f.clockWrong = f.number("broker_clock_wrong", "1: this node's clock is off those of most nodes, so that it does not lead.")
	f.divergent = f.number("broker_state_divergent_nodes", "Other nodes that made another state of the same log than this one.")
	f.stateWrong = f.number("broker_state_wrong", "1: most nodes made another state than this one, which therefore answers no reads and does not lead.")
	f.streams = f.number("broker_event_streams", "Event streams that are open at this node.")
	f.connections = f.number("broker_http_connections", "Connections of clients that are open at this node.")
	f.refused = f.number("broker_http_connections_refused_total", "Connections of clients that this node closed at once.", "reason")
	f.limited = f.number("broker_http_requests_limited_total", "Requests that this node refused since they came too often.", "by")
	f.ledgerLead = f.number("broker_ledger_clock_lead_seconds", "By how much the ledger's clock is ahead of this node's. It is behind by up to 15 s when nothing happens.")
	f.overdue = f.number("broker_ledger_overdue_seconds", "For how long the first due lease in this node's ledger has been due without its end being begun; 0 when none is.")
	f.featureLevel = f.number("broker_feature_level", "The level of features that the cluster works at.")
	f.certificate = f.number("broker_certificate_end_timestamp_seconds", "When this node's certificate ends, for the other nodes or for the API.", "purpose")
	f.snapshot = f.number("broker_snapshot_timestamp_seconds", "When the newest scheduled snapshot that this node knows of was complete.")
	return f
}

// Collect implements [prometheus.Collector].
func (f *nodeFigures) Collect(to chan<- prometheus.Metric) {
	f.collectLog(to, f.config.Status())
	now := f.config.Now()
	// A closed ledger has no figures.
	_ = f.config.View(func(v *fsm.View) error {
		if clock := v.Meta().Clock; clock != 0 {
			tell(to, f.ledgerLead, clock.Time().Sub(now).Seconds())
		}
		overdue := time.Duration(0)
		if due := v.DueLeases(fsm.Due{}, fsm.At(now), 1); len(due) > 0 {
			overdue = now.Sub(due[0].At.Time())
		}
		tell(to, f.overdue, overdue.Seconds())
		return nil
	})
	if streams := f.config.Streams; streams != nil {
		tell(to, f.streams, float64(streams()))
	}
	if connections := f.config.Connections; connections != nil {
		open, refused := connections()
		tell(to, f.connections, float64(open))
		tally(to, f.refused, refused.Full, "full")
		tally(to, f.refused, refused.Host, "address")
		tally(to, f.refused, refused.Header, "header")
	}
	if limited := f.config.Limited; limited != nil {
		counts := limited()
		tally(to, f.limited, counts.Address, "address")
		tally(to, f.limited, counts.Failures, "failures")
		tally(to, f.limited, counts.Account, "account")
	}
	if level := f.config.FeatureLevel; level != nil {
		if value, known := level(); known {
			tell(to, f.featureLevel, float64(value))
		}
	}
	if ends := f.config.CertificatesEndAt; ends != nil {
		for purpose, at := range ends() {
			tellInstant(to, f.certificate, at, purpose)
		}
	}
	if snapshot := f.config.SnapshotAt; snapshot != nil {
		if at, known := snapshot(); known {
			tellInstant(to, f.snapshot, at)
		}
	}
}

func (f *nodeFigures) collectLog(to chan<- prometheus.Metric, s cluster.Status) {
	contact := s.Staleness.Seconds()
	if s.Staleness == math.MaxInt64 {
		contact = math.Inf(1)
	}
	tell(to, f.term, float64(s.Term))
	tell(to, f.leads, oneIf(s.LeaderReady))
	tell(to, f.leaderKnown, oneIf(s.LeaderID != ""))
	tell(to, f.contact, contact)
	tell(to, f.commit, float64(s.CommitIndex))
	tell(to, f.applied, float64(s.AppliedIndex))
	tell(to, f.last, float64(s.LastLogIndex))
	tally(to, f.candidacies, s.Candidacies)
	tally(to, f.leaderChanges, s.LeaderChanges)
	tell(to, f.clockWrong, oneIf(s.ClockError != nil))
	tell(to, f.divergent, float64(len(s.Divergences)))
	tell(to, f.stateWrong, oneIf(s.StateError != nil))
	for _, m := range s.Members {
		if m.Self {
			continue
		}
		if m.Health != cluster.HealthUnknown {
			tell(to, f.alive, oneIf(m.Health == cluster.HealthAlive), m.ID)
		}
		if m.Clock != nil {
			tell(to, f.offset, m.Clock.Offset.Seconds(), m.ID)
		}
	}
}

func tellInstant(to chan<- prometheus.Metric, desc *prometheus.Desc, at time.Time, labels ...string) {
	tell(to, desc, float64(at.UnixMilli())/1000, labels...)
}
