package telemetry

import "github.com/prometheus/client_golang/prometheus"

// figures describe numbers that are read when somebody asks.
type figures struct{ descs []*prometheus.Desc }

func (f *figures) number(name, help string, labels ...string) *prometheus.Desc {
	desc := prometheus.NewDesc(name, help, labels, nil)
	f.descs = append(f.descs, desc)
	return desc
}

// Describe implements [prometheus.Collector].
func (f *figures) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range f.descs {
		to <- desc
	}
}

// tell sends a number that may go up and down.
func tell(to chan<- prometheus.Metric, desc *prometheus.Desc, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

// tally sends a number that only grows while the process lives.
func tally(to chan<- prometheus.Metric, desc *prometheus.Desc, value uint64, labels ...string) {
	to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
