package crashtest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

var (
	everyPair = flag.Int("crashtest.pairs", 100, "play one out of so many pairs of faults; 1: all")
	seeds     = flag.Int("crashtest.seeds", 40, "how many random worlds to play")
	seedFrom  = flag.Uint64("crashtest.from", 1, "the first seed")
)

// kit plays worlds one after the other and counts what they reached.
type kit struct {
	dir     string
	played  int
	reached map[string]int
	bugs    bugs
	broken  []string // what was found, when breaking is what is wanted
	wanted  bool
}

func newKit(t *testing.T) *kit { return &kit{dir: t.TempDir(), reached: map[string]int{}} }

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
	t.Fatalf("with the faults %v:\n%s\nbroken: %s", plan, strings.Join(w.trace, "\n"), strings.Join(w.check.violations, "\nbroken: "))
	return w
}
