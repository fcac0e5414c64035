package main

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// contestant is one way of doing the same, measured in turns with the others.
type contestant struct {
	name    string
	clients int
	against string                          // the name of the one that it is compared with; empty: none
	before  func(ctx context.Context) error // prepares a round; nil: nothing to prepare
	round   func(ctx context.Context, clients int, limit time.Duration) (sample, error)

	rates, p50s, p99s                 []float64
	leader, asked, other, pg, program []float64 // milliseconds of CPU for each operation
	foreign                           []float64 // share of the machine that went to others
	ops, failed                       int
	failure                           error
}

func (c *contestant) rate() float64    { return median(c.rates) }
func (c *contestant) p50() float64     { return median(c.p50s) }
func (c *contestant) p99() float64     { return median(c.p99s) }
func (c *contestant) brokers() float64 { return median(c.leader) + median(c.asked) + median(c.other) }

// contest takes turns: each round of one is followed by a round of the next, so that what disturbs the
// machine for a while disturbs all of them.
func (h *house) contest(ctx context.Context, list []*contestant) error {
	leader, asked, other, err := h.roles(ctx)
	if err != nil {
		return err
	}
	for round := range h.o.rounds {
		for _, c := range list {
			if c.before != nil {
				if err := c.before(ctx); err != nil {
					return fmt.Errorf("preparing %s with %d clients: %w", c.name, c.clients, err)
				}
			}
			read := h.meter(leader, asked, other)
			s, err := c.round(ctx, c.clients, h.o.duration)
			if err != nil {
				return fmt.Errorf("%s with %d clients: %w", c.name, c.clients, err)
			}
			u := read()
			say("round %d/%d: %-34s %3d clients: %6.0f/s, p50 %.2f ms, p99 %.2f ms, %d failed", round+1, h.o.rounds, c.name, c.clients, s.rate(), s.quantile(0.5), s.quantile(0.99), s.failed)
			each := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) / float64(s.ops) }
			c.rates = append(c.rates, s.rate())
			c.p50s, c.p99s = append(c.p50s, s.quantile(0.5)), append(c.p99s, s.quantile(0.99))
			c.leader, c.asked, c.other = append(c.leader, each(u.leader)), append(c.asked, each(u.asked)), append(c.other, each(u.other))
			c.pg, c.program = append(c.pg, each(u.pg)), append(c.program, each(u.bench))
			c.foreign = append(c.foreign, 100*u.rest.Seconds()/(s.took.Seconds()*float64(runtime.NumCPU())))
			c.ops, c.failed = c.ops+s.ops, c.failed+s.failed
			if s.failure != nil {
				c.failure = s.failure
			}
		}
	}
	return nil
}

// tableOf shows what a contest came to.
func tableOf(name, title string, list []*contestant) *table {
	t := &table{Name: name, Title: title, Columns: []string{
		"", "clients", "per s", "p50 ms", "p99 ms", "× raw", "CPU ms: leader", "asked", "other", "all three", "PostgreSQL", "clients' own",
	}}
	var foreign []float64
	for _, c := range list {
		var ratio any
		for _, raw := range list {
			if raw.name == c.against && raw.clients == c.clients {
				ratio = c.rate() / raw.rate()
			}
		}
		var leader, asked, other, all any
		if c.brokers() > 0.02 {
			leader, asked, other, all = median(c.leader), median(c.asked), median(c.other), c.brokers()
		}
		t.row(c.name, c.clients, c.rate(), c.p50(), c.p99(), ratio, leader, asked, other, all, median(c.pg), median(c.program))
		foreign = append(foreign, c.foreign...)
		if c.failed > 0 {
			t.note("%s, %d clients: %d of %d failed, for example: %v", c.name, c.clients, c.failed, c.ops+c.failed, c.failure)
		}
	}
	t.note("medians of %d rounds, taken in turns; CPU is per operation; other work took %.0f %% of the machine (%d cores) in the median round", len(list[0].rates), median(foreign), runtime.NumCPU())
	return t
}

// find returns the contestant of that name and number of clients.
func find(list []*contestant, name string, clients int) *contestant {
	for _, c := range list {
		if c.name == name && c.clients == clients {
			return c
		}
	}
	return nil
}

// posting returns a round in which clients of a node post the same again and again.
func (h *house) posting(node int, path, body string) func(context.Context, int, time.Duration) (sample, error) {
	return func(ctx context.Context, clients int, limit time.Duration) (sample, error) {
		return load(ctx, clients, limit, func(int) (operation, func(), error) {
			c := dial(h.nodes[node].url(), h.token)
			return func() (bool, error) {
				_, err := c.expect(201, "POST", path, body)
				return true, err
			}, c.Close, nil
		})
	}
}

// issueMany has clients of a node issue leases and returns their ids.
func (h *house) issueMany(ctx context.Context, node int, path, body string, clients, count int) ([]string, error) {
	ids := make([][]string, clients)
	s, err := load(ctx, clients, 0, func(i int) (operation, func(), error) {
		c := dial(h.nodes[node].url(), h.token)
		mine := count / clients
		if i < count%clients {
			mine++
		}
		return func() (bool, error) {
			if len(ids[i]) >= mine {
				return false, nil
			}
			answer, err := c.expect(201, "POST", path, body)
			if err != nil {
				return true, err
			}
			id, err := leaseID(answer)
			ids[i] = append(ids[i], id)
			return true, err
		}, c.Close, nil
	})
	var all []string
	for _, some := range ids {
		all = append(all, some...)
	}
	if err == nil && len(all) < count {
		err = fmt.Errorf("issuing %d leases: %d failed: %w", count, s.failed, s.failure)
	}
	return all, err
}
