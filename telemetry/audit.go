package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Audit is what a node's audit log tells of itself.
type Audit struct {
	Records  map[string]uint64 // written, by type: request, outcome, call, other
	Refused  uint64            // requests that were refused because they could not be recorded
	Failures uint64            // failed attempts to open, write or flush the file
	Lost     uint64            // outcomes and calls that found no room to wait in
	Backlog  int               // records that wait to be written

	Syslog        bool // there is a receiver
	SyslogBacklog int
	SyslogLost    uint64

	AnchorAge time.Duration // for how long there have been records that no anchor proves
}

type auditFigures struct {
	figures
	config Config

	records, refused, failures, lost, backlog, syslogBacklog, syslogLost, anchorAge *prometheus.Desc
}

func newAuditFigures(c Config) *auditFigures {
	f := &auditFigures{config: c}
	f.records = f.number("broker_audit_records_total", "Records that were written into this node's audit log.", "type")
	f.refused = f.number("broker_audit_refused_requests_total", "Requests that were refused because they could not be recorded.")
	f.failures = f.number("broker_audit_failures_total", "Failed attempts to open, write or flush the audit log.")
	f.lost = f.number("broker_audit_lost_records_total", "Outcomes and calls that could not be kept until the audit log could be written; gap records count them.")
	f.backlog = f.number("broker_audit_backlog_records", "Records that wait to be written.")
	f.syslogBacklog = f.number("broker_audit_syslog_backlog_records", "Records that wait for syslog.")
	f.syslogLost = f.number("broker_audit_syslog_lost_records_total", "Records that syslog does not have, and the file has.")
	f.anchorAge = f.number("broker_audit_anchor_age_seconds", "For how long there have been records that no anchor proves; 0: there are none.")
	return f
}

// Collect implements [prometheus.Collector].
func (f *auditFigures) Collect(to chan<- prometheus.Metric) {
	if f.config.Audit == nil {
		return
	}
	a, known := f.config.Audit()
	if !known {
		return
	}
	for kind, count := range a.Records {
		tally(to, f.records, count, kind)
	}
	tally(to, f.refused, a.Refused)
	tally(to, f.failures, a.Failures)
	tally(to, f.lost, a.Lost)
	tell(to, f.backlog, float64(a.Backlog))
	if a.Syslog {
		tell(to, f.syslogBacklog, float64(a.SyslogBacklog))
		tally(to, f.syslogLost, a.SyslogLost)
	}
	tell(to, f.anchorAge, a.AnchorAge.Seconds())
}
