package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// foreign is an outside system as its administrator knows it.
type foreign struct {
	name, provider string
	kit
}

func (f *foreign) secret() string { return "payments/production/" + f.name }

// found returns the logins with the broker's prefix.
func (f *foreign) found(t *testing.T) map[string]bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	names, err := f.Logins(ctx, "brk_")
	if err != nil {
		t.Fatalf("%s: %v", f.name, err)
	}
	found := map[string]bool{}
	for _, name := range names {
		found[name] = true
	}
	return found
}

// prefix is what the output keys of the system's secret begin with: an environment has each key once.
func (f *foreign) prefix() string { return strings.ReplaceAll(f.name, "-", "_") + "__" }

// values returns the values of a lease under the provider's own names.
func (f *foreign) values(issued types.Issued) map[string]string {
	values := map[string]string{}
	for _, one := range issued.Values {
		values[strings.TrimPrefix(one.Key, f.prefix())] = one.Value
	}
	return values
}

// add makes connection and secret of a system, with every output of the provider.
func (h *house) add(f *foreign) {
	h.t.Helper()
	c := h.client()
	must(h.t)(c.CreateConnection(h.t.Context(), types.ConnectionSpec{Name: f.name, Provider: f.provider, Environments: []string{"payments/*"}, Settings: f.Connection()}))
	provider, err := c.GetProvider(h.t.Context(), f.provider)
	if err != nil {
		h.t.Fatal(err)
	}
	var outputs []types.Output
	for _, one := range provider.Outputs {
		outputs = append(outputs, types.Output{Key: f.prefix() + one.Name, Source: one.Name})
	}
	hour, day := types.Duration(time.Hour), types.Duration(24*time.Hour)
	must(h.t)(c.CreateSecret(h.t.Context(), "payments/production", types.SecretSpec{
		Name: f.name, Connection: f.name, Options: f.Options(), Outputs: outputs, DefaultTTL: &hour, MaxTTL: &day,
	}))
}

// pressure issues short and long leases of every system, with a key each that is repeated until it is answered.
type pressure struct {
	mu     sync.Mutex
	issued map[string][]types.Issued // by the system's name
	stop   func()
}

func (h *house) press(systems []*foreign, clients int) *pressure {
	ctx, cancel := context.WithCancel(h.t.Context())
	p := &pressure{issued: map[string][]types.Issued{}}
	var running sync.WaitGroup
	p.stop = func() {
		cancel()
		running.Wait()
	}
	for _, f := range systems {
		for worker := range clients {
			c := h.client()
			running.Go(func() {
				for turn := 0; ctx.Err() == nil; turn++ {
					ttl := types.Duration(time.Hour)
					if rand.N(2) == 0 {
						ttl = types.Duration(time.Second + rand.N(2*time.Second))
					}
					key := client.WithIdempotencyKey(fmt.Sprintf("%s-%d-%d", f.name, worker, turn))
					for ctx.Err() == nil {
						issued, err := c.IssueLease(ctx, f.secret(), types.IssueSpec{TTL: &ttl}, key)
						if err == nil {
							p.mu.Lock()
							p.issued[f.name] = append(p.issued[f.name], issued)
							p.mu.Unlock()
							break
						}
						var problem *types.Problem
						if errors.As(err, &problem) && problem.Code == "lease_ended" {
							break // it ended while its answer was lost
						}
						select {
						case <-ctx.Done():
						case <-time.After(20 * time.Millisecond):
						}
					}
				}
			})
		}
	}
	return p
}

func (p *pressure) count(system string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.issued[system])
}

// waitFor waits until so many more leases of each system were issued.
func (p *pressure) waitFor(t *testing.T, systems []*foreign, more int) {
	t.Helper()
	before := map[string]int{}
	for _, f := range systems {
		before[f.name] = p.count(f.name)
	}
	for _, f := range systems {
		eventually(t, time.Minute, fmt.Sprintf("%d more leases of %s", more, f.name), func() bool { return p.count(f.name) >= before[f.name]+more })
	}
}

