package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sample is what one round, or the sum of several, came to.
type sample struct {
	ops       int
	failed    int
	failure   error // one of them
	took      time.Duration
	latencies []time.Duration // sorted
}

func (s sample) rate() float64 { return float64(s.ops) / s.took.Seconds() }

// quantile returns milliseconds.
func (s sample) quantile(q float64) float64 {
	if len(s.latencies) == 0 {
		return 0
	}
	return float64(s.latencies[min(int(q*float64(len(s.latencies))), len(s.latencies)-1)]) / float64(time.Millisecond)
}

// operation is what a client does over and over. more is false when there is nothing left to do.
type operation func() (more bool, err error)

// load lets clients work side by side until each has nothing left to do or the time is over; zero is no
// limit. prepare makes each client's operation before the clock starts.
func load(ctx context.Context, clients int, limit time.Duration, prepare func(client int) (operation, func(), error)) (sample, error) {
	type result struct {
		latencies []time.Duration
		failed    int
		failure   error
	}
	operations := make([]operation, clients)
	for i := range operations {
		op, end, err := prepare(i)
		if err != nil {
			return sample{}, err
		}
		defer end()
		operations[i] = op
	}
	var over atomic.Bool
	if limit > 0 {
		timer := time.AfterFunc(limit, func() { over.Store(true) })
		defer timer.Stop()
	}
	results := make([]result, clients)
	var running sync.WaitGroup
	began := time.Now()
	for i, op := range operations {
		running.Go(func() {
			r := &results[i]
			for !over.Load() && ctx.Err() == nil {
				from := time.Now()
				more, err := op()
				if err != nil {
					r.failed++
					r.failure = err
					if r.failed > 100 {
						return
					}
				} else if more {
					r.latencies = append(r.latencies, time.Since(from))
				}
				if !more {
					return
				}
			}
		})
	}
	running.Wait()
	s := sample{took: time.Since(began)}
	for _, r := range results {
		s.latencies = append(s.latencies, r.latencies...)
		s.failed += r.failed
		if r.failure != nil {
			s.failure = r.failure
		}
	}
	slices.Sort(s.latencies)
	s.ops = len(s.latencies)
	if err := ctx.Err(); err != nil {
		return s, err
	}
	if s.ops == 0 {
		return s, errors.Join(errors.New("nothing succeeded"), s.failure)
	}
	return s, nil
}

// median of an unsorted list; 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}
