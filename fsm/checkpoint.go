package fsm

import (
	"slices"
	"sync"
)

// Checkpoint is the running hash behind the entry at an index.
type Checkpoint struct {
	Index uint64
	Hash  []byte
}

// A checkpoint is kept of the first entry of each thousand or so, the newest of them: nodes that are tens
// of thousands of entries apart find an index that both have passed.
const (
	checkpointEvery = 1024
	maxCheckpoints  = 64
)

// checkpoints are the running hashes that this node can tell others. They are kept in memory: a node that
// starts passes the same indexes again, or begins with those of its snapshot.
type checkpoints struct {
	mu     sync.Mutex
	kept   []Checkpoint // oldest first
	newest Checkpoint   // of the last entry applied
}

// passed notes that the entry behind meta has been applied; before is the index of the one before. The same
// entries are kept at every node, in whatever batches they came.
func (c *checkpoints) passed(before uint64, meta Meta) {
	if before/checkpointEvery == meta.Index/checkpointEvery {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) == maxCheckpoints {
		c.kept = slices.Delete(c.kept, 0, 1)
	}
	c.kept = append(c.kept, Checkpoint{Index: meta.Index, Hash: meta.Hash})
}

// reached notes the end of a batch.
func (c *checkpoints) reached(meta Meta) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest = Checkpoint{Index: meta.Index, Hash: meta.Hash}
}

// restart begins anew with a restored state: what was passed before is another state's.
func (c *checkpoints) restart(meta Meta) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept, c.newest = nil, Checkpoint{Index: meta.Index, Hash: meta.Hash}
}

// Checkpoints returns running hashes of this node's state, oldest first, the newest entry's last. Two nodes
// that have different hashes of one index made different states of one log. It waits for nobody, and
// nobody may change the hashes.
func (s *State) Checkpoints() []Checkpoint {
	c := &s.checkpoints
	c.mu.Lock()
	defer c.mu.Unlock()
	list := slices.Clone(c.kept)
	if n := len(list); c.newest.Index > 0 && (n == 0 || list[n-1].Index != c.newest.Index) {
		list = append(list, c.newest)
	}
	return list
}