// Systems that end nothing by themselves, or at which a create overwrites: the leader is killed twice while leases of all
// are issued and end. Afterwards each has exactly the logins of its live leases. Then a login is left behind without a
// lease, as a mistaken forget does, and the sweep finds it.
func TestNoOrphanAtOtherSystems(t *testing.T) {
	t.Parallel()
	systems := foreigners(t)
	h := newCluster(t, "BROKERD_SWEEP_INTERVAL=1s", "BROKERD_SWEEP_QUARANTINE=1s")
	c := h.client()
	must(t)(c.CreateEnvironment(t.Context(), types.EnvironmentSpec{Name: "payments/production"}))
	for _, f := range systems {
		h.add(f)
	}
	p := h.press(systems, 2)
	p.waitFor(t, systems, 5)
	for range 2 {
		leader, _ := h.leader()
		h.mustDevcluster("kill", fmt.Sprint(leader))
		p.waitFor(t, systems, 5)
		h.mustDevcluster("start", fmt.Sprint(leader))
	}
	p.stop()
	eventually(t, 90*time.Second, "nothing pending or revoking", func() bool { return len(h.leases(c, "pending", "revoking")) == 0 })
	for _, f := range systems {
		h.compare(f, p.issued[f.name])
	}
	h.leaveBehind(systems)
}

// compare holds that ledger and system agree, which a lease that just ends may delay.
func (h *house) compare(f *foreign, issued []types.Issued) {
	h.t.Helper()
	t := h.t
	var wrong string
	agree := func() bool {
		found := f.found(t)
		wrong = ""
		live := map[string]bool{}
		for _, l := range h.leases(h.client(), "pending", "active", "revoking") {
			if l.Connection != f.name {
				continue
			}
			if live[l.Username] = true; !found[l.Username] && l.State == "active" {
				wrong = fmt.Sprintf("an active lease has no login %s", l.Username)
			}
		}
		for name := range found {
			if !live[name] {
				wrong = fmt.Sprintf("login %s belongs to no live lease", name)
			}
		}
		return wrong == ""
	}
	deadline := time.Now().Add(5 * time.Second) // a fraction of what a sweep would need to hide an orphan twice seen
	for !agree() {
		if time.Now().After(deadline) {
			t.Errorf("%s: %s", f.name, wrong)
			break
		}
		<-time.After(50 * time.Millisecond)
	}
	last := slices.IndexFunc(issued, func(one types.Issued) bool { return time.Until(one.Lease.ExpiresAt) > time.Minute })
	if last < 0 {
		t.Fatalf("%s: no long lease among %d", f.name, len(issued))
	}
	if err := f.LogIn(t.Context(), f.values(issued[last])); err != nil {
		t.Errorf("%s: a lease from before the kills does not log in: %v", f.name, err)
	}
	t.Logf("%s: %d leases acknowledged", f.name, len(issued))
}

// leaveBehind has the ledger give up a lease of each system whose login is still there.
func (h *house) leaveBehind(systems []*foreign) {
	h.t.Helper()
	t, c := h.t, h.client()
	lost := map[string]types.Issued{}
	for _, f := range systems {
		issued, err := c.IssueLease(t.Context(), f.secret(), types.IssueSpec{})
		if err != nil {
			t.Fatal(err)
		}
		hour := types.Duration(time.Hour)
		must(t)(c.PauseConnection(t.Context(), f.name, types.PauseSpec{TTL: &hour, Reason: "moving it"}))
		must(t)(c.RevokeLease(t.Context(), issued.Lease.ID, types.RevokeSpec{}))
		must(t)(c.ForgetLease(t.Context(), issued.Lease.ID, types.ForgetSpec{Reason: "thought it was gone"}))
		if err := f.LogIn(t.Context(), f.values(issued)); err != nil {
			t.Fatalf("%s: the login that is to be left behind is gone: %v", f.name, err)
		}
		must(t)(c.ResumeConnection(t.Context(), f.name))
		lost[f.name] = issued
	}
	for _, f := range systems {
		eventually(t, time.Minute, f.name+" has no login without a lease", func() bool { return !f.found(t)[lost[f.name].Lease.Username] })
		if err := f.LogIn(t.Context(), f.values(lost[f.name])); err == nil {
			t.Errorf("%s: a swept login still logs in", f.name)
		}
	}
}
