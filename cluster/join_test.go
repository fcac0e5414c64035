package cluster_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// plain returns the configuration of a node on real loopback sockets.
func plain(t *testing.T, id string) cluster.Config {
	t.Helper()
	return cluster.Config{
		NodeID:       id,
		DataDir:      filepath.Join(t.TempDir(), "data"),
		ClusterAddr:  "127.0.0.1:0",
		Network:      cluster.PlainTCP{},
		FSM:          &clustertest.Journal{},
		Timing:       clustertest.Timing(),
		UnsafeNoSync: true,
		Logger:       slog.New(slog.DiscardHandler),
	}
}

func start(t *testing.T, cfg cluster.Config) (*cluster.Node, error) {
	t.Helper()
	n, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(within(t, time.Minute)); err != nil {
		return nil, err
	}
	t.Cleanup(func() { stop(t, n) })
	return n, nil
}

func mustStart(t *testing.T, cfg cluster.Config) *cluster.Node {
	t.Helper()
	n, err := start(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func stop(t *testing.T, n *cluster.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func mustLead(t *testing.T, n *cluster.Node) {
	t.Helper()
	clustertest.Eventually(t, "leadership", n.LeaderReady)
}

func TestJoinOverPlainTCP(t *testing.T) {
	first := plain(t, "n1")
	first.Init = true
	one := mustStart(t, first)
	mustLead(t, one)

	second := plain(t, "n2")
	second.Join = []string{"127.0.0.1:1", one.Status().ClusterAddr} // the first answers nobody
	two := mustStart(t, second)
	if one.ClusterID() == "" || one.ClusterID() != two.ClusterID() {
		t.Errorf("cluster ids %q and %q", one.ClusterID(), two.ClusterID())
	}

	// A third asks the follower, which passes it on.
	third := plain(t, "n3")
	third.Join = []string{two.Status().ClusterAddr}
	three := mustStart(t, third)
	if got := len(three.Status().Members); got != 3 {
		t.Errorf("%d members, want 3", got)
	}

	_, index, err := one.Propose(within(t, time.Minute), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := three.WaitApplied(within(t, time.Minute), index); err != nil {
		t.Error(err)
	}
}

func TestMemberIgnoresInitAndJoin(t *testing.T) {
	c := clustertest.New(t, 3)
	index := c.Leader().MustPropose([]byte("x"))
	id := c.Leader().Live().ClusterID()
	// The kit starts nodes with their first options again.
	for _, n := range c.Nodes {
		c.Stop(n)
	}
	for _, n := range c.Nodes {
		c.Restart(n)
	}
	leader := c.Leader()
	if got := leader.Live().ClusterID(); got != id {
		t.Errorf("cluster id became %s, was %s", got, id)
	}
	leader.MustPropose([]byte("y"))
	for _, n := range c.Nodes {
		n.MustApply(index + 1)
		if got := len(n.Live().Status().Members); got != 3 {
			t.Errorf("%s has %d members, want 3", n.ID, got)
		}
	}
}

// A node that lost its data between asking and being let in asks again.
func TestJoinIsIdempotent(t *testing.T) {
	c := clustertest.New(t, 3)
	n := c.Followers(c.WaitLeader())[0]
	c.Kill(n)
	empty(t, n.Dir)
	c.Restart(n)
	n.MustApply(c.Leader().MustPropose([]byte("x")))
	if got := len(n.Live().Status().Members); got != 3 {
		t.Errorf("%d members, want 3", got)
	}
}

// empty loses everything in a directory but the node's name.
func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() != "node.json" {
			if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A member that comes back with its data, but elsewhere, is a member again.
func TestMemberMayMove(t *testing.T) {
	c := clustertest.New(t, 3, &clustertest.Options{Configure: func(node *clustertest.Node, cfg *cluster.Config) {
		if node.ID == "n3" && node.Live() != nil { // not its first start
			cfg.ClusterAddr, cfg.ClusterAdvertise = "moved.test:8421", "moved.test:8421"
		}
	}})
	n := c.Nodes[2]
	c.Stop(n)
	c.Restart(n)
	n.MustApply(c.Leader().MustPropose([]byte("x")))
	for _, other := range c.Nodes {
		clustertest.Eventually(t, other.ID+" to know the new address", func() bool {
			return other.Live().Status().Members[2].ClusterAddr == "moved.test:8421"
		})
	}
}

func TestJoinRefusals(t *testing.T) {
	t.Parallel()
	first := plain(t, "n1")
	first.Init = true
	one := mustStart(t, first)
	mustLead(t, one)
	addr := one.Status().ClusterAddr

	t.Run("name taken by a living node", func(t *testing.T) {
		cfg := plain(t, "n1")
		cfg.Join = []string{addr}
		_, err := start(t, cfg)
		if !errors.Is(err, cluster.ErrJoinRefused) || !strings.Contains(err.Error(), `node "n1" is a member already and alive at `+addr) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("address of another node", func(t *testing.T) {
		cfg := plain(t, "n9")
		cfg.Join = []string{addr}
		cfg.ClusterAdvertise = addr
		_, err := start(t, cfg)
		if !errors.Is(err, cluster.ErrJoinRefused) || !strings.Contains(err.Error(), `belongs to node "n1"`) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("meant for another cluster", func(t *testing.T) {
		cfg := plain(t, "n2")
		cfg.Join = []string{addr}
		cfg.ClusterID = "another"
		if _, err := start(t, cfg); !errors.Is(err, cluster.ErrForeignCluster) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("advertised address that nobody listens at", func(t *testing.T) {
		cfg := plain(t, "n2")
		cfg.Join = []string{addr}
		cfg.ClusterAdvertise = "127.0.0.1:1"
		n, err := cluster.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = n.Start(within(t, 3*time.Second)) // time for one refusal, on a busy disk
		if err == nil || !strings.Contains(err.Error(), "check its advertised address") {
			t.Errorf("got %v", err)
		}
	})
	if got := len(one.Status().Members); got != 1 {
		t.Errorf("%d members after refusals, want 1", got)
	}
	if _, _, err := one.Propose(within(t, time.Minute), []byte("x")); err != nil {
		t.Errorf("the cluster does not work after refusals: %v", err)
	}
}

func TestStartRefusesForeignData(t *testing.T) {
	t.Parallel()
	cfg := plain(t, "n1")
	cfg.Init = true
	n := mustStart(t, cfg)
	mustLead(t, n)
	id := n.ClusterID()

	second := cfg
	second.FSM = &clustertest.Journal{}
	if _, err := start(t, second); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("with the directory in use: got %v", err)
	}
	stop(t, n)

	for name, row := range map[string]struct {
		change func(*cluster.Config)
		want   string
	}{
		"another node":    {func(c *cluster.Config) { c.NodeID = "n2" }, `belongs to node "n1", but this node is configured as "n2"`},
		"another cluster": {func(c *cluster.Config) { c.ClusterID = "other" }, "belongs to cluster " + id + ", not to cluster other"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := second
			row.change(&changed)
			_, err := start(t, changed)
			if !errors.Is(err, cluster.ErrIdentity) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}

	t.Run("identity lost", func(t *testing.T) {
		path := filepath.Join(cfg.DataDir, "node.json")
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for content, want := range map[string]string{"": "is damaged", "{}": "is damaged", `{"format": 99}`: "newer version"} {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := start(t, second); !errors.Is(err, cluster.ErrIdentity) || !strings.Contains(err.Error(), want) {
				t.Errorf("with %q: got %v, want %q", content, err, want)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := start(t, second); !errors.Is(err, cluster.ErrIdentity) || !strings.Contains(err.Error(), "put it back") {
			t.Errorf("without: got %v", err)
		}
		if err := os.WriteFile(path, kept, 0o600); err != nil {
			t.Fatal(err)
		}
	})

	// Nothing of this has hurt it. A lone node may also move and forget its name.
	second.NodeID, second.Init = "", false
	again := mustStart(t, second)
	mustLead(t, again)
	if again.NodeID() != "n1" || again.ClusterID() != id {
		t.Errorf("came back as %s of %s", again.NodeID(), again.ClusterID())
	}
}

func TestStartOnNothing(t *testing.T) {
	if _, err := start(t, plain(t, "n1")); !errors.Is(err, cluster.ErrNotMember) {
		t.Errorf("got %v", err)
	}
}

func TestStartWithoutAdvertisableAddress(t *testing.T) {
	cfg := plain(t, "n1")
	cfg.Init = true
	cfg.ClusterAddr = "0.0.0.0:0"
	if _, err := start(t, cfg); err == nil || !strings.Contains(err.Error(), "set the advertised address") {
		t.Errorf("got %v", err)
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	for name, change := range map[string]func(*cluster.Config){
		"no directory":     func(c *cluster.Config) { c.DataDir = "" },
		"bad node id":      func(c *cluster.Config) { c.NodeID = "Node One" },
		"no state machine": func(c *cluster.Config) { c.FSM = nil },
		"init and join":    func(c *cluster.Config) { c.Init, c.Join = true, []string{"h:1"} },
		"no address":       func(c *cluster.Config) { c.ClusterAddr = "" },
		"no port":          func(c *cluster.Config) { c.ClusterAddr = "host" },
		"bad gossip key":   func(c *cluster.Config) { c.GossipKeys = [][]byte{[]byte("short")} },
		"long cluster id":  func(c *cluster.Config) { c.ClusterID = strings.Repeat("x", 200) },
	} {
		cfg := plain(t, "n1")
		change(&cfg)
		if _, err := cluster.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestPlainTCPTellsClustersApart(t *testing.T) {
	var network cluster.PlainTCP
	port, err := network.Listen("127.0.0.1:0", "ours")
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	addr := port.Addr().String()

	if _, err := network.Dial(t.Context(), addr, cluster.ProtocolRaft, "theirs"); !errors.Is(err, cluster.ErrForeignCluster) {
		t.Errorf("another cluster: got %v", err)
	}
	if _, err := network.Dial(t.Context(), addr, cluster.ProtocolRaft, ""); !errors.Is(err, cluster.ErrForeignCluster) {
		t.Errorf("no cluster for Raft: got %v", err)
	}
	if _, err := network.Dial(t.Context(), addr, "gopher/1", "ours"); err == nil || !strings.Contains(err.Error(), "not spoken here") {
		t.Errorf("unknown protocol: got %v", err)
	}
	for _, protocol := range []string{cluster.ProtocolJoin, cluster.ProtocolForward} {
		conn, err := network.Dial(t.Context(), addr, protocol, "ours")
		if err != nil {
			t.Fatal(err)
		}
		accepted, err := port.Protocol(protocol).Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = accepted.Write([]byte(protocol))
		_ = accepted.Close()
		got := make([]byte, len(protocol))
		if _, err := conn.Read(got); err != nil || string(got) != protocol {
			t.Errorf("read %q, %v", got, err)
		}
		_ = conn.Close()
	}

	garbage, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer garbage.Close()
	_, _ = garbage.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	_ = garbage.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := garbage.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("garbage was not hung up on: %d %v", n, err)
	}
}
