package broker_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"broker/broker"
	"broker/cluster"
	"broker/cluster/clustertest"
	"broker/fsm"
	"broker/providers"
	"broker/providers/providertest"
	"broker/seal"
)

// member is one node of a cluster of brokers with a clock that can be set.
type member struct {
	state *fsm.State
	b     *broker.Broker
	ahead atomic.Int64
}

func (m *member) now() time.Time { return time.Now().Add(time.Duration(m.ahead.Load())) }

// brokers starts a cluster of brokers in real time.
func brokers(t *testing.T, size int) (*clustertest.Cluster, map[string]*member) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	keys := filepath.Join(t.TempDir(), "keyring.json")
	must(seal.Create(keys))
	keyring, err := seal.Load(keys)
	must(err)
	fake := providertest.NewFake()
	fake.SetRootPassword(rootCanary)
	registry, err := providers.NewRegistry(fake.Provider())
	must(err)
	members := map[string]*member{}
	configure := func(n *clustertest.Node, c *cluster.Config) {
		m := &member{}
		var err error
		m.state, err = fsm.Open(fsm.Config{Dir: filepath.Join(n.Dir, "state")})
		must(err)
		m.b, err = broker.New(broker.Config{
			State: m.state, Log: liveNode{n}, Clocks: liveNode{n}, Providers: registry, Keyring: keyring,
			NodeID: n.ID, Now: m.now, Timing: broker.Timing{Clock: 200 * time.Millisecond},
		})
		must(err)
		c.FSM, c.Now = m.state, m.now
		c.Lead = func(ctx context.Context, term uint64) error {
			var id string
			if err := m.state.View(func(v *fsm.View) error { id = v.Meta().ClusterID; return nil }); err != nil {
				return err
			}
			if id == "" {
				if err := m.b.Init(ctx, term, broker.InitSpec{ClusterID: "01jd0000000000000000cluster", Account: "alice", TokenHash: []byte("h"), Accessor: "t1"}); err != nil {
					return err
				}
			}
			return m.b.Lead(ctx, term)
		}
		members[n.ID] = m
	}
	// After the nodes, which apply to the states until they are down: cleanups go backwards.
	t.Cleanup(func() {
		for _, m := range members {
			must(m.state.Close())
		}
	})
	return clustertest.New(t, size, &clustertest.Options{Configure: configure}), members
}

// liveNode is a node that exists only once it is started.
type liveNode struct{ node *clustertest.Node }

func (l liveNode) Propose(ctx context.Context, command []byte) (any, uint64, error) {
	return l.node.Live().Propose(ctx, command)
}

func (l liveNode) AskClocks(ctx context.Context) (int, map[string]time.Time) {
	return l.node.Live().AskClocks(ctx)
}

// Three nodes, and the clock of the one that leads jumps: another leads, nothing has ended early, and
// the ledger's clock has not followed.
func TestClusterOutlivesAWrongClock(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			c, members := brokers(t, 3)
			leading := func() (*clustertest.Node, *member) {
				t.Helper()
				var node *clustertest.Node
				clustertest.Eventually(t, "a leader that serves", func() bool {
					node = c.Leader()
					return members[node.ID].b.Leading()
				})
				return node, members[node.ID]
			}
			node, m := leading()
			_, err := m.b.CreateEnvironment(t.Context(), alice(), broker.EnvironmentSpec{Name: env})
			if err == nil {
				_, _, err = m.b.CreateConnection(t.Context(), alice(), broker.ConnectionSpec{
					Name: "orders-db", Provider: "fake", Environments: []fsm.Pattern{"*"}, Settings: map[string]any{"system": "main", "password": rootCanary},
				})
			}
			if err == nil {
				_, _, err = m.b.CreateSecret(t.Context(), alice(), broker.SecretSpec{
					Name: ordersRO, Connection: "orders-db", DefaultTTL: 30 * time.Minute, MaxTTL: time.Hour,
					Outputs: []fsm.Output{{Key: "DB_USER", Source: "username"}},
				})
			}
			if err != nil {
				t.Fatal(err)
			}
			issued, err := m.b.Issue(t.Context(), alice(), broker.IssueSpec{Secret: ordersRO})
			if err != nil {
				t.Fatal(err)
			}
			m.ahead.Store(int64(ahead))
			clustertest.Eventually(t, "another leader", func() bool {
				next := c.Leader()
				return next != node && members[next.ID].b.Leading()
			})
			_, next := leading()
			clustertest.Eventually(t, "issuing again", func() bool {
				_, next = leading()
				_, err := next.b.Issue(t.Context(), alice(), broker.IssueSpec{Secret: ordersRO})
				return err == nil
			})
			err = next.state.View(func(v *fsm.View) error {
				if off := v.Meta().Clock.Sub(fsm.At(time.Now())).Abs(); off > fsm.MaxClockStep {
					t.Errorf("the ledger's clock is %s off", off)
				}
				if l, _ := v.Lease(issued.Lease.ID); l.State != fsm.Active || l.ExpiresAt != issued.Lease.ExpiresAt {
					t.Errorf("the lease is %+v", l)
				}
				for _, e := range v.Events(0, 1000) {
					if e.Type == fsm.EventClockStepped && e.Details["stepped"] == "" {
						t.Errorf("the clock stepped: %+v", e)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
