package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/api/client"
	"broker/api/types"
)

// followed is what a client has seen of history.
type followed struct {
	mu        sync.Mutex
	positions []string
	addresses []string // that served it
	err       error
}

// followAll follows history through the given nodes, the first of them first, until the context ends.
func (h *house) followAll(ctx context.Context, after string, running *sync.WaitGroup, nodes ...int) *followed {
	f, c := &followed{}, h.client(nodes...)
	running.Go(func() {
		for event, err := range c.StreamEvents(ctx, client.EventQuery{After: after}, client.FollowOptions{Connected: func(address string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.addresses = append(f.addresses, address)
		}}) {
			f.mu.Lock()
			f.positions, f.err = append(f.positions, event.Position()), err
			f.mu.Unlock()
		}
	})
	return f
}

func (f *followed) has(position string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.positions, position)
}

func (f *followed) servedBy(address string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.addresses, address)
}

// history returns the position of every event behind an index.
func (h *house) history(c *client.Client, after string) (positions []string) {
	h.t.Helper()
	query, list := client.EventQuery{After: after}, client.ListOptions{Limit: 1000}
	for {
		page, err := c.ListEvents(h.t.Context(), query, list)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, event := range page.Items {
			positions = append(positions, event.Position())
		}
		if list.Cursor = page.NextCursor; list.Cursor == "" {
			return positions
		}
	}
}

// Streams are followed while leases are issued and revoked under load, the leader is killed, and then the
// node that serves one of them: no gap and no duplicate.
func TestStreamAcrossKills(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	leader, followers := h.leader()
	c := h.client()
	after := fmt.Sprint(h.mustIndex(c))

	following, end := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer func() { end(); running.Wait() }()
	streams := map[string]*followed{
		"of a follower that is killed": h.followAll(following, after, &running, followers[0], followers[1], leader),
		"of a follower that stays":     h.followAll(following, after, &running, followers[1], followers[0], leader),
		"of the leader":                h.followAll(following, after, &running, leader, followers[1], followers[0]),
	}
	for what, f := range streams {
		eventually(t, time.Minute, "a stream "+what, func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.addresses) > 0 })
	}
	l := startLoad(t, h, 4, followers...)
	running.Go(func() { revokeBehind(following, l) })
	l.waitFor(10, time.Minute)
	h.mustDevcluster("kill", fmt.Sprint(leader))
	l.waitFor(25, time.Minute)
	h.mustDevcluster("start", fmt.Sprint(leader))
	// A majority without the next one to be killed.
	eventually(t, time.Minute, "the old leader is back", func() bool {
		status, err := c.GetClusterAt(t.Context(), h.addrs[leader-1])
		return err == nil && status.Leader != "" && status.AppliedIndex >= c.Index()
	})
	h.mustDevcluster("kill", fmt.Sprint(followers[0]))
	l.waitFor(40, time.Minute)
	h.mustDevcluster("start", fmt.Sprint(followers[0]))
	l.stop()

	want := h.history(c, after)
	for what, f := range streams {
		eventually(t, time.Minute, "the newest event in the stream "+what, func() bool { return f.has(want[len(want)-1]) })
		f.mu.Lock()
		if d := cmp.Diff(want, f.positions[:min(len(want), len(f.positions))]); d != "" || f.err != nil {
			t.Errorf("the stream %s (-want +got): %v\n%s", what, f.err, d)
		}
		f.mu.Unlock()
	}
	if !streams["of the leader"].servedBy(h.addrs[followers[1]-1]) || !streams["of a follower that is killed"].servedBy(h.addrs[followers[1]-1]) {
		t.Error("the streams of the nodes that were killed did not go on elsewhere")
	}
	t.Logf("%d events", len(want))
}

// A node that stops lets its streams go at once, and they go on elsewhere.
func TestStreamOfANodeThatStops(t *testing.T) {
	t.Parallel()
	h := newCluster(t)
	leader, followers := h.leader()
	following, end := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer func() { end(); running.Wait() }()
	f := h.followAll(following, "0", &running, leader, followers[0])
	eventually(t, time.Minute, "a stream", func() bool { return f.servedBy(h.addrs[leader-1]) })
	begun := time.Now()
	h.mustDevcluster("stop", fmt.Sprint(leader))
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("stopping took %s", took)
	}
	c := h.client(followers...)
	must(t)(c.CreateEnvironment(t.Context(), types.EnvironmentSpec{Name: "payments/production"}))
	want := h.history(c, "0")
	eventually(t, time.Minute, "the newest event", func() bool { return f.has(want[len(want)-1]) })
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := cmp.Diff(want, f.positions); d != "" || f.err != nil {
		t.Errorf("%v (-want +got):\n%s", f.err, d)
	}
}

// mustIndex returns the index of the log that a read sees now.
func (h *house) mustIndex(c *client.Client) uint64 {
	h.t.Helper()
	must(h.t)(c.ListEvents(h.t.Context(), client.EventQuery{Last: 1}, client.ListOptions{}))
	return c.Index()
}

// revokeBehind revokes every other lease that the load has got.
func revokeBehind(ctx context.Context, l *load) {
	c := l.h.client()
	for done := 0; ctx.Err() == nil; {
		l.mu.Lock()
		id := ""
		if done < len(l.acknowledged) {
			id = l.acknowledged[done].Lease.ID
		}
		l.mu.Unlock()
		if id == "" {
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
			continue
		}
		if done += 2; ctx.Err() == nil {
			_, _ = c.RevokeLease(ctx, id, types.RevokeSpec{}) // the kills may swallow some
		}
	}
}
