package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// size is what was found with a number of live leases.
type size struct {
	leases            int
	leader, follower  uint64 // RssAnon, bytes
	busy              uint64 // the same of the leader after some seconds of load
	heap              uint64 // of the leader
	file, snapshot    int64
	takeOver, restart []float64
}

func runScale(ctx context.Context, o *options) ([]*table, error) {
	sizes := o.sizes
	if len(sizes) == 0 {
		sizes = list{1000, 10000, 100000, 1000000}
		if o.quick {
			sizes = list{1000, 10000}
		}
	}
	h, path, err := newNoopHouse(ctx, o)
	if err != nil {
		return nil, err
	}
	defer h.close()
	t := &table{Name: "scale", Title: "live leases that are nothing, on three processes", Columns: []string{
		"leases", "RssAnon leader, MB above empty", "follower", "leader after load", "heap, MB", "state file, MB", "snapshot, MB", "take-over, s", "restart until it serves, s",
	}}
	var found []size
	for i, leases := range append([]int{0}, sizes...) {
		if i > 0 {
			before := found[i-1].leases
			if err := h.grow(ctx, growth{count: leases - before, path: path}); err != nil {
				return nil, err
			}
			if err := h.startAll(ctx); err != nil {
				return nil, err
			}
		}
		s, err := h.sizeUp(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("with %d leases: %w", leases, err)
		}
		s.leases = leases
		found = append(found, s)
		empty := found[0]
		mb := func(n, less uint64) float64 { return (float64(n) - float64(less)) / 1e6 }
		say("%d leases: RssAnon leader %.0f MB, follower %.0f MB, take-over %.2f s, restart %.2f s", leases, mb(s.leader, 0), mb(s.follower, 0), median(s.takeOver), median(s.restart))
		t.row(leases, mb(s.leader, empty.leader), mb(s.follower, empty.follower), mb(s.busy, empty.leader), mb(s.heap, 0),
			float64(s.file)/1e6, float64(s.snapshot)/1e6, median(s.takeOver), median(s.restart))
		if i == 0 {
			t.note("empty: RssAnon of the leader %.0f MB, of a follower %.0f MB", mb(s.leader, 0), mb(s.follower, 0))
		}
	}
	if len(found) > 2 {
		small, big := found[1], found[len(found)-1]
		t.atMost(fmt.Sprintf("RssAnon of the leader with %d leases above empty, MB", big.leases), (float64(big.leader)-float64(found[0].leader))/1e6, 200)
		t.atMost("the same of a follower, MB", (float64(big.follower)-float64(found[0].follower))/1e6, 200)
		t.atMost(fmt.Sprintf("take-over with %d leases longer than with %d, s", big.leases, small.leases), median(big.takeOver)-median(small.takeOver), 1)
		t.atMost("restart until it serves, s", median(big.restart), 15)
	}
	t.note("leases were made by applying their commands (PrepareLease with an idempotency key, ActivateLease) to a node's state and giving all nodes the snapshot; memory after a start from it and 10 s of rest")
	t.note("take-over: kill -9 of the leader until another node has issued; restart: of the killed node until it answers a linearizable read; medians of %d", h.o.rounds)
	return []*table{t}, nil
}

// sizeUp measures what the cluster is with the leases it has.
func (h *house) sizeUp(ctx context.Context, path string) (s size, err error) {
	leader, asked, _, err := h.roles(ctx)
	if err != nil {
		return s, err
	}
	if _, err := h.issueMany(ctx, asked, path, "{}", 8, 64); err != nil { // whatever is made at first use
		return s, err
	}
	select {
	case <-ctx.Done():
		return s, ctx.Err()
	case <-time.After(10 * time.Second):
	}
	if s.leader, err = status(h.nodes[leader].pid(), "RssAnon"); err != nil {
		return s, err
	}
	if s.follower, err = status(h.nodes[asked].pid(), "RssAnon"); err != nil {
		return s, err
	}
	if s.heap, err = h.heap(ctx, leader); err != nil {
		return s, err
	}
	for range h.o.rounds {
		over, again, err := h.replace(ctx, path)
		if err != nil {
			return s, err
		}
		s.takeOver, s.restart = append(s.takeOver, over.Seconds()), append(s.restart, again.Seconds())
	}
	if leader, asked, _, err = h.roles(ctx); err != nil {
		return s, err
	}
	if _, err := h.posting(asked, path, "{}")(ctx, 32, h.o.duration); err != nil {
		return s, err
	}
	s.busy, err = status(h.nodes[leader].pid(), "RssAnon")
	data := filepath.Join(h.nodes[leader].dir, "data")
	if info, err := os.Stat(filepath.Join(data, "state", "state.db")); err == nil {
		s.file = info.Size()
	}
	snapshots, _ := filepath.Glob(filepath.Join(data, "snapshots", "*", "state.bin")) // the pattern is right
	for _, name := range snapshots {
		if info, err := os.Stat(name); err == nil {
			s.snapshot = max(s.snapshot, info.Size())
		}
	}
	return s, err
}

var heapInUse = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)

// heap returns what is live on a node's heap, after a collection.
func (h *house) heap(ctx context.Context, i int) (uint64, error) {
	file := filepath.Join(h.dir, "heap.txt")
	if err := h.fetch(ctx, i, "heap?gc=1&debug=1", file); err != nil {
		return 0, err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	found := heapInUse.FindSubmatch(content)
	if found == nil {
		return 0, fmt.Errorf("the heap profile does not say how large the heap is")
	}
	return strconv.ParseUint(string(found[1]), 10, 64)
}

// replace kills the leader, waits until another node has issued a lease, and starts the killed one again
// until it serves.
func (h *house) replace(ctx context.Context, path string) (over, again time.Duration, err error) {
	leader, asked, _, err := h.roles(ctx)
	if err != nil {
		return 0, 0, err
	}
	c := dial(h.nodes[asked].url(), h.token)
	defer c.Close()
	if _, err := c.expect(201, "POST", path, "{}"); err != nil {
		return 0, 0, err
	}
	h.kill(leader)
	began := time.Now()
	err = h.until(ctx, time.Minute, "a new leader issues", func() bool {
		status, _, err := c.call("POST", path, "{}", "")
		return err == nil && status == http.StatusCreated
	})
	if err != nil {
		return 0, 0, err
	}
	over = time.Since(began)
	began = time.Now()
	if err := h.start(ctx, leader); err != nil {
		return 0, 0, err
	}
	back := dial(h.nodes[leader].url(), h.token)
	defer back.Close()
	err = h.until(ctx, 5*time.Minute, "the killed node serves", func() bool {
		status, _, err := back.call("GET", "/api/v1/environments?consistency=linearizable", "", "")
		return err == nil && status == http.StatusOK
	})
	return over, time.Since(began), err
}
