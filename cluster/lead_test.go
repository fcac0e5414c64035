package cluster_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// periods records the leadership periods of a cluster's nodes.
type periods struct {
	mu      sync.Mutex
	active  map[string]int
	overlap []string
	begun   []uint64 // terms
	ended   int
}

func (p *periods) configure(node *clustertest.Node, cfg *cluster.Config) {
	cfg.Lead = func(ctx context.Context, term uint64) error {
		p.mu.Lock()
		if p.active == nil {
			p.active = map[string]int{}
		}
		if p.active[node.ID]++; p.active[node.ID] > 1 {
			p.overlap = append(p.overlap, node.ID)
		}
		p.begun = append(p.begun, term)
		p.mu.Unlock()

		<-ctx.Done()
		// Slow to leave, to invite the next period in.
		for range 1000 {
			node.Live().Status()
		}

		p.mu.Lock()
		p.active[node.ID]--
		p.ended++
		p.mu.Unlock()
		return ctx.Err()
	}
}

func TestLeadershipPeriodsNeverOverlap(t *testing.T) {
	p := &periods{}
	c := clustertest.New(t, 3, &clustertest.Options{Configure: p.configure})
	for range 6 {
		if err := c.Leader().Live().TransferLeadership(within(t, time.Minute), ""); err != nil {
			t.Logf("transfer: %v", err)
		}
	}
	leader := c.Leader()
	c.Isolate(leader)
	c.Leader()
	c.Heal()
	c.WaitLeader()

	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.overlap) > 0 {
		t.Errorf("two periods at a time at %v", p.overlap)
	}
	for i, term := range p.begun {
		if i > 0 && term <= p.begun[i-1] {
			t.Errorf("terms of the periods do not grow: %v", p.begun)
		}
	}
	if len(p.begun) < 3 {
		t.Errorf("only %d periods: the test shows nothing", len(p.begun))
	}
}

func TestLeadContextEndsWithLeadership(t *testing.T) {
	ended := make(chan string, 10)
	c := clustertest.New(t, 3, &clustertest.Options{Configure: func(node *clustertest.Node, cfg *cluster.Config) {
		cfg.Lead = func(ctx context.Context, _ uint64) error {
			<-ctx.Done()
			if node.Live().LeaderReady() {
				t.Errorf("%s counts as leader after its period ended", node.ID)
			}
			ended <- node.ID
			return nil
		}
	}})
	old := c.Leader()
	c.Isolate(old)
	select {
	case id := <-ended:
		if id != old.ID {
			t.Errorf("the period of %s ended, want that of %s", id, old.ID)
		}
	case <-time.After(time.Minute):
		t.Error("the cut-off leader's work goes on")
	}
}

func TestLeadErrorHandsLeadershipOver(t *testing.T) {
	var poisoned atomic.Pointer[string]
	sick := make(chan struct{}, 1)
	c := clustertest.New(t, 3, &clustertest.Options{Configure: func(node *clustertest.Node, cfg *cluster.Config) {
		cfg.Lead = func(ctx context.Context, _ uint64) error {
			for {
				if p := poisoned.Load(); p != nil && *p == node.ID {
					return errors.New("cannot work here")
				}
				select {
				case <-ctx.Done():
					return nil
				case <-sick:
				}
			}
		}
	}})
	old := c.Leader()
	poisoned.Store(&old.ID)
	sick <- struct{}{}
	clustertest.Eventually(t, "another leader", func() bool { return c.Leader() != old })
}

// With nobody to hand over to, a lone node tries again.
func TestLeadErrorOfALoneNodeIsRetried(t *testing.T) {
	var tries atomic.Int32
	c := clustertest.New(t, 1, &clustertest.Options{Configure: func(_ *clustertest.Node, cfg *cluster.Config) {
		cfg.Lead = func(ctx context.Context, _ uint64) error {
			if tries.Add(1) < 3 {
				return errors.New("not yet")
			}
			<-ctx.Done()
			return nil
		}
	}})
	clustertest.Eventually(t, "the third try", func() bool { return tries.Load() == 3 })
	c.Leader().MustPropose([]byte("works"))
}

// The work begins only after everything committed before has been applied, and
// the term it is told is the one its proposals get.
func TestLeadBeginsAfterTheBarrierInItsTerm(t *testing.T) {
	type seen struct {
		entries int
		term    uint64
	}
	began := make(chan seen, 10)
	c := clustertest.New(t, 3, &clustertest.Options{Configure: func(node *clustertest.Node, cfg *cluster.Config) {
		cfg.Lead = func(ctx context.Context, term uint64) error {
			s := seen{entries: len(node.Journal().Entries()), term: term}
			if _, _, err := node.Live().Propose(ctx, []byte("by the leader")); err != nil {
				return err
			}
			if got := node.Journal().Last().Term; got != term {
				t.Errorf("proposal of term %d got into term %d", term, got)
			}
			began <- s
			<-ctx.Done()
			return nil
		}
	}})
	<-began
	old := c.Leader()
	for range 100 {
		old.MustPropose([]byte("x"))
	}
	c.Kill(old)
	c.Leader()
	if s := <-began; s.entries < 101 {
		t.Errorf("began with %d entries applied, want all 101 committed before", s.entries)
	}
}

func TestKilledLeaderIsReplacedQuickly(t *testing.T) {
	c := clustertest.New(t, 3, &clustertest.Options{Configure: func(_ *clustertest.Node, cfg *cluster.Config) {
		cfg.Timing = cluster.LAN()
	}})
	c.Leader().MustPropose([]byte("x"))
	old := c.WaitLeader()
	began := time.Now()
	c.Isolate(old)
	c.Leader().MustPropose([]byte("y"))
	took := time.Since(began)
	t.Logf("next success after %s", took)
	if took > 10*time.Second {
		t.Errorf("took %s, want less than 10 s", took)
	}
	c.Kill(old)
	c.Restart(old)
	c.WaitLeader()
	clustertest.Eventually(t, "the old leader to catch up", func() bool { return old.Journal().Last().Data == "y" })
}
