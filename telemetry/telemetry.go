package telemetry

import (
	"errors"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"broker/api"
	"broker/api/front"
	"broker/broker"
	"broker/cluster"
	"broker/fsm"
)

// Config says what Metrics are about.
type Config struct {
	NodeID  string
	Version string // of the program

	// Providers are the names of what connections may lead to: no others become labels.
	Providers []string

	// Status returns how this node sees the cluster. Required. It is called for each scrape, as are the others.
	Status func() cluster.Status

	// View reads the ledger. Required.
	View func(func(*fsm.View) error) error

	// Figures returns what the leader holds in memory, and whether this node leads. Required.
	Figures func() (broker.Figures, bool)

	// Streams returns how many event streams are open at this node. Nil: it is not shown.
	Streams func() int

	// Connections returns how many connections to the API are open, and how many were refused. Nil: it is not shown.
	Connections func() (open int, refused front.Refused)

	// Limited returns how many requests were refused since they came too often. Nil: it is not shown.
	Limited func() api.Limited

	// FeatureLevel returns the level that the cluster works at. Nil, or false: it is not shown.
	FeatureLevel func() (level uint64, known bool)

	// CertificatesEndAt returns when this node's certificates end, by what they are for: "cluster", "api". Nil:
	// they are not shown.
	CertificatesEndAt func() map[string]time.Time

	// SnapshotAt returns when the newest scheduled snapshot was complete. Nil, or false: it is not shown.
	SnapshotAt func() (at time.Time, known bool)

	// Audit returns what the node's audit log tells of itself. Nil, or false: it is not shown.
	Audit func() (Audit, bool)

	// Now tells the time. Nil: time.Now.
	Now func() time.Time
}

// Metrics are the metrics of one node. It implements [broker.Observer], [cluster.Observer] and [api.Observer]:
// an observation costs a look into a map and an addition, and allocates nothing.
type Metrics struct {
	registry  *prometheus.Registry
	providers map[string]bool

	asked    *series[askedKey]
	removed  *series[removedKey]
	late     *series[lateKey]
	called   *series[calledKey]
	proposed *series[proposedKey]
	flushed  *series[flushedKey]
	answered *series[answeredKey]
	forwards *series[forwardKey]
}

// New returns the metrics of a node. It starts nothing.
func New(c Config) (*Metrics, error) {
	if c.Status == nil || c.View == nil || c.Figures == nil {
		return nil, errors.New("metrics need a status, a view and figures")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	m := &Metrics{registry: prometheus.NewRegistry(), providers: map[string]bool{}}
	for _, name := range c.Providers {
		m.providers[name] = true
	}
	m.work()
	m.log()
	m.requests()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "broker_build_info", Help: "Always 1; the labels tell what runs here.",
		ConstLabels: prometheus.Labels{"node": c.NodeID, "version": c.Version, "goversion": runtime.Version()},
	})
	build.Set(1)
	for _, collector := range []prometheus.Collector{
		m.asked.vector, m.removed.vector, m.late.vector, m.called.vector, m.proposed.vector, m.flushed.vector, m.answered.vector, m.forwards.vector,
		build, newNodeFigures(c), newLedgerFigures(c), newAuditFigures(c), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := m.registry.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Handler serves the metrics. What cannot be read is left out: half of them are better than none. Two scrapes
// are served at a time, others are told to come back.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 2})
}

// Gatherer reads the metrics.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }
