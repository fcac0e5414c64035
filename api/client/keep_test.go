package client_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// ledger is a broker of leases on the bubble's clock, as far as a Keeper sees it. Its own clock is off by skew.
type ledger struct {
	mu     sync.Mutex
	skew   time.Duration
	max    time.Duration // longest life
	fixed  bool
	away   bool // it answers nothing
	leases []*types.Lease
	keys   map[string]*types.Lease
	lose   int // answers to issue that are lost, though the lease is made
}

func (l *ledger) now() time.Time { return time.Now().Add(l.skew) }

// live returns the leases that are alive now.
func (l *ledger) live() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	for _, one := range l.leases {
		if one.State == "active" && l.now().Before(one.ExpiresAt) {
			ids = append(ids, one.ID)
		}
	}
	return ids
}

func (l *ledger) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *ledger) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(20 * time.Millisecond) // the network
	l.mu.Lock()
	away := l.away
	l.mu.Unlock()
	if away {
		return nil, io.ErrUnexpectedEOF
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	parts := strings.Split(r.URL.Path, "/")
	switch last := parts[len(parts)-1]; {
	case r.Method == http.MethodGet:
		return l.get(last)
	case last == "leases":
		return l.issue(r)
	default:
		return l.change(parts[len(parts)-2], last, r)
	}
}

func (l *ledger) issue(r *http.Request) (*http.Response, error) {
	var spec types.IssueSpec
	if err := json.NewDecoder(r.Body).Decode(&spec); err != nil {
		return nil, err
	}
	ttl := time.Hour
	if spec.TTL != nil {
		ttl = spec.TTL.Std()
	}
	if ttl > l.max {
		return l.problem(422, "lease_ttl_exceeds_max", map[string]any{"renewable_ttl": fmt.Sprint(int(l.max.Seconds()))})
	}
	key := r.Header.Get(types.HeaderIdempotencyKey)
	lease, replayed := l.keys[key]
	if !replayed {
		longest := l.max
		if l.fixed {
			longest = ttl
		}
		lease = &types.Lease{
			ID: fmt.Sprintf("L%d", len(l.leases)+1), State: "active", CreatedAt: l.now(), ExpiresAt: l.now().Add(ttl),
			MaxExpiresAt: l.now().Add(longest), Renewable: longest > ttl, Replaces: spec.Replaces,
		}
		l.leases = append(l.leases, lease)
		l.keys[key] = lease
	}
	if l.lose > 0 {
		l.lose--
		return nil, io.ErrUnexpectedEOF
	}
	return l.answer(201, types.Issued{Lease: *lease, Values: types.Values{{Key: "USER", Value: "u" + lease.ID}}, Replayed: replayed})
}

func (l *ledger) get(id string) (*http.Response, error) {
	at := slices.IndexFunc(l.leases, func(one *types.Lease) bool { return one.ID == id })
	if at < 0 {
		return l.problem(404, "not_found", nil)
	}
	return l.answer(200, l.leases[at])
}

func (l *ledger) change(id, verb string, r *http.Request) (*http.Response, error) {
	at := slices.IndexFunc(l.leases, func(one *types.Lease) bool { return one.ID == id })
	if at < 0 {
		return l.problem(404, "not_found", nil)
	}
	lease := l.leases[at]
	if verb == "revoke" {
		lease.State = "revoked"
		return l.answer(200, lease)
	}
	if lease.State != "active" || !l.now().Before(lease.ExpiresAt) {
		return l.problem(409, "lease_not_active", nil)
	}
	var spec types.RenewSpec
	if err := json.NewDecoder(r.Body).Decode(&spec); err != nil {
		return nil, err
	}
	until, err := time.Parse(time.RFC3339Nano, spec.Until)
	if err != nil {
		return nil, err
	}
	if until.After(lease.MaxExpiresAt) {
		return l.problem(422, "lease_ttl_exceeds_max", nil)
	}
	if until.After(lease.ExpiresAt) {
		now := l.now()
		lease.ExpiresAt, lease.RenewedAt = until, &now
	}
	lease.Renewable = lease.ExpiresAt.Before(lease.MaxExpiresAt)
	return l.answer(200, lease)
}

