package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/api"
	"broker/api/apitest"
	"broker/api/client"
	"broker/api/types"
	"broker/cluster"
	"broker/cluster/clustertest"
	"broker/fsm"
	"broker/providers"
)

// liveNode is a cluster's node that exists only once it is started.
type liveNode struct{ *clustertest.Node }

func (l liveNode) NodeID() string                                { return l.ID }
func (l liveNode) LeaderReady() bool                             { return l.Live().LeaderReady() }
func (l liveNode) Leader() (string, string, bool)                { return l.Live().Leader() }
func (l liveNode) ReadIndex(ctx context.Context) (uint64, error) { return l.Live().ReadIndex(ctx) }
func (l liveNode) WaitApplied(ctx context.Context, i uint64) error {
	return l.Live().WaitApplied(ctx, i)
}
func (l liveNode) Staleness() time.Duration { return l.Live().Staleness() }
func (l liveNode) Diverged() error          { return l.Live().Diverged() }
func (l liveNode) Ready() error             { return l.Live().Ready() }
func (l liveNode) ServeAsLeader(ctx context.Context) (context.Context, func(), bool) {
	return l.Live().ServeAsLeader(ctx)
}
func (l liveNode) MemberTransport(id string) http.RoundTripper {
	return l.Live().MemberTransport(id)
}

func (l liveNode) ForwardTransport() http.RoundTripper { return l.Live().ForwardTransport() }

// anybody identifies every token.
type anybody struct{}

func (anybody) Identify(string, netip.Addr) (api.Identity, error) {
	return api.Identity{Account: "admin"}, nil
}

// serving is a real cluster whose nodes serve the API over the real state machine. Nobody leads but Raft:
// what is proposed is whatever the test proposes.
type serving struct {
	*clustertest.Cluster
	mu   sync.Mutex
	http map[string]*httptest.Server // by node
}

func serve(t *testing.T, size int) *serving {
	s := &serving{http: map[string]*httptest.Server{}}
	var states []*fsm.State
	t.Cleanup(func() {
		for _, state := range states {
			if err := state.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	registry, err := providers.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	s.Cluster = clustertest.New(t, size, &clustertest.Options{Configure: func(n *clustertest.Node, c *cluster.Config) {
		state, err := fsm.Open(fsm.Config{Dir: filepath.Join(n.Dir, "state")})
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, state)
		c.FSM = state
		server, err := api.New(api.Config{
			Broker: struct{ api.Broker }{}, Trust: struct{ api.Trust }{}, Credentials: struct{ api.Credentials }{}, Access: struct{ api.Access }{}, Members: struct{ api.Members }{}, State: api.StateOf(state), Cluster: liveNode{n}, Providers: registry,
			Authenticator: anybody{}, Authorizer: api.AllowAll{}, Status: func() types.Cluster { return types.Cluster{} },
			Heartbeat: 50 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		listening := httptest.NewServer(server)
		t.Cleanup(listening.Close)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.http[n.ID] = listening
	}})
	return s
}

func (s *serving) url(n *clustertest.Node) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.http[n.ID].URL
}

// kill ends a node with everything that is connected to it.
func (s *serving) kill(n *clustertest.Node) {
	s.mu.Lock()
	s.http[n.ID].Config.Close()
	s.mu.Unlock()
	s.Kill(n)
}

// write has the ledger grow by an event each.
func (s *serving) write(t *testing.T, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		c, err := fsm.NewCommand(&fsm.CreateEnvironment{Name: fsm.EnvironmentName(fmt.Sprintf("app/e%d", i))}, time.Now(), fsm.Actor{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		data, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		s.MustPropose(data)
	}
}

// read follows history from its beginning until the named event, through the nodes in order.
func (s *serving) read(t *testing.T, last string, nodes ...*clustertest.Node) <-chan []string {
	t.Helper()
	var addresses []string
	for _, n := range nodes {
		addresses = append(addresses, s.url(n))
	}
	c, err := client.New(client.Config{Addresses: addresses, Token: apitest.Token, RetryPause: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	done := make(chan []string, 1)
	go func() {
		var seen []string
		for event, err := range c.StreamEvents(t.Context(), client.EventQuery{After: "0"}) {
			if err != nil {
				t.Error(err)
			}
			if seen = append(seen, event.Subject); event.Subject == last {
				break
			}
		}
		done <- seen
	}()
	return done
}

// Streams of every node show every event once while the leader dies, and then the node that serves one.
func TestStreamsOutliveNodes(t *testing.T) {
	s := serve(t, 3)
	leader := s.WaitLeader()
	others := s.Followers(leader)
	const events = 300
	last := fmt.Sprintf("app/e%d", events-1)
	var reading []<-chan []string
	for _, nodes := range [][]*clustertest.Node{{leader, others[0]}, {others[0], others[1]}, {others[1], others[0]}} {
		reading = append(reading, s.read(t, last, nodes...))
	}
	s.write(t, 0, 100)
	s.kill(leader)
	s.write(t, 100, 200)
	s.Restart(leader)
	s.kill(others[1])
	s.write(t, 200, events)
	want := make([]string, events)
	for i := range want {
		want[i] = fmt.Sprintf("app/e%d", i)
	}
	for i, done := range reading {
		if d := cmp.Diff(want, <-done); d != "" {
			t.Errorf("reader %d (-want +got):\n%s", i, d)
		}
	}
}

// A stream at a node that is cut off goes on with what there is, says that there is no leader, and misses
// nothing of what happened meanwhile.
func TestStreamAtANodeThatIsCutOff(t *testing.T) {
	s := serve(t, 3)
	leader := s.WaitLeader()
	apart := s.Followers(leader)[0]
	s.write(t, 0, 3)
	apart.MustApply(leader.Live().AppliedIndex())
	s.Isolate(apart)
	stream := follow(t, s.url(apart), "?after=0")
	got := named(t, stream.events(3))
	s.write(t, 3, 6)
	for {
		m, ok := stream.next()
		if !ok || m.event != "" {
			t.Fatalf("instead of heartbeats: %q", m)
		}
		if strings.Contains(m.comment, "knows no leader; what is newer comes late") {
			break
		}
	}
	s.Heal()
	got = append(got, named(t, stream.events(3))...)
	if want := named(t, follow(t, s.url(leader), "?after=0").events(6)); !slices.Equal(want, got) {
		t.Errorf("got %v, want %v", got, want)
	}
}
