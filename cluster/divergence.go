package cluster

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Checkpoint is a hash over everything that a state machine made of the log up to an index. Nodes that
// have applied the same entries have the same hash.
type Checkpoint struct {
	Index uint64 `json:"i"`
	Hash  []byte `json:"h"`
}

// Divergence says that another node made another state of the same log than this one.
type Divergence struct {
	// Node is the other node.
	Node string
	// Index is the earliest index known at which the two differ, Agreed the latest before it at which they were
	// the same; 0 when none is known.
	Index, Agreed uint64
	// Mine and Theirs are the hashes at Index.
	Mine, Theirs []byte
	// Wrong is which of the two differs from most voters; empty when nobody can say.
	Wrong string
	// Since is when this node found it.
	Since time.Time
}

// String tells it to people.
func (d Divergence) String() string {
	text := fmt.Sprintf("made another state of the log than node %s: at index %d it has %s, the other %s", d.Node, d.Index, short(d.Mine), short(d.Theirs))
	if d.Agreed > 0 {
		text += fmt.Sprintf("; at index %d they were the same", d.Agreed)
	}
	if d.Wrong != "" {
		text += "; most nodes differ from " + d.Wrong
	}
	return text
}

// short is as much of a hash as tells it from another.
func short(hash []byte) string { return hex.EncodeToString(hash[:min(len(hash), 6)]) }

// divergedError says that this node's state is wrong.
type divergedError struct{ index uint64 }

func (e *divergedError) Error() string {
	return fmt.Sprintf("this node's state is not what most nodes made of the log up to index %d: restart it, which makes its state anew; "+
		"if that does not help, its snapshots are wrong too: remove it and let it join with an empty data directory", e.index)
}

// stateBook is what this node knows of other nodes' states. What was found stays until a later comparison
// says otherwise: a node that is out of reach has not become right by that.
type stateBook struct {
	mu       sync.Mutex
	found    map[string]Divergence
	diverged error    // this node differs from most voters
	most     []string // the voters that agree, when that was judged
}

// judgement returns who is right, and why this node's state is wrong, or nil.
func (b *stateBook) judgement() (most []string, diverged error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.most, b.diverged
}

// settle notes the outcome of a comparison of this node with members, and returns what is new and what is over.
// Outside states of which nothing could be compared everything stays.
func (b *stateBook) settle(me string, members []string, compared map[string]*Divergence, v ruling, now time.Time) (begun, over []Divergence) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.found == nil {
		b.found = make(map[string]Divergence)
	}
	for _, id := range slices.Sorted(maps.Keys(b.found)) {
		if fresh, was := compared[id]; !slices.Contains(members, id) || was && fresh == nil {
			over = append(over, b.found[id])
			delete(b.found, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(compared)) {
		fresh := compared[id]
		if fresh == nil {
			continue
		}
		old, known := b.found[id]
		if known {
			fresh.Since = old.Since
			if old.Index < fresh.Index {
				// Where it began is not among what is compared any more.
				fresh.Index, fresh.Agreed, fresh.Mine, fresh.Theirs = old.Index, old.Agreed, old.Mine, old.Theirs
			}
		} else {
			fresh.Since = now
		}
		if fresh.Wrong = v.wrong(me, id); fresh.Wrong == "" {
			fresh.Wrong = old.Wrong
		}
		b.found[id] = *fresh
		if !known || old.Wrong != fresh.Wrong {
			begun = append(begun, *fresh)
		}
	}
	if v.judged {
		b.most, b.diverged = v.most, nil
		if !slices.Contains(v.most, me) && slices.Contains(v.others, me) {
			b.diverged = &divergedError{v.index}
		}
	}
	return begun, over
}

// divergences returns what was found, by the other node's id.
func (b *stateBook) divergences() []Divergence {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []Divergence
	for _, id := range slices.Sorted(maps.Keys(b.found)) {
		list = append(list, b.found[id])
	}
	return list
}

// compare compares the states of two nodes. known is false when they have no index in common; nil says
// that they are the same. Both are sorted by index.
func compare(node string, mine, theirs []Checkpoint) (d *Divergence, known bool) {
	at := make(map[uint64][]byte, len(theirs))
	for _, c := range theirs {
		at[c.Index] = c.Hash
	}
	for _, c := range slices.Backward(mine) {
		other, both := at[c.Index]
		switch {
		case !both:
		case bytes.Equal(c.Hash, other):
			if d != nil {
				d.Agreed = c.Index
			}
			// Every hash covers what came before: from here back they are the same.
			return d, true
		default:
			d, known = &Divergence{Node: node, Index: c.Index, Mine: c.Hash, Theirs: other}, true
		}
	}
	return d, known
}

// ruling is which nodes have the state that most voters have.
type ruling struct {
	judged bool
	index  uint64
	most   []string // those that have it
	others []string // those that have another
}

// judge finds the newest of my checkpoints at which most voters have the same hash. Without one nobody can be
// said to be wrong. Answers are those of all members that gave one, me included.
func judge(mine []Checkpoint, answers map[string][]Checkpoint, voters []string) ruling {
	for _, c := range slices.Backward(mine) {
		have := make(map[string][]string) // nodes by hash
		votes := make(map[string]int)
		for _, id := range slices.Sorted(maps.Keys(answers)) {
			for _, theirs := range answers[id] {
				if theirs.Index != c.Index {
					continue
				}
				have[string(theirs.Hash)] = append(have[string(theirs.Hash)], id)
				if slices.Contains(voters, id) {
					votes[string(theirs.Hash)]++
				}
			}
		}
		for hash, count := range votes {
			if count <= len(voters)/2 {
				continue
			}
			v := ruling{judged: true, index: c.Index, most: have[hash]}
			for other, nodes := range have {
				if other != hash {
					v.others = append(v.others, nodes...)
				}
			}
			slices.Sort(v.others)
			return v
		}
	}
	return ruling{}
}

// wrong returns which one of two nodes differs from most voters; empty when nobody can say, or both do.
func (v ruling) wrong(me, other string) string {
	mine, theirs := slices.Contains(v.others, me), slices.Contains(v.others, other)
	switch {
	case mine && slices.Contains(v.most, other):
		return me
	case theirs && slices.Contains(v.most, me):
		return other
	}
	return ""
}