func (l *ledger) problem(status int, code string, extra map[string]any) (*http.Response, error) {
	response, err := l.answer(status, &types.Problem{Status: status, Code: code, Detail: code, Extra: extra})
	response.Header.Set("Content-Type", types.ProblemContentType)
	return response, err
}

func (l *ledger) answer(status int, body any) (*http.Response, error) {
	content, err := json.Marshal(body)
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(content))}, err
}

// diary notes what a Keeper tells, with the time since it began.
type diary struct {
	began  time.Time
	events []client.KeepEvent
	lines  []string
}

func (d *diary) note(e client.KeepEvent) {
	d.events = append(d.events, e)
	d.lines = append(d.lines, fmt.Sprintf("%s %s %s", time.Since(d.began).Round(time.Second), e.Kind, e.Lease.ID))
}

// kept is a Keeper at a ledger in a bubble. The leases have 90 s and 10 minutes at the most.
func kept(t *testing.T, l *ledger, change func(*client.KeepConfig)) (*client.Keeper, *diary) {
	t.Helper()
	if l.keys == nil {
		l.keys = map[string]*types.Lease{}
	}
	if l.max == 0 {
		l.max = 10 * time.Minute
	}
	c, err := client.New(client.Config{Addresses: []string{"http://127.0.0.1:1"}, Transport: l})
	if err != nil {
		t.Fatal(err)
	}
	d := &diary{began: time.Now()}
	ttl := types.Duration(90 * time.Second)
	config := client.KeepConfig{Secret: "app/env/db", Spec: types.IssueSpec{TTL: &ttl}, Overlap: 30 * time.Second, Notify: d.note}
	if change != nil {
		change(&config)
	}
	k, err := c.Keep(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return k, d
}

// pass lets time go by, and what is done at its end be done.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestKeepRenewsAndReplaces follows a lease through two of its longest lives, whatever the broker's clock says.
func TestKeepRenewsAndReplaces(t *testing.T) {
	for _, skew := range []time.Duration{0, time.Hour, -time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{skew: skew}
				k, d := kept(t, l, nil)
				for range 20 * 60 {
					pass(time.Second)
					if !slices.Contains(l.live(), k.Current().Lease.ID) {
						t.Fatalf("after %s the lease %s is over\n%s", time.Since(d.began), k.Current().Lease.ID, strings.Join(d.lines, "\n"))
					}
				}
				var replaced []time.Duration
				for i, e := range d.events {
					if e.Kind == client.KeepReplaced {
						var at time.Duration
						fmt.Sscan(d.lines[i], (*spell)(&at))
						replaced = append(replaced, at)
					}
				}
				if want := []time.Duration{9 * time.Minute, 18 * time.Minute}; !slices.Equal(replaced, want) {
					t.Errorf("replaced after %v, want %v\n%s", replaced, want, strings.Join(d.lines, "\n"))
				}
				if k.Value("USER") != "uL3" {
					t.Errorf("the value is %q", k.Value("USER"))
				}
				if err := k.Close(); err != nil || len(l.live()) > 0 {
					t.Errorf("closed with %v, and %v are alive", err, l.live())
				}
			})
		})
	}
}

// spell scans a duration.
type spell time.Duration

func (s *spell) Scan(state fmt.ScanState, _ rune) error {
	word, err := state.Token(true, nil)
	if err != nil {
		return err
	}
	d, err := time.ParseDuration(string(word))
	*s = spell(d)
	return err
}

// TestKeepOverlap: what was replaced lives for the overlap, and no longer.
func TestKeepOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		k, d := kept(t, l, nil)
		pass(9*time.Minute + 29*time.Second)
		if got := l.live(); !slices.Equal(got, []string{"L1", "L2"}) {
			t.Errorf("during the overlap there is %v\n%s", got, strings.Join(d.lines, "\n"))
		}
		pass(2 * time.Second)
		if got := l.live(); !slices.Equal(got, []string{"L2"}) {
			t.Errorf("after the overlap there is %v\n%s", got, strings.Join(d.lines, "\n"))
		}
		k.Close()
	})
}

