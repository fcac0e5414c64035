package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"broker/api/client"
)

// answered is a lease that a client was given.
type answered struct {
	id string
	at time.Time
}

// crowd is clients that issue one lease after another, each with a key of its own, and repeat a request
// with the same key at another node until it is answered.
type crowd struct {
	h    *house
	path string
	stop func()

	mu       sync.Mutex
	answered []answered
	refused  string // the newest answer that was none
}

func (h *house) gather(ctx context.Context, clients int, path, purpose string) *crowd {
	ctx, cancel := context.WithCancel(ctx)
	c := &crowd{h: h, path: path}
	var running sync.WaitGroup
	c.stop = func() {
		cancel()
		running.Wait()
	}
	for w := range clients {
		running.Go(func() {
			var conns [nodeCount]*conn
			for i, n := range h.nodes {
				conns[i] = dial(n.url(), h.token)
				defer conns[i].Close()
			}
			node := w % nodeCount
			for turn := 0; ctx.Err() == nil; turn++ {
				key := fmt.Sprintf("%s-%d-%d", purpose, w, turn)
				for ctx.Err() == nil {
					if c.issue(conns[node], key) {
						break
					}
					node = (node + 1) % nodeCount
					pause(ctx, 20*time.Millisecond)
				}
			}
		})
	}
	return c
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// issue tries once. A node that hangs is given up late, so that what is measured is the nodes' patience
// with each other and not the client's with them.
func (c *crowd) issue(to *conn, key string) bool {
	timer := time.AfterFunc(10*time.Second, to.abort)
	status, answer, err := to.call(http.MethodPost, c.path, `{"ttl":"2h"}`, key)
	timer.Stop()
	var id string
	if err == nil {
		id, err = leaseID(answer)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || status != http.StatusCreated {
		c.refused = fmt.Sprintf("%v (%d)", err, status)
		return false
	}
	c.answered = append(c.answered, answered{id, time.Now()})
	return true
}

func (c *crowd) list() []answered {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.answered)
}

// waitFor waits until so many more leases have been given.
func (c *crowd) waitFor(ctx context.Context, more int) error {
	from := len(c.list())
	err := c.h.until(ctx, time.Minute, fmt.Sprintf("%d more leases", more), func() bool { return len(c.list()) >= from+more })
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		err = fmt.Errorf("%w; the newest failure: %s", err, c.refused)
	}
	return err
}

// gap is the longest time without an answer that begins or ends between two instants.
func (c *crowd) gap(from, to time.Time) (longest time.Duration) {
	last := from
	for _, a := range c.list() {
		if a.at.After(from) {
			longest = max(longest, a.at.Sub(last))
			last = a.at
		}
		if a.at.After(to) {
			break
		}
	}
	return longest
}

// ledger holds what must be true of leases and logins.
type ledger struct {
	settled map[string]bool // logins of earlier rounds, which live on

	orphans, lost, twice, leases int
}

func runKills(ctx context.Context, o *options) ([]*table, error) {
	h, path, _, err := cheapHouse(ctx, o)
	if err != nil {
		return nil, err
	}
	defer h.close()
	t := &table{Name: "kills", Title: "the leader killed and paused while four clients issue PostgreSQL roles", Columns: []string{
		"", "times", "next success, median s", "worst s", "leases given", "orphans", "given and lost", "given twice",
	}}
	settled := map[string]bool{}
	for _, trouble := range []struct {
		name  string
		times int
		make  func(ctx context.Context, leader int) (undo func() error, err error)
	}{
		{"kill -9", o.kills, func(ctx context.Context, leader int) (func() error, error) {
			h.kill(leader)
			return func() error { return h.start(ctx, leader) }, nil
		}},
		{fmt.Sprintf("SIGSTOP for %s", o.pause), o.pauses, func(ctx context.Context, leader int) (func() error, error) {
			if err := h.signal(leader, syscall.SIGSTOP); err != nil {
				return nil, err
			}
			return func() error {
				pause(ctx, o.pause-4*time.Second)
				return h.signal(leader, syscall.SIGCONT)
			}, nil
		}},
	} {
		book := &ledger{settled: settled}
		var gaps []float64
		for round := range trouble.times {
			began := time.Now()
			c := h.gather(ctx, 4, path, fmt.Sprintf("%d-%d", began.UnixNano(), round))
			err := func() error {
				defer c.stop()
				if err := c.waitFor(ctx, 40); err != nil {
					return err
				}
				leader, err := h.leader(ctx)
				if err != nil {
					return err
				}
				undo, err := trouble.make(ctx, leader)
				if err != nil {
					return err
				}
				at := time.Now()
				pause(ctx, 4*time.Second)
				if err := c.waitFor(ctx, 40); err != nil {
					return err
				}
				if err := undo(); err != nil {
					return err
				}
				gap := c.gap(at, time.Now())
				gaps = append(gaps, gap.Seconds())
				pause(ctx, time.Second)
				return c.waitFor(ctx, 40)
			}()
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", trouble.name, round+1, err)
			}
			if err := h.check(ctx, book, c.list(), began); err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", trouble.name, round+1, err)
			}
			say("%s %d/%d: next success after %.2f s; %d leases given, %d orphans, %d lost, %d given twice", trouble.name, round+1, trouble.times, gaps[round], book.leases, book.orphans, book.lost, book.twice)
		}
		if len(gaps) == 0 {
			continue
		}
		t.row(trouble.name, trouble.times, median(gaps), slices.Max(gaps), book.leases, book.orphans, book.lost, book.twice)
		t.atMost(trouble.name+": orphans, lost and given twice", float64(book.orphans+book.lost+book.twice), 0)
		within := 2.5
		if o.timing == "lan" {
			within = 1.5
		}
		t.atMost(trouble.name+": next success, median s", median(gaps), within)
		t.atMost(trouble.name+": next success, worst s", slices.Max(gaps), 5)
	}
	t.note("%s; %s timing; next success: the longest time without one", h.about(), o.timing)
	return []*table{t}, nil
}

// check compares logins, leases and what clients were given, once nothing is under way any more.
func (h *house) check(ctx context.Context, book *ledger, given []answered, began time.Time) error {
	err := h.until(ctx, time.Minute, "nothing is pending or revoking", func() bool {
		status, err := h.client.GetCluster(ctx)
		return err == nil && status.Leader != "" && status.Leases["pending"] == 0 && status.Leases["revoking"] == 0
	})
	if err != nil {
		return err
	}
	live, logins := map[string]bool{}, map[string]bool{}
	ids := map[string]bool{}
	var cursor string
	for {
		page, err := h.client.ListLeases(ctx, client.LeaseSelector{States: []string{"active"}, IssuedAfter: began.Add(-time.Second)}, client.ListOptions{Limit: 200, Cursor: cursor})
		if err != nil {
			return err
		}
		for _, l := range page.Items {
			live[l.Username], ids[l.ID] = true, true
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	conn, err := h.pg.Superuser(ctx, "postgres")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'brk\_%'`)
	if err != nil {
		return err
	}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		logins[name] = true
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for name := range logins {
		if !live[name] && !book.settled[name] {
			book.orphans++
		}
	}
	for name := range live {
		if !logins[name] {
			book.lost++
		}
		book.settled[name] = true
	}
	seen := map[string]bool{}
	for _, a := range given {
		if !ids[a.id] {
			book.lost++
		}
		if seen[a.id] {
			book.twice++
		}
		seen[a.id] = true
	}
	book.leases += len(given)
	return nil
}
