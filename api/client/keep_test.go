package client_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"broker/api/client"
	"broker/api/client/clienttest"
	"broker/api/types"
)

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
func kept(t *testing.T, l *clienttest.Ledger, change func(*client.KeepConfig)) (*client.Keeper, *diary) {
	t.Helper()
	return keptUntil(t.Context(), t, l, change)
}

func keptUntil(ctx context.Context, t *testing.T, l *clienttest.Ledger, change func(*client.KeepConfig)) (*client.Keeper, *diary) {
	t.Helper()
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
	k, err := c.Keep(ctx, config)
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
				l := &clienttest.Ledger{Skew: skew}
				k, d := kept(t, l, nil)
				for range 20 * 60 {
					pass(time.Second)
					if !slices.Contains(l.Live(), k.Current().Lease.ID) {
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
				if err := k.Close(); err != nil || len(l.Live()) > 0 {
					t.Errorf("closed with %v, and %v are alive", err, l.Live())
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
		l := &clienttest.Ledger{}
		k, d := kept(t, l, nil)
		pass(9*time.Minute + 29*time.Second)
		if got := l.Live(); !slices.Equal(got, []string{"L1", "L2"}) {
			t.Errorf("during the overlap there is %v\n%s", got, strings.Join(d.lines, "\n"))
		}
		pass(2 * time.Second)
		if got := l.Live(); !slices.Equal(got, []string{"L2"}) {
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
			l := &clienttest.Ledger{}
			k, d := kept(t, l, nil)
			pass(began)
			l.Set(func() { l.Away = true })
			pass(25 * time.Second)
			l.Set(func() { l.Away = false })
			pass(90 * time.Second)
			for _, e := range d.events {
				if e.Kind == client.KeepLost {
					t.Errorf("an outage after %s: %s", began, strings.Join(d.lines, "\n"))
				}
			}
			if !slices.Contains(l.Live(), k.Current().Lease.ID) {
				t.Error("the current lease is over")
			}
			k.Close()
		})
	}
	synctest.Test(t, func(t *testing.T) {
		l := &clienttest.Ledger{}
		k, d := kept(t, l, nil)
		l.Set(func() { l.Away = true })
		pass(5 * time.Minute)
		l.Set(func() { l.Away = false })
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
		if got := l.Live(); !slices.Equal(got, []string{"L2"}) {
			t.Errorf("there is %v", got)
		}
		k.Close()
	})
}

// TestKeepRevoked: a lease that somebody revoked is replaced at the next renewal.
func TestKeepRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &clienttest.Ledger{}
		k, d := kept(t, l, nil)
		l.Set(func() { l.Leases[0].State = "revoked" })
		pass(65 * time.Second)
		if len(d.events) != 2 || d.events[0].Kind != client.KeepLost || d.events[1].Kind != client.KeepReplaced || client.Code(d.events[0].Err) != "lease_not_active" {
			t.Errorf("got %s", strings.Join(d.lines, "\n"))
		}
		k.Close()
		if got := l.Live(); len(got) > 0 {
			t.Errorf("there is %v", got)
		}
	})
}

// TestKeepSingle: a single lease is renewed to its end, which is told before.
func TestKeepSingle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &clienttest.Ledger{}
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
		l := &clienttest.Ledger{Fixed: true}
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
		l := &clienttest.Ledger{Lose: 1, Max: time.Minute}
		k, _ := kept(t, l, nil)
		if len(l.Leases) != 1 || k.Current().Lease.ExpiresAt.Sub(l.Leases[0].CreatedAt) != time.Minute {
			t.Errorf("made %d leases", len(l.Leases))
		}
		k.Close()
		if got := l.Live(); len(got) > 0 {
			t.Errorf("there is %v", got)
		}
	})
}

// TestKeepWaits: at the start the broker may be away for a while.
func TestKeepWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &clienttest.Ledger{Away: true}
		go func() {
			time.Sleep(50 * time.Second)
			l.Set(func() { l.Away = false })
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
	return clienttest.Problem(403, "forbidden", nil)
}
