package cluster_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/cluster"
	"broker/cluster/clustertest"
	"broker/fsm"
)

// ledgers are the real state machines of a cluster's nodes, those of earlier lives too.
type ledgers struct {
	t *testing.T

	mu   sync.Mutex
	all  []*fsm.State
	live map[string]*fsm.State
}

func newLedgers(t *testing.T) *ledgers {
	l := &ledgers{t: t, live: map[string]*fsm.State{}}
	t.Cleanup(func() { // after the nodes are down: cleanups go backwards
		for _, state := range l.all {
			if err := state.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return l
}

func (l *ledgers) configure(node *clustertest.Node, c *cluster.Config) {
	state, err := fsm.Open(fsm.Config{Dir: filepath.Join(node.Dir, "state")})
	if err != nil {
		l.t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all, l.live[node.ID] = append(l.all, state), state
	c.FSM = state
	c.SnapshotThreshold, c.TrailingLogs = 300, 100
	c.Checkpoints = func() (list []cluster.Checkpoint) {
		for _, one := range state.Checkpoints() {
			list = append(list, cluster.Checkpoint(one))
		}
		return list
	}
}

// command encodes a command.
func command(t *testing.T, body fsm.Body) []byte {
	t.Helper()
	c, err := fsm.NewCommand(body, time.Now(), fsm.Actor{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// marker is what is damaged.
const marker = "what was written"

// damage changes the environment's description in a node's state file, as a bad disk or bad memory would.
func (l *ledgers) damage(node *clustertest.Node) {
	l.t.Helper()
	l.mu.Lock()
	state := l.live[node.ID]
	l.mu.Unlock()
	if err := state.View(func(*fsm.View) error { return nil }); err != nil { // what is applied is in the file
		l.t.Fatal(err)
	}
	path := filepath.Join(node.Dir, "state", "state.db")
	content, err := os.ReadFile(path)
	if err != nil {
		l.t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	found := 0
	for at := 0; ; found++ {
		next := bytes.Index(content[at:], []byte(marker))
		if next < 0 {
			break
		}
		at += next
		if _, err := f.WriteAt([]byte(strings.ToUpper(marker)), int64(at)); err != nil {
			l.t.Fatal(err)
		}
		at += len(marker)
	}
	if found == 0 {
		l.t.Fatal("the row to damage is not in the file")
	}
}

// touch has every node read the row and write it again.
func touch(t *testing.T, c *clustertest.Cluster) {
	t.Helper()
	c.MustPropose(command(t, &fsm.UpdateEnvironment{Name: "payments/production"}))
}

func (l *ledgers) begin(size int) *clustertest.Cluster {
	l.t.Helper()
	c := clustertest.New(l.t, size, &clustertest.Options{Configure: l.configure})
	index := c.MustPropose(command(l.t, &fsm.CreateEnvironment{Name: "payments/production", Description: marker}))
	for _, n := range c.Nodes {
		n.MustApply(index)
	}
	return c
}

// alarms returns what the nodes say of each other: "n1 differs from n2, n2 is wrong".
func alarms(c *clustertest.Cluster) (list []string) {
	for _, n := range c.Nodes {
		if !n.Running() {
			continue
		}
		for _, d := range n.Live().Divergences() {
			list = append(list, fmt.Sprintf("%s differs from %s, wrong is %s", n.ID, d.Node, d.Wrong))
		}
	}
	return list
}

// A row that is damaged at one node is an alarm at all; that node neither leads nor takes snapshots, and is
// right again when it has made its state anew.
func TestDamagedStateIsAnAlarm(t *testing.T) {
	t.Parallel()
	for _, leads := range []bool{false, true} {
		t.Run(fmt.Sprintf("leader %v", leads), func(t *testing.T) {
			l := newLedgers(t)
			c := l.begin(3)
			bad := c.Leader()
			if !leads {
				bad = c.Followers(bad)[0]
			}
			l.damage(bad)
			touch(t, c)
			clustertest.Eventually(t, "an alarm at every node", func() bool {
				found := alarms(c)
				for _, one := range found {
					if !strings.Contains(one, bad.ID) || !strings.HasSuffix(one, "wrong is "+bad.ID) {
						return false
					}
				}
				return len(found) == 4
			})
			for _, n := range c.Nodes {
				if s := n.Live().Status(); (s.StateError != nil) != (n == bad) || len(s.Divergences) == 0 {
					t.Errorf("%s: %v, %v", n.ID, s.StateError, s.Divergences)
				}
			}
			clustertest.Eventually(t, "another leader", func() bool { return c.Leader() != bad })
			// It is not elected either: whoever leads goes, and the third one takes over. It needs the vote of the one with the
			// wrong state, so it must have all that this one has.
			index := c.MustPropose(command(t, &fsm.UpdateEnvironment{Name: "payments/production"}))
			for _, n := range c.Nodes {
				n.MustApply(index)
			}
			other := c.Leader()
			c.Isolate(other)
			clustertest.Eventually(t, "a third leader", func() bool { return c.Leader() != other })
			if c.Leader() == bad {
				t.Error("the node with the wrong state was elected")
			}
			c.Heal()
			touch(t, c)
			c.Kill(bad)
			c.Restart(bad)
			touch(t, c)
			clustertest.Eventually(t, "no alarm after the state was made anew", func() bool { return len(alarms(c)) == 0 && bad.Live().Diverged() == nil })
		})
	}
}

// Of two nodes nobody can say which one is wrong: both tell, and the leader leads on.
func TestNobodyCanSayWhichOfTwoIsWrong(t *testing.T) {
	l := newLedgers(t)
	c := l.begin(2)
	leader := c.WaitLeader()
	l.damage(leader)
	touch(t, c)
	clustertest.Eventually(t, "an alarm at both", func() bool { return len(alarms(c)) == 2 })
	for _, n := range c.Nodes {
		if s := n.Live().Status(); s.StateError != nil || s.Divergences[0].Wrong != "" {
			t.Errorf("%s: %v, %v", n.ID, s.StateError, s.Divergences)
		}
	}
	if c.Leader() != leader {
		t.Error("leadership went elsewhere")
	}
}

// Load in batches of any size, snapshots, kills and restarts are no reason for an alarm.
func TestNoAlarmWithoutDamage(t *testing.T) {
	t.Parallel()
	l := newLedgers(t)
	c := l.begin(3)
	const clients, each = 40, 70
	load := func() {
		var loading sync.WaitGroup
		for id := range clients {
			loading.Go(func() {
				for i := range each {
					text := fmt.Sprint(id, i)
					for _, n := range c.Nodes { // the one that leads takes it
						if !n.Running() {
							continue
						}
						if _, _, err := n.Live().Propose(t.Context(), command(t, &fsm.UpdateEnvironment{Name: "payments/production", Description: &text})); err == nil {
							break
						}
					}
				}
			})
		}
		loading.Wait()
	}
	check := func(when string) {
		t.Helper()
		if found := alarms(c); len(found) > 0 {
			t.Fatalf("%s: %v", when, found)
		}
	}
	load()
	check("under load")
	away := c.Followers(c.Leader())[0]
	c.Kill(away)
	load()
	check("with a node away")
	c.Restart(away)
	load()
	check("after a restart")
	c.Stop(c.Leader())
	load()
	touch(t, c)
	passed := l.live[away.ID].Checkpoints()
	if len(passed) < 4 {
		t.Errorf("only the checkpoints %d were compared", len(passed))
	}
	compared := time.Now().Add(10 * clustertest.Timing().Compare)
	clustertest.Eventually(t, "some comparisons", func() bool { check("in the end"); return time.Now().After(compared) })
}
