package cluster_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// clocks are the wall clocks of the nodes of a test, by node: how far each is ahead.
type clocks map[string]*atomic.Int64

func newClocks(ids ...string) clocks {
	c := clocks{}
	for _, id := range ids {
		c[id] = new(atomic.Int64)
	}
	return c
}

func (c clocks) configure(node *clustertest.Node, cfg *cluster.Config) {
	off := c[node.ID]
	cfg.Now = func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
}

func (c clocks) set(node *clustertest.Node, ahead time.Duration) { c[node.ID].Store(int64(ahead)) }

func TestClockOffsetsInStatus(t *testing.T) {
	clock := newClocks("n1", "n2", "n3")
	c := clustertest.New(t, 3, &clustertest.Options{Configure: clock.configure})
	clock.set(c.Nodes[1], 700*time.Millisecond)
	clustertest.Eventually(t, "offsets of both others", func() bool {
		found := 0
		for _, m := range c.Nodes[0].Live().Status().Members {
			switch {
			case m.Clock == nil:
			case m.ID == "n2" && m.Clock.Notable() && (m.Clock.Offset-700*time.Millisecond).Abs() <= m.Clock.Error+5*time.Millisecond:
				found++
			case m.ID == "n3" && !m.Clock.Notable():
				found++
			}
		}
		return found == 2
	})
	if err := c.Nodes[1].Live().Status().ClockError; err != nil {
		t.Errorf("0.7 s are too much: %v", err)
	}
}

// A leader whose clock goes wrong hands over to one whose clock is right, and does not come back before
// its own is right again.
func TestWrongClockDoesNotLead(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{time.Hour, -time.Hour, 2 * 365 * 24 * time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			clock := newClocks("n1", "n2", "n3", "n4", "n5")
			c := clustertest.New(t, 5, &clustertest.Options{Configure: clock.configure})
			wrong := c.WaitLeader()
			clock.set(wrong, ahead)
			clustertest.Eventually(t, "another leader", func() bool { return c.Leader() != wrong })
			clustertest.Eventually(t, "the reason in the status", func() bool {
				err := wrong.Live().Status().ClockError
				return err != nil && strings.Contains(err.Error(), "clock")
			})
			// The next leader goes: those that are left are still enough to know better.
			second := c.Leader()
			c.Isolate(second)
			clustertest.Eventually(t, "a third leader", func() bool {
				leader := c.Leader()
				return leader != second
			})
			if third := c.Leader(); third == wrong {
				t.Error("the node with the wrong clock was elected")
			}
			c.Heal()
			clock.set(wrong, 0)
			clustertest.Eventually(t, "the clock to be right", func() bool { return wrong.Live().Status().ClockError == nil })
			clustertest.Eventually(t, "leading again", func() bool {
				if leader := c.Leader(); leader != wrong {
					_ = leader.Live().TransferLeadership(t.Context(), "") // to whomever; again until it is this one
				}
				return wrong.Live().LeaderReady()
			})
		})
	}
}

// Where no majority agrees, nobody can be said to be wrong, and the cluster goes on.
func TestClocksThatCannotBeJudged(t *testing.T) {
	clock := newClocks("n1", "n2", "n3")
	c := clustertest.New(t, 3, &clustertest.Options{Configure: clock.configure})
	leader := c.WaitLeader()
	followers := c.Followers(leader)
	c.Kill(followers[0])
	clock.set(leader, time.Hour)
	var voters int
	var said map[string]time.Time
	clustertest.Eventually(t, "the clocks of both that are left", func() bool {
		voters, said = leader.Live().AskClocks(t.Context())
		return len(said) == 2
	})
	apart := said[leader.ID].Sub(said[followers[1].ID])
	if voters != 3 || (apart-time.Hour).Abs() > time.Second {
		t.Errorf("%d voters, %s apart", voters, apart)
	}
	clustertest.Eventually(t, "the offset", func() bool { return leader.Live().Clock().Offsets[followers[1].ID].Notable() })
	if err := leader.Live().Clock().Off(); err != nil {
		t.Errorf("judged without a majority: %v", err)
	}
	if now := c.Leader(); now != leader {
		t.Errorf("%s leads now", now.ID)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if voters, said := leader.Live().AskClocks(ctx); voters != 3 || len(said) != 1 {
		t.Errorf("with a context that is over: %d voters, %v", voters, said)
	}
}
