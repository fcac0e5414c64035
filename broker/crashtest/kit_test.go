package crashtest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
)

var (
	everyPair = flag.Int("crashtest.pairs", modest(400, 6000), "play one out of so many pairs of faults; 1: all")
	seeds     = flag.Int("crashtest.seeds", modest(300, 15), "how many random worlds to play")
	replays   = flag.Int("crashtest.replays", modest(20, 2), "how many random worlds to play twice")
	seedFrom  = flag.Uint64("crashtest.from", 1, "the first seed")
)

// TestMain has the garbage collected seldom: worlds are small and many.
func TestMain(m *testing.M) {
	debug.SetGCPercent(800)
	os.Exit(m.Run())
}

// modest chooses how much is played when nothing else is said: the race detector takes ten times as long.
func modest(usual, withRace int) int {
	if raceDetector {
		return withRace
	}
	return usual
}

// kit plays worlds one after the other and counts what they reached.
type kit struct {
	dir     string
	played  int
	reached map[string]int

	possible map[string]bool           // crash points that runs could have been through
	open     map[string]map[int]string // the first plan that could have led to each

	bugs   bugs
	broken []string // what was found, when breaking is what is wanted
	wanted bool
}

func newKit(t *testing.T) *kit {
	return &kit{dir: t.TempDir(), reached: map[string]int{}, possible: map[string]bool{}, open: map[string]map[int]string{}}
}

// play runs one world to its end.
func (k *kit) play(t *testing.T, plan planner, enter func(w *world)) (w *world) {
	t.Helper()
	k.played++
	dir := filepath.Join(k.dir, fmt.Sprint(k.played))
	synctest.Test(t, func(*testing.T) {
		w = newWorld(dir, 3, plan)
		w.bugs = k.bugs
		enter(w)
		w.run()
		w.stop()
		w.left = leases(w.truth)
		w.close()
	})
	must(os.RemoveAll(dir))
	for name, n := range w.reached {
		k.reached[name] += n
	}
	if !w.check.broken() {
		return w
	}
	if k.wanted {
		k.broken = append(k.broken, w.check.violations...)
		return w
	}
	t.Fatalf("%s\nbroken: %s\nwith the faults %v", strings.Join(w.trace, "\n"), strings.Join(w.check.violations, "\nbroken: "), plan)
	return w
}
