package crashtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// bugs are deliberate ones at the seams of the engine: in the log below it and in the outside system.
// Those in the engine itself are mutants.
type bugs struct {
	replyBeforeCommit     bool // the log answers what would be answered, and loses the command
	noBarrier             bool // a new leader begins before it has applied what was committed
	renewByUpsert         bool // the outside system makes a login that is to be renewed and is not there
	dropIfExistsIsAbsence bool // absence is believed though a create is open
	noDeadline            bool // the outside system carries a create out however late it comes
}

// TestBugsAtTheSeams proves that the checker sees what a log or an outside system that breaks its
// contract does to the promises.
func TestBugsAtTheSeams(t *testing.T) {
	for _, c := range []struct {
		name   string
		bugs   bugs
		breaks []string
	}{
		{"a reply before the commit", bugs{replyBeforeCommit: true}, []string{"A4", "A5", "A7"}},
		{"no barrier", bugs{noBarrier: true}, []string{"A5"}},
		{"renewing by upsert", bugs{renewByUpsert: true}, []string{"A1"}},
		{"DROP IF EXISTS counts as absence", bugs{dropIfExistsIsAbsence: true}, []string{"A1"}},
		{"creates without a deadline", bugs{noDeadline: true}, []string{"A1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			kit := newKit(t)
			kit.bugs, kit.wanted = c.bugs, true
			caught := func() bool {
				return slices.ContainsFunc(kit.broken, func(violation string) bool {
					return slices.ContainsFunc(c.breaks, func(promise string) bool { return strings.HasPrefix(violation, promise+":") })
				})
			}
			for _, s := range scripts {
				for i, m := range kit.exactly(t, s, nil).met {
					for _, f := range m.can {
						if kit.exactly(t, s, map[int]string{i: f.name}); caught() {
							return
						}
					}
				}
			}
			for seed := range uint64(100) {
				if kit.playSeed(t, seed); caught() {
					return
				}
			}
			t.Errorf("not caught in %d worlds; found instead: %s", kit.played, fmt.Sprint(kit.broken))
		})
	}
}
