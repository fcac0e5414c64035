package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/hashicorp/raft"

	"broker/cluster"
	"broker/cluster/clustertest"
)

// readLast reads the newest command at a node, linearizably.
func readLast(ctx context.Context, n *clustertest.Node) (string, error) {
	live := n.Live()
	index, err := live.ReadIndex(ctx)
	if err != nil {
		return "", err
	}
	if err := live.WaitApplied(ctx, index); err != nil {
		return "", err
	}
	return n.Journal().Last().Data, nil
}

func TestReadSeesAcknowledgedWrites(t *testing.T) {
	c := clustertest.New(t, 3)
	leader := c.WaitLeader()
	for i := range 20 {
		want := fmt.Sprint(i)
		leader.MustPropose([]byte(want))
		for _, n := range c.Nodes {
			got, err := readLast(within(t, 10*time.Second), n)
			if err != nil {
				t.Fatalf("reading at %s: %v", n.ID, err)
			}
			if got != want {
				t.Fatalf("%s read %q after %q was acknowledged", n.ID, got, want)
			}
		}
	}
}

func TestCutOffLeaderServesNoLinearizableRead(t *testing.T) {
	c := clustertest.New(t, 3)
	old := c.Leader()
	old.MustPropose([]byte("old"))
	c.Isolate(old)
	// Long before its lease runs out it may not answer any more, since another
	// leader might be at work already.
	if got, err := readLast(within(t, 5*time.Second), old); err == nil || !errors.Is(err, cluster.ErrNoLeader) {
		t.Errorf("read %q, error %v; want no leader", got, err)
	}
	c.Leader().MustPropose([]byte("new"))
	if got, err := readLast(within(t, 5*time.Second), old); err == nil {
		t.Errorf("read %q from a cut-off node", got)
	}
	c.Heal()
	clustertest.Eventually(t, "the old leader to read the new value", func() bool {
		got, err := readLast(within(t, time.Second), old)
		if err == nil && got != "new" {
			t.Fatalf("read %q", got)
		}
		return err == nil
	})
}

// stallingLog is a log whose disk can be made to hang.
type stallingLog struct {
	raft.LogStore
	disk *sync.RWMutex // held for writing while the disk hangs
}

func (l stallingLog) StoreLogs(entries []*raft.Log) error {
	l.disk.RLock()
	defer l.disk.RUnlock()
	return l.LogStore.StoreLogs(entries)
}

// A leader whose disk hangs does not notice that it was replaced: its main loop
// stands still, as that of a paused process does. It must not take its state
// for the newest.
func TestHangingLeaderServesNoOldRead(t *testing.T) {
	disks := map[string]*sync.RWMutex{"n1": {}, "n2": {}, "n3": {}}
	c := clustertest.New(t, 3, &clustertest.Options{Configure: func(node *clustertest.Node, cfg *cluster.Config) {
		cfg.WrapLog = func(log raft.LogStore) raft.LogStore { return stallingLog{log, disks[node.ID]} }
	}})
	old := c.Leader()
	old.MustPropose([]byte("old"))

	disks[old.ID].Lock()
	release := sync.OnceFunc(disks[old.ID].Unlock)
	defer release()
	if _, _, err := old.Live().Propose(within(t, 100*time.Millisecond), []byte("stuck")); !errors.Is(err, cluster.ErrOutcomeUnknown) {
		t.Fatalf("with a hanging disk: %v", err)
	}
	c.Isolate(old)
	var successor *clustertest.Node
	clustertest.Eventually(t, "a successor", func() bool {
		successor = c.Leader()
		return successor != old
	})
	successor.MustPropose([]byte("new"))
	// It can ask again, but the successor's heartbeats do not reach it.
	for _, n := range c.Followers(old) {
		c.MendDials(old, n)
	}
	for range 100 {
		if !old.Live().LeaderReady() {
			t.Fatal("the old leader noticed: the test shows nothing")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		got, err := readLast(ctx, old)
		cancel()
		if err == nil && got != "new" {
			t.Fatalf("read %q after %q was acknowledged", got, "new")
		}
	}
	c.Heal()
	release()
	clustertest.Eventually(t, "the old leader to read the new value", func() bool {
		got, err := readLast(within(t, time.Second), old)
		return err == nil && got == "new"
	})
}

func TestWaitAppliedIsTheSessionRead(t *testing.T) {
	c := clustertest.New(t, 3)
	leader := c.WaitLeader()
	follower := c.Followers(leader)[0]
	c.Isolate(follower)
	index := leader.MustPropose([]byte("mine"))
	if err := follower.Live().WaitApplied(within(t, 50*time.Millisecond), index); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cut off: got %v, want the end of the wait", err)
	}
	c.Heal()
	follower.MustApply(index)
	if got := follower.Journal().Last().Data; got != "mine" {
		t.Errorf("read %q, want the session's own write", got)
	}
}

