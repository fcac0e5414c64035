package fsm

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// manyEntries is a log of a few thousand entries with gaps, as entries that are no commands leave them.
func manyEntries(t *testing.T) []*raft.Log {
	t.Helper()
	var log []*raft.Log
	index := uint64(0)
	add := func(body Body) {
		c, err := NewCommand(body, epoch.Time(), Actor{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		data, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if index++; index%checkpointEvery == 0 {
			index += 3
		}
		log = append(log, &raft.Log{Index: index, Term: 1, Data: data})
	}
	add(&CreateEnvironment{Name: "payments/production"})
	for i := range 3*checkpointEvery + 10 {
		text := fmt.Sprint(i)
		add(&UpdateEnvironment{Name: "payments/production", Description: &text})
	}
	return log
}

func applyIn(s *State, log []*raft.Log, size int) {
	for batch := range slices.Chunk(log, size) {
		s.ApplyBatch(batch)
	}
}

// Nodes have the same checkpoints whatever their batches, and also behind a snapshot.
func TestCheckpointsDoNotDependOnBatches(t *testing.T) {
	log := manyEntries(t)
	one, other := mustOpen(t), mustOpen(t)
	applyIn(one, log, 1)
	applyIn(other, log, 1000)
	want := one.Checkpoints()
	if len(want) != 4 || want[0].Index != checkpointEvery+3 || want[3].Index != log[len(log)-1].Index {
		t.Fatalf("checkpoints at %v", want)
	}
	if d := cmp.Diff(want, other.Checkpoints()); d != "" {
		t.Errorf("with other batches (-want +got):\n%s", d)
	}
	half := mustOpen(t)
	applyIn(half, log[:checkpointEvery+100], 7)
	restored := mustRestore(t, half)
	if got := restored.Checkpoints(); len(got) != 1 || got[0].Index != log[checkpointEvery+99].Index {
		t.Errorf("a snapshot begins with %v", got)
	}
	applyIn(restored, log[checkpointEvery+100:], 50)
	if d := cmp.Diff(want[1:], restored.Checkpoints()); d != "" {
		t.Errorf("behind a snapshot (-want +got):\n%s", d)
	}
}

// A row that is damaged shows as soon as an entry makes something of it, and never goes away.
func TestCheckpointsTellADamagedRow(t *testing.T) {
	log := manyEntries(t)
	good, bad := mustOpen(t), mustOpen(t)
	applyIn(good, log, 100)
	applyIn(bad, log[:10], 100)
	Damage(t, bad)
	applyIn(bad, log[10:], 100)
	for i, c := range good.Checkpoints() {
		if other := bad.Checkpoints()[i]; other.Index != c.Index || string(other.Hash) == string(c.Hash) {
			t.Errorf("the checkpoint at %d does not tell", c.Index)
		}
	}
}

// Damage changes a row of the state file behind the state machine's back, as failing memory would.
func Damage(t *testing.T, s *State) {
	t.Helper()
	mustView(t, s, func(*View) {}) // what is applied is in the file
	err := s.db.Update(func(tx *bbolt.Tx) error {
		e, _ := environments.get(tx, []byte("payments/production"))
		e.CreatedAt++
		data, err := encode(&e)
		if err != nil {
			return err
		}
		return tx.Bucket([]byte(environments.bucket)).Put([]byte("payments/production"), data)
	})
	if err != nil {
		t.Fatal(err)
	}
}
