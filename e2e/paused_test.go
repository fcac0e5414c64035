package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/api/client"
	"broker/api/types"
)

// longPause is longer than everything that bounds a lease's making: at its end the old leader finds that
// all its time is over and that others have moved on.
const longPause = 30 * time.Second

// The leader's process is stopped while it makes logins, and goes on later, still believing that it leads.
// What it had under way leaves nothing behind and reveals nothing that the ledger does not hold as active;
// a key that the new leader has answered gets no other credential from the old one.
func TestPausedLeaderUnderLoad(t *testing.T) {
	t.Parallel() // most of it is waiting
	h := newHouse(t)
	leader, followers := h.leader()
	l := startLoad(t, h, 4, followers...)
	d := startDirect(t, h, leader, 16)
	l.waitFor(20, time.Minute)
	eventually(t, time.Minute, "the leader answers all who ask it", func() bool { return d.begun.Load() > 64 })

	h.mustDevcluster("pause", fmt.Sprint(leader))
	pausedAt := time.Now()
	d.lastRound()
	answered := map[string]types.Issued{}
	answer := func(key string) {
		issued, err := h.issue(h.client(followers...), leaseTTL, client.WithIdempotencyKey(key))
		if err != nil {
			t.Fatalf("repeating the request with key %s: %v", key, err)
		}
		answered[key] = issued
	}
	for _, key := range d.keysUnderWay() {
		answer(key)
	}
	// These wait at its socket, and are read when it goes on.
	for i := range 4 {
		key := fmt.Sprintf("late-%d", i)
		d.put(key)
		answer(key)
		d.put("")
	}
	l.waitFor(40, time.Minute)
	eventually(t, 2*longPause, "a long pause", func() bool { return time.Since(pausedAt) > longPause })
	resumedAt := time.Now()
	h.mustDevcluster("resume", fmt.Sprint(leader))
	answers := d.wait()
	l.waitFor(20, time.Minute)
	l.stop()
	t.Logf("nobody got a lease for %s", l.longestGap(pausedAt))
	l.checkLedger()
	checkAnswers(t, h, answers, answered, pausedAt, resumedAt)
}

// checkAnswers judges what the old leader said to those who asked it, in the light of what the ledger holds
// and the new leader answered.
func checkAnswers(t *testing.T, h *house, answers []answer, answered map[string]types.Issued, pausedAt, resumedAt time.Time) {
	t.Helper()
	active, owner := map[string]types.Lease{}, map[string]string{}
	for _, lease := range h.leases(h.client(), "active") {
		active[lease.ID] = lease
	}
	waited, said := map[bool]int{}, map[string]int{}
	for i, a := range answers {
		if a.askedAt.Before(pausedAt) && a.at.After(resumedAt) {
			waited[a.key != ""]++
		}
		if a.at.After(resumedAt) {
			said[a.String()]++
		}
		if a.status != http.StatusCreated {
			continue
		}
		lease := a.issued.Lease
		if active[lease.ID].Username != lease.Username || value(a.issued, "DB_USER") != lease.Username {
			t.Errorf("values were revealed for lease %s, which is not active", lease.ID)
		}
		if first, given := owner[lease.ID]; given {
			t.Errorf("lease %s was given to request %q and to %q", lease.ID, first, a.key)
		}
		if owner[lease.ID] = a.key; a.key == "" {
			owner[lease.ID] = fmt.Sprintf("without a key, %d", i)
		}
		if other, both := answered[a.key]; both {
			if diff := cmp.Diff(other.Values, a.issued.Values); diff != "" || other.Lease.ID != lease.ID {
				t.Errorf("key %s was answered with lease %s by the new leader and %s by the old", a.key, other.Lease.ID, lease.ID)
			}
		}
		if !a.at.After(resumedAt) {
			continue
		}
		if err := h.logIn(a.issued); err != nil {
			t.Errorf("the credential of lease %s, revealed after the pause, does not log in: %v", lease.ID, err)
		}
	}
	for key, issued := range answered {
		if active[issued.Lease.ID].Username != issued.Lease.Username {
			t.Errorf("lease %s, with which the new leader answered key %s, is not active", issued.Lease.ID, key)
		}
	}
	if waited[true] == 0 || waited[false] == 0 {
		t.Errorf("%d requests with a key and %d without were under way at the leader when it was stopped: want some of both", waited[true], waited[false])
	}
	t.Logf("%d requests with a key and %d without were under way at the leader when it was stopped; afterwards it said %v", waited[true], waited[false], said)
}

const leaseTTL = 10 * time.Minute

// direct is clients that ask one node, over connections of their own, every second one without a key. They
// never repeat a request, however long they wait: what the node itself says is what is looked at.
type direct struct {
	h       *house
	node    int
	http    *http.Client
	running sync.WaitGroup
	over    chan struct{} // closed: nobody asks anew
	begun   atomic.Int64

	mu      sync.Mutex
	present []string // the key that each client asks with
	answers []answer
}

// answer is what became of one request.
type answer struct {
	key         string // empty: it had none
	askedAt, at time.Time
	err         error // no answer came
	status      int
	issued      types.Issued // of status 201
	code        string       // of any other
}

func (a answer) String() string {
	switch {
	case a.err != nil:
		return "nothing"
	case a.status != http.StatusCreated:
		return a.code
	case a.issued.Replayed:
		return "replayed"
	}
	return "issued"
}

func startDirect(t *testing.T, h *house, node, clients int) *direct {
	t.Helper()
	d := &direct{
		h: h, node: node, over: make(chan struct{}), present: make([]string, clients),
		http: &http.Client{Timeout: 3 * longPause, Transport: &http.Transport{MaxIdleConnsPerHost: 2 * clients}},
	}
	t.Cleanup(d.http.CloseIdleConnections)
	for i := range clients {
		d.running.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-d.over:
					return
				default:
				}
				key := ""
				if i%2 == 0 {
					key = fmt.Sprintf("direct-%d-%d", i, n)
				}
				d.mu.Lock()
				d.present[i] = key
				d.mu.Unlock()
				d.ask(key)
			}
		})
	}
	return d
}

// put asks once more, beside the clients.
func (d *direct) put(key string) { d.running.Go(func() { d.ask(key) }) }

func (d *direct) ask(key string) {
	d.begun.Add(1)
	a := answer{key: key, askedAt: time.Now()}
	a.err = d.exchange(&a)
	a.at = time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers = append(d.answers, a)
}

func (d *direct) exchange(a *answer) error {
	ttl := types.Duration(leaseTTL)
	body, err := json.Marshal(types.IssueSpec{TTL: &ttl})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(d.h.t.Context(), http.MethodPost, d.h.addrs[d.node-1]+"/api/v1/environments/payments/production/secrets/orders-ro/leases", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+d.h.token)
	r.Header.Set("Content-Type", "application/json")
	if a.key != "" {
		r.Header.Set(types.HeaderIdempotencyKey, a.key)
		r.GetBody = nil // or a broken connection would have it sent again
	}
	resp, err := d.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if a.status = resp.StatusCode; a.status == http.StatusCreated {
		return json.NewDecoder(resp.Body).Decode(&a.issued)
	}
	var problem types.Problem
	err = json.NewDecoder(resp.Body).Decode(&problem)
	a.code = problem.Code
	return err
}

// lastRound has nobody ask anew; who has no answer yet waits for it.
func (d *direct) lastRound() { close(d.over) }

// keysUnderWay returns the keys of the last requests.
func (d *direct) keysUnderWay() (keys []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range d.present {
		if key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

// wait returns all answers once everybody has one.
func (d *direct) wait() []answer {
	d.running.Wait()
	return d.answers
}
