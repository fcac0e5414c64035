package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broker/api/types"
)

// balancer knows which nodes are ready, as a load balancer does that asks /readyz.
type balancer struct {
	addrs []string
	ready []atomic.Bool
}

const checkPause = 50 * time.Millisecond

func startBalancer(t *testing.T, addrs []string) *balancer {
	t.Helper()
	b := &balancer{addrs: addrs, ready: make([]atomic.Bool, len(addrs))}
	ctx, cancel := context.WithCancel(t.Context())
	var checking sync.WaitGroup
	for i := range addrs {
		b.check(ctx, i)
		checking.Go(func() {
			tick := time.NewTicker(checkPause)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					b.check(ctx, i)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	t.Cleanup(func() { cancel(); checking.Wait() })
	return b
}

func (b *balancer) check(ctx context.Context, i int) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.addrs[i]+"/readyz", nil)
	if err != nil {
		return
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err == nil {
		_ = res.Body.Close()
	}
	b.ready[i].Store(err == nil && res.StatusCode == http.StatusOK)
}

// pick returns the node asked for when it is ready, else the next one that is.
func (b *balancer) pick(wanted int) string {
	for i := range b.addrs {
		if at := (wanted + i) % len(b.addrs); b.ready[at].Load() {
			return b.addrs[at]
		}
	}
	return b.addrs[wanted]
}

// hammer is clients that know nothing of the broker but HTTP: they send each request once, without a key.
type hammer struct {
	t    *testing.T
	h    *house
	b    *balancer
	stop func()

	mu       sync.Mutex
	issuedAt []time.Time
	requests int
	failures []string
}

func startHammer(t *testing.T, h *house, b *balancer, clients int) *hammer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	m := &hammer{t: t, h: h, b: b}
	var running sync.WaitGroup
	m.stop = func() { cancel(); running.Wait() }
	for w := range clients {
		running.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			for ctx.Err() == nil {
				m.life(client, w)
			}
		})
	}
	return m
}

// life issues a lease, looks it up, renews it and revokes it.
func (m *hammer) life(client *http.Client, node int) {
	var issued types.Issued
	if !m.ask(client, node, http.MethodPost, "/api/v1/environments/payments/production/secrets/orders-ro/leases", `{"ttl":"1h"}`, &issued) {
		return
	}
	m.mu.Lock()
	m.issuedAt = append(m.issuedAt, time.Now())
	m.mu.Unlock()
	lease := "/api/v1/leases/" + issued.Lease.ID
	for range 3 {
		m.ask(client, node, http.MethodGet, lease, "", nil)
	}
	m.ask(client, node, http.MethodPost, lease+"/renew", `{"ttl":"1m"}`, nil)
	m.ask(client, node, http.MethodPost, lease+"/revoke", `{}`, nil)
}

func (m *hammer) ask(client *http.Client, node int, method, path, body string, answer any) bool {
	began, to := time.Now(), m.b.pick(node)
	text, err := func() (string, error) {
		req, err := http.NewRequestWithContext(context.WithoutCancel(m.t.Context()), method, to+path, bytes.NewReader([]byte(body)))
		if err != nil {
			return "", err
		}
		req.Header.Set("Authorization", "Bearer "+m.h.token)
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode >= 300 {
			err = fmt.Errorf("%s: %s", res.Status, data)
		}
		return string(data), err
	}()
	if err == nil && answer != nil {
		err = json.Unmarshal([]byte(text), answer)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	if err != nil {
		m.failures = append(m.failures, fmt.Sprintf("%s %s %s at %s after %s: %v", began.Format("15:04:05.000"), method, path, to, time.Since(began).Round(time.Millisecond), err))
	}
	return err == nil
}

func (m *hammer) leases() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.issuedAt)
}

// mustNotHaveFailed is called after stop.
func (m *hammer) mustNotHaveFailed() {
	m.t.Helper()
	m.t.Logf("%d requests, %d leases", m.requests, len(m.issuedAt))
	for _, failure := range m.failures[:min(len(m.failures), 10)] {
		m.t.Error(failure)
	}
	if len(m.failures) > 0 {
		m.t.Errorf("%d of %d requests failed", len(m.failures), m.requests)
	}
}

// longestGap is the longest time without a lease between two instants.
func (m *hammer) longestGap(from, to time.Time) (longest time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := slices.Clone(m.issuedAt)
	slices.SortFunc(at, time.Time.Compare)
	last := from
	for _, x := range at {
		if x.After(from) && last.Before(to) {
			longest, last = max(longest, x.Sub(last)), x
		}
	}
	return longest
}

// Every node is restarted, the leader each time, while clients without retries work through nodes that a load
// balancer takes for ready: no request fails, and hand-overs are short.
func TestRollingRestartUnderLoad(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "DEVCLUSTER_DRAIN_TIME=3s")
	b := startBalancer(t, h.addrs)
	m := startHammer(t, h, b, 9)
	goesOn := func() {
		t.Helper()
		before := m.leases()
		eventually(t, time.Minute, "leases go on being issued", func() bool { return m.leases() > before+20 })
	}
	var gaps []time.Duration
	seen := map[int]bool{}
	for range 3 {
		goesOn()
		leader, _ := h.leader()
		seen[leader] = true
		began := time.Now()
		h.mustDevcluster("stop", fmt.Sprint(leader))
		goesOn()
		gap := m.longestGap(began, time.Now())
		t.Logf("node %d, which led, stopped within %s; nobody got a lease for %s", leader, time.Since(began).Round(time.Millisecond), gap.Round(time.Millisecond))
		gaps = append(gaps, gap)
		h.mustDevcluster("start", fmt.Sprint(leader))
		eventually(t, time.Minute, "the node is ready again", b.ready[leader-1].Load)
	}
	for n := 1; n <= 3; n++ {
		if seen[n] {
			continue
		}
		h.mustDevcluster("stop", fmt.Sprint(n))
		h.mustDevcluster("start", fmt.Sprint(n))
		eventually(t, time.Minute, "the node is ready again", b.ready[n-1].Load)
		goesOn()
	}
	m.stop()
	m.mustNotHaveFailed()
	slices.Sort(gaps)
	t.Logf("hand-over gaps %v, median %s", gaps, gaps[len(gaps)/2].Round(time.Millisecond))
	// An idle machine takes half of the 300 ms that are wanted; one that does much else at the same time takes longer
	// for every lease, so the bound here is wider; what clients must never see is a request that fails.
	if median := gaps[len(gaps)/2]; median > slow*time.Second {
		t.Errorf("the median hand-over took %s", median)
	}
}
