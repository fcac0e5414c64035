package main

import (
	"context"
	"fmt"
)

// counts returns what was asked for, else what the scenario is about.
func (o *options) counts(about ...int) []int {
	if len(o.clients) > 0 {
		return o.clients
	}
	return about
}

func (h *house) about() string {
	if h.pg == nil {
		return "three processes on loopback"
	}
	fsync := "off"
	if h.o.fsync {
		fsync = "on"
	}
	return "three processes on loopback; PostgreSQL with fsync " + fsync + " and a connection each for its raw clients, the broker with its default of 8"
}

func runIssue(ctx context.Context, o *options) (tables []*table, err error) {
	h, err := newHouse(ctx, o, true)
	if err != nil {
		return nil, err
	}
	defer h.close()
	if err := h.connect(ctx, "postgres"); err != nil {
		return nil, err
	}
	for _, iterations := range []int{4096, 64} {
		_, asked, _, err := h.roles(ctx)
		if err != nil {
			return tables, err
		}
		path, err := h.roleSecret(ctx, iterations)
		if err != nil {
			return tables, err
		}
		var list []*contestant
		for _, clients := range o.counts(1, 32) {
			list = append(list, &contestant{name: "raw", clients: clients, round: h.rawCreates(iterations)})
			list = append(list, &contestant{name: "issue", clients: clients, against: "raw", round: h.posting(asked, path, "{}")})
		}
		if err := h.contest(ctx, list); err != nil {
			return tables, err
		}
		name := fmt.Sprintf("issue-%d", iterations)
		t := tableOf(name, fmt.Sprintf("PostgreSQL roles through a follower, passwords hashed %d times", iterations), list)
		tables = append(tables, t)
		t.note("%s", h.about())
		if one, raw := find(list, "issue", 1), find(list, "raw", 1); one != nil {
			t.atMost("median at 1 client less that of raw, ms", one.p50()-raw.p50(), 3)
		}
		if many, raw := find(list, "issue", 32), find(list, "raw", 32); many != nil && iterations == 4096 {
			t.atLeast("rate at 32 clients, × raw", many.rate()/raw.rate(), 0.75)
		} else if many != nil {
			t.atLeast("rate at 32 clients", many.rate(), 1500)
		}
		if o.profile {
			more, err := h.profile(ctx, name, find(list, "issue", o.counts(32)[0]))
			if err != nil {
				return tables, err
			}
			tables = append(tables, more...)
		}
	}
	return tables, nil
}

func runNoop(ctx context.Context, o *options) (tables []*table, err error) {
	h, path, err := newNoopHouse(ctx, o)
	if err != nil {
		return nil, err
	}
	defer h.close()
	_, asked, _, err := h.roles(ctx)
	if err != nil {
		return nil, err
	}
	var list []*contestant
	for _, clients := range o.counts(1, 32, 128) {
		list = append(list, &contestant{name: "issue", clients: clients, round: h.posting(asked, path, "{}")})
	}
	if err := h.contest(ctx, list); err != nil {
		return nil, err
	}
	t := tableOf("noop", "leases that make nothing, through a follower: the broker alone", list)
	t.note("%s", h.about())
	if many := find(list, "issue", 32); many != nil {
		t.atLeast("rate at 32 clients", many.rate(), 3000)
		t.atMost("CPU of the three processes per issue at 32 clients, ms", many.brokers(), 0.6)
	}
	tables = append(tables, t)
	for _, c := range list {
		more, err := h.profile(ctx, fmt.Sprintf("noop-%d", c.clients), c)
		if err != nil {
			return tables, err
		}
		tables = append(tables, more...)
	}
	return tables, nil
}
