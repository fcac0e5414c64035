package crashtest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSeedsReplay plays seeds twice: the same happens at the same instants, with the same ids and names.
// A failing seed could not be looked into otherwise.
func TestSeedsReplay(t *testing.T) {
	t.Parallel()
	kit := newKit(t)
	for n := range uint64(*replays) {
		seed := *seedFrom + n
		first, again := kit.playSeed(t, seed), kit.playSeed(t, seed)
		if diff := cmp.Diff(first.told(), again.told()); diff != "" {
			t.Fatalf("seed %d happened in two ways (-first +again):\n%s", seed, diff)
		}
	}
}

// told returns the trace of a world and what it left behind.
func (w *world) told() []string {
	told := w.trace
	for _, l := range w.left {
		told = append(told, fmt.Sprintf("%s %s %s %s until %s, version %d", w.name(l.ID), l.ID, l.Username, l.State, l.ExpiresAt, l.Version))
	}
	return told
}
