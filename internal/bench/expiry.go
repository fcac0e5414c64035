package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

func runExpiry(ctx context.Context, o *options) (tables []*table, err error) {
	if o.provider == "postgres" {
		t, err := expiryPostgres(ctx, o)
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	t, err := expiryNoop(ctx, o)
	if t != nil {
		tables = append(tables, t)
	}
	return tables, err
}

// due returns how many leases are due together, and within how long.
func (o *options) due(full, quick int) (int, time.Duration) {
	count := full
	switch {
	case len(o.sizes) > 0:
		count = o.sizes[0]
	case o.quick:
		count = quick
	}
	return count, time.Second
}

// expiryPostgres has many logins end within a second and watches the server's catalogue.
func expiryPostgres(ctx context.Context, o *options) (*table, error) {
	count, spread := o.due(5000, 500)
	h, _, asked, err := cheapHouse(ctx, o)
	if err != nil {
		return nil, err
	}
	defer h.close()
	t := &table{Name: "expiry", Title: fmt.Sprintf("%d PostgreSQL roles due within a second", count), Columns: []string{
		"", "first due → last gone, s", "last due → last gone, s", "early", "brokers' CPU s", "PostgreSQL's CPU s",
	}}
	var all []float64
	for round := range max(1, (o.rounds+1)/2) {
		name := fmt.Sprintf("due%d", round)
		path, err := h.secret(ctx, name, "postgres", map[string]any{"member_of": []string{groupRole}})
		if err != nil {
			return nil, err
		}
		_, ends, err := h.issueDue(ctx, asked, path, count, spread)
		if err != nil {
			return nil, err
		}
		leader, a, b, err := h.roles(ctx)
		if err != nil {
			return nil, err
		}
		read := h.meter(leader, a, b)
		gone, early, err := h.watchRoles(ctx, name, ends)
		if err != nil {
			return nil, err
		}
		u := read()
		first, last := ends[0], ends[len(ends)-1]
		t.row(fmt.Sprintf("round %d", round+1), gone.Sub(first).Seconds(), gone.Sub(last).Seconds(), early, u.brokers().Seconds(), u.pg.Seconds())
		t.atMost(fmt.Sprintf("early, round %d", round+1), float64(early), 0)
		all = append(all, gone.Sub(first).Seconds())
	}
	t.atMost("first due to last gone, median, s", median(all), 5)
	t.note("%s", h.about())
	return t, nil
}

// issueDue issues leases that all end within a while some time from now, and returns their ends, sorted.
func (h *house) issueDue(ctx context.Context, node int, path string, count int, spread time.Duration) (sample, []time.Time, error) {
	const clients, probe = 32, 64
	began := time.Now()
	if _, err := h.issueMany(ctx, node, path, `{"ttl":"1s"}`, clients, probe); err != nil {
		return sample{}, nil, err
	}
	each := time.Since(began) / probe
	start := time.Now().Add(time.Duration(1.5*float64(count)*float64(each)) + 8*time.Second).Truncate(time.Second)
	say("%d leases are issued to end at %s", count, start.Format("15:04:05"))
	var mu sync.Mutex
	var ends []time.Time
	issued := 0
	s, err := load(ctx, clients, 0, func(i int) (operation, func(), error) {
		c := dial(h.nodes[node].url(), h.token)
		return func() (bool, error) {
			mu.Lock()
			turn := issued
			issued++
			mu.Unlock()
			if turn >= count {
				return false, nil
			}
			end := start.Add(spread * time.Duration(turn) / time.Duration(count))
			ttl := time.Until(end).Truncate(time.Millisecond)
			answer, err := c.expect(201, "POST", path, fmt.Sprintf(`{"ttl":%q}`, ttl.String()))
			if err != nil {
				return true, err
			}
			at, err := expiresAt(answer)
			mu.Lock()
			ends = append(ends, at)
			mu.Unlock()
			return true, err
		}, c.Close, nil
	})
	if err == nil && len(ends) < count {
		err = fmt.Errorf("issuing %d leases: %d failed: %w", count, s.failed, s.failure)
	}
	slices.SortFunc(ends, time.Time.Compare)
	if err == nil && time.Now().After(ends[0]) {
		err = fmt.Errorf("issuing %d leases took until after the first was due", count)
	}
	if err == nil {
		say("issued at %.0f/s; due from %s to %s", s.rate(), ends[0].Format("15:04:05.000"), ends[len(ends)-1].Format("15:04:05.000"))
	}
	return s, ends, err
}

// expiresAt finds a lease's end in an answer.
func expiresAt(answer []byte) (time.Time, error) {
	_, rest, found := bytes.Cut(answer, []byte(`"expires_at":"`))
	text, _, found2 := bytes.Cut(rest, []byte(`"`))
	if !found || !found2 {
		return time.Time{}, fmt.Errorf("no end in the answer: %s", answer)
	}
	return time.Parse(time.RFC3339Nano, string(text))
}

// watchRoles waits until the last login of a secret is gone, and returns when that was and how many
// could not log in any more before their lease had ended.
func (h *house) watchRoles(ctx context.Context, secret string, ends []time.Time) (gone time.Time, early int, err error) {
	conn, err := h.pg.Superuser(ctx, "postgres")
	if err != nil {
		return gone, 0, err
	}
	defer conn.Close(ctx)
	deadline := ends[len(ends)-1].Add(5 * time.Minute)
	for {
		var there, usable int
		row := conn.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE rolcanlogin) FROM pg_authid WHERE rolname LIKE $1 AND rolname LIKE 'brk\_%'`,
			pgx.QueryExecModeSimpleProtocol, `%\_`+secret+`\_%`)
		if err := row.Scan(&there, &usable); err != nil {
			return gone, 0, err
		}
		now := time.Now()
		over, _ := slices.BinarySearchFunc(ends, now, time.Time.Compare)
		early = max(early, len(ends)-usable-over)
		if there == 0 {
			return now, early, nil
		}
		if now.After(deadline) {
			return gone, early, fmt.Errorf("%d logins are still there five minutes after their leases ended", there)
		}
		pause := 20 * time.Millisecond
		if wait := time.Until(ends[0]); wait > time.Second {
			pause = 500 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return gone, early, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// expiryNoop has many leases end within a second while others are issued.
func expiryNoop(ctx context.Context, o *options) (*table, error) {
	count, spread := o.due(100000, 10000)
	h, path, err := newNoopHouse(ctx, o)
	if err != nil {
		return nil, err
	}
	defer h.close()
	due, err := h.secret(ctx, "due", "noop", nil)
	if err != nil {
		return nil, err
	}
	start := time.Now().Add(35*time.Second + time.Duration(count)*time.Second/2500)
	if err := h.grow(ctx, growth{count: count, path: due, dueAt: func(i int) time.Time { return start.Add(spread * time.Duration(i) / time.Duration(count)) }}); err != nil {
		return nil, err
	}
	if err := h.startAll(ctx); err != nil {
		return nil, err
	}
	leader, asked, other, err := h.roles(ctx)
	if err != nil {
		return nil, err
	}
	before, err := h.term(ctx)
	if err != nil {
		return nil, err
	}
	if left := time.Until(start); left < 12*time.Second {
		return nil, fmt.Errorf("making the leases took too long: %s are left until the first is due", left)
	}
	const clients = 8
	type success struct {
		at   time.Time
		took time.Duration
	}
	var mu sync.Mutex
	var successes []success
	loading, stop := context.WithCancel(ctx)
	defer stop()
	finished := make(chan error, 1)
	go func() {
		_, err := load(loading, clients, 0, func(int) (operation, func(), error) {
			c := dial(h.nodes[asked].url(), h.token)
			return func() (bool, error) {
				began := time.Now()
				_, err := c.expect(201, "POST", path, "{}")
				if err == nil {
					mu.Lock()
					successes = append(successes, success{began, time.Since(began)})
					mu.Unlock()
				}
				return true, err
			}, c.Close, nil
		})
		if loading.Err() != nil {
			err = nil
		}
		finished <- err
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case err := <-finished:
		return nil, fmt.Errorf("the clients ended early: %w", err)
	case <-time.After(time.Until(start)):
	}
	read := h.meter(leader, asked, other)
	var gone time.Time
	err = h.until(ctx, 5*time.Minute, "all that were due are gone", func() bool {
		status, err := h.client.GetCluster(ctx)
		gone = time.Now()
		mu.Lock()
		defer mu.Unlock()
		return err == nil && status.Leases["revoking"] == 0 && status.Leases["active"] <= uint64(len(successes)+clients)
	})
	if err != nil {
		return nil, err
	}
	u := read()
	<-time.After(2 * time.Second)
	stop()
	if err := <-finished; err != nil {
		return nil, err
	}
	after, err := h.term(ctx)
	if err != nil {
		return nil, err
	}
	var calm, busy sample
	for _, s := range successes {
		switch {
		case s.at.After(start) && s.at.Before(gone):
			busy.latencies = append(busy.latencies, s.took)
		case s.at.Before(start.Add(-time.Second)):
			calm.latencies = append(calm.latencies, s.took)
		}
	}
	slices.Sort(calm.latencies)
	slices.Sort(busy.latencies)
	t := &table{Name: "expiry-noop", Title: fmt.Sprintf("%d leases that are nothing, due within a second, while %d clients issue", count, clients), Columns: []string{
		"first due → last gone, s", "elections", "p50 before, ms", "p50 meanwhile", "p99 before", "p99 meanwhile", "× before", "brokers' CPU s",
	}}
	ratio := busy.quantile(0.99) / calm.quantile(0.99)
	t.row(gone.Sub(start).Seconds(), after-before, calm.quantile(0.5), busy.quantile(0.5), calm.quantile(0.99), busy.quantile(0.99), ratio, u.brokers().Seconds())
	t.atMost("elections", float64(after-before), 0)
	t.atMost("p99 of concurrent issues, × before", ratio, 3)
	t.note("%d issues before, %d meanwhile; the leases were made by applying their commands, see scale", len(calm.latencies), len(busy.latencies))
	return t, nil
}

// startAll starts the nodes after they were all stopped.
func (h *house) startAll(ctx context.Context) error {
	var starting sync.WaitGroup
	var failures [nodeCount]error
	for i := range h.nodes {
		starting.Go(func() { failures[i] = h.start(ctx, i) })
	}
	starting.Wait()
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	_, err := h.leader(ctx)
	return err
}