func TestStaleness(t *testing.T) {
	c := clustertest.New(t, 3)
	leader := c.WaitLeader()
	if got := leader.Live().Staleness(); got != 0 {
		t.Errorf("leader: %s, want 0", got)
	}
	follower := c.Followers(leader)[0]
	if got := follower.Live().Staleness(); got > 2*time.Second {
		t.Errorf("follower: %s", got)
	}
	c.Isolate(follower)
	clustertest.Eventually(t, "staleness to grow", func() bool { return follower.Live().Staleness() > time.Second })
}

// A register written and read by several clients through all nodes while
// leaders are cut off and replaced must look as if it were on one machine.
func TestRegisterIsLinearizable(t *testing.T) {
	const (
		writers = 3
		readers = 5
		length  = 6 * time.Second
	)
	c := clustertest.New(t, 3)
	c.WaitLeader()

	type input struct {
		write bool
		value string
	}
	var (
		mu      sync.Mutex
		history []porcupine.Operation

		acknowledged, reads atomic.Int64
	)
	began := time.Now()
	now := func() int64 { return int64(time.Since(began)) }
	record := func(op porcupine.Operation) {
		mu.Lock()
		defer mu.Unlock()
		history = append(history, op)
	}
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()

	// Checking takes time with every operation: a few thousand will do.
	pace := func() *time.Ticker { return time.NewTicker(5 * time.Millisecond) }

	var clients sync.WaitGroup
	for id := range writers {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(id)))
			tick := pace()
			defer tick.Stop()
			for i := 0; ctx.Err() == nil; i++ {
				<-tick.C
				n := c.Nodes[random.IntN(len(c.Nodes))]
				op := porcupine.Operation{ClientId: id, Input: input{true, fmt.Sprintf("%d/%d", id, i)}, Call: now()}
				try, done := context.WithTimeout(ctx, time.Second)
				_, _, err := n.Live().Propose(try, []byte(op.Input.(input).value))
				done()
				op.Return = now()
				if definitelyNot(err) {
					continue
				}
				if err != nil {
					// It may take effect at any time to come.
					op.Return = int64(time.Hour)
				}
				record(op)
				if err == nil {
					acknowledged.Add(1)
				}
			}
		})
	}
	for id := range readers {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(2, uint64(id)))
			tick := pace()
			defer tick.Stop()
			for ctx.Err() == nil {
				<-tick.C
				n := c.Nodes[random.IntN(len(c.Nodes))]
				op := porcupine.Operation{ClientId: 100 + id, Input: input{}, Call: now()}
				try, done := context.WithTimeout(ctx, time.Second)
				got, err := readLast(try, n)
				done()
				op.Output, op.Return = got, now()
				if err == nil {
					record(op)
					reads.Add(1)
				}
			}
		})
	}
	changes := 0
	for ctx.Err() == nil {
		enough := acknowledged.Load() + 40
		clustertest.Eventually(t, "some writes", func() bool { return acknowledged.Load() >= enough || ctx.Err() != nil })
		leader := c.Leader()
		if changes%3 == 2 {
			_ = leader.Live().TransferLeadership(ctx) // another way to lose it
		} else {
			c.Isolate(leader)
			c.Leader()
			c.Heal()
		}
		changes++
		c.WaitLeader()
	}
	clients.Wait()

	register := porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, in, out any) (bool, any) {
			if op := in.(input); op.write {
				return true, op.value
			}
			return out == state, state
		},
	}
	result := porcupine.CheckOperationsTimeout(register, history, time.Minute)
	t.Logf("%d writes, %d reads, %d changes of leader: %s", acknowledged.Load(), reads.Load(), changes, result)
	if result != porcupine.Ok {
		t.Errorf("the history is not linearizable: %s", result)
	}
	if reads.Load() < 50 || acknowledged.Load() < 50 || changes < 2 {
		t.Error("too little happened for this to show anything")
	}
}