// TestKeepOutage: an outage of a third of the TTL is survived whenever it begins, and one that is longer makes a new
// lease.
func TestKeepOutage(t *testing.T) {
	for began := 480 * time.Second; began < 600*time.Second; began += 7 * time.Second {
		synctest.Test(t, func(t *testing.T) {
			l := &ledger{}
			k, d := kept(t, l, nil)
			pass(began)
			l.set(func() { l.away = true })
			pass(25 * time.Second)
			l.set(func() { l.away = false })
			pass(90 * time.Second)
			for _, e := range d.events {
				if e.Kind == client.KeepLost {
					t.Errorf("an outage after %s: %s", began, strings.Join(d.lines, "\n"))
				}
			}
			if !slices.Contains(l.live(), k.Current().Lease.ID) {
				t.Error("the current lease is over")
			}
			k.Close()
		})
	}
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		k, d := kept(t, l, nil)
		l.set(func() { l.away = true })
		pass(5 * time.Minute)
		l.set(func() { l.away = false })
		pass(time.Minute)
		kinds := []client.KeepKind{}
		for _, e := range d.events {
			if e.Kind == client.KeepLost || e.Kind == client.KeepReplaced {
				kinds = append(kinds, e.Kind)
			}
		}
		if want := []client.KeepKind{client.KeepLost, client.KeepReplaced}; !slices.Equal(kinds, want) {
			t.Errorf("got %v\n%s", kinds, strings.Join(d.lines, "\n"))
		}
		if got := l.live(); !slices.Equal(got, []string{"L2"}) {
			t.Errorf("there is %v", got)
		}
		k.Close()
	})
}

// TestKeepRevoked: a lease that somebody revoked is replaced at the next renewal.
func TestKeepRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		k, d := kept(t, l, nil)
		l.set(func() { l.leases[0].State = "revoked" })
		pass(65 * time.Second)
		if len(d.events) != 2 || d.events[0].Kind != client.KeepLost || d.events[1].Kind != client.KeepReplaced || client.Code(d.events[0].Err) != "lease_not_active" {
			t.Errorf("got %s", strings.Join(d.lines, "\n"))
		}
		k.Close()
		if got := l.live(); len(got) > 0 {
			t.Errorf("there is %v", got)
		}
	})
}

// TestKeepSingle: a single lease is renewed to its end, which is told before.
func TestKeepSingle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		k, d := kept(t, l, func(c *client.KeepConfig) { c.Single = true })
		pass(20 * time.Minute)
		var kinds []string
		for i, e := range d.events {
			if e.Kind != client.KeepRenewed {
				kinds = append(kinds, d.lines[i])
			}
		}
		if want := []string{"9m0s ending L1", "10m0s lost L1"}; !slices.Equal(kinds, want) {
			t.Errorf("got %s", strings.Join(d.lines, "\n"))
		}
		k.Close()
	})
}

// TestKeepFixed: what cannot be renewed is replaced when two thirds of its time are over, at the latest.
func TestKeepFixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{fixed: true}
		k, d := kept(t, l, nil)
		pass(50 * time.Second)
		if got := strings.Join(d.lines, ", "); got != "45s replaced L2" {
			t.Errorf("got %s", got)
		}
		k.Close()
	})
}

// TestKeepOnce: a lease whose answer is lost is not made twice, and a TTL that is too long is shortened.
func TestKeepOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{lose: 1, max: time.Minute}
		k, _ := kept(t, l, nil)
		if len(l.leases) != 1 || k.Current().Lease.ExpiresAt.Sub(l.leases[0].CreatedAt) != time.Minute {
			t.Errorf("made %d leases", len(l.leases))
		}
		k.Close()
		if got := l.live(); len(got) > 0 {
			t.Errorf("there is %v", got)
		}
	})
}

// TestKeepWaits: at the start the broker may be away for a while.
func TestKeepWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{away: true}
		go func() {
			time.Sleep(50 * time.Second)
			l.set(func() { l.away = false })
		}()
		k, _ := kept(t, l, func(c *client.KeepConfig) { c.Wait = time.Minute })
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestKeepRefused: what will not succeed is not waited for, and nothing is left.
func TestKeepRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := client.New(client.Config{Addresses: []string{"http://127.0.0.1:1"}, Transport: refusing{}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := c.Keep(t.Context(), client.KeepConfig{Secret: "app/env/db", Wait: time.Hour}); client.Code(err) != "forbidden" || time.Since(began) > time.Second {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
	})
}

type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) {
	return (&ledger{}).problem(403, "forbidden", nil)
}
