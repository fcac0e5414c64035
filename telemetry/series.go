package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// series are the time series of one histogram by their labels. The vector's own look-up hashes the labels and
// makes a list of them each time; this one compares a key.
type series[K comparable] struct {
	vector *prometheus.HistogramVec
	values func(K) []string

	mu    sync.RWMutex
	known map[K]prometheus.Observer
}

// newSeries describes a histogram of seconds. values returns those of the labels, in their order.
func newSeries[K comparable](name, help string, buckets []float64, labels []string, values func(K) []string) *series[K] {
	vector := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	return &series[K]{vector: vector, values: values, known: map[K]prometheus.Observer{}}
}

func (s *series[K]) observe(key K, took time.Duration) {
	s.mu.RLock()
	one := s.known[key]
	s.mu.RUnlock()
	if one == nil {
		one = s.make(key)
	}
	one.Observe(took.Seconds())
}

func (s *series[K]) make(key K) prometheus.Observer {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.vector.WithLabelValues(s.values(key)...) // the same one for the same labels
	s.known[key] = one
	return one
}

// The bounds of histograms, in seconds: of requests and calls, of flushes, of what is late.
func callBuckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
}

func diskBuckets() []float64 {
	return []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}
}

func lateBuckets() []float64 {
	return []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400}
}
