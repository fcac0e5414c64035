package crashtest

import (
	"maps"
	"slices"
	"testing"
)

// Each of these is a crash, a loss of leadership, and a process that is paused and comes back.
var (
	before = []string{"crash", "deposed", "paused"}
	after  = []string{"committed, crash", "committed, deposed", "committed, paused"}
	doubt  = []string{"lost, unknown", "committed, unknown", "not committed"}
)

// row is one row of the protocol's crash table: the points that it is about and what happens there.
type row struct {
	name   string
	points []string
	faults []string
}

// crashTable is what the tests of one lease must have been through.
var crashTable = []row{
	{"before Prepare", points("propose prepare"), before},
	{"Prepare's outcome is unknown, the leader stays", points("propose prepare"), doubt},
	{"Prepare's outcome is unknown, the leader changes", points("propose prepare"), after},
	{"prepared, create not sent", points("send create"), before},
	{"create sent, no answer", points("send create"), []string{"call lost", "unreachable", "down for long", "delayed"}},
	{"create executes late", points("send create"), []string{"late", "late, crash", "late, deposed", "left open", "left open, crash"}},
	{"create half done", points("send create"), []string{"half done"}},
	{"create refused", points("send create"), []string{"refused"}},
	{"created, Activate not proposed", points("answer create", "propose activate"), before},
	{"created, its answer lost", points("answer create"), []string{"answer lost"}},
	{"Activate's outcome is unknown", points("propose activate"), slices.Concat(doubt, after)},
	{"activated, answer lost", points("reply issue"), append(slices.Clone(before), "answer lost")},
	{"the client retries elsewhere meanwhile", points("ask issue"), []string{"asked twice"}},
	{"the secret is disabled meanwhile", points("propose prepare", "propose activate", "propose renew", "propose finish revoke"), []string{"secret disabled meanwhile"}},
	{"the lease ends while pending", points("send create", "answer create", "propose activate"), []string{"revoked meanwhile", "clock jumps ahead"}},
	{"a failed create is not recorded", points("propose begin revoke"), slices.Concat(before, doubt, after)},
	{"roll-back begins or not", points("propose roll back"), slices.Concat(before, doubt, after)},
	{"removed, absence not confirmed", points("send confirm_absent", "answer confirm_absent"), before},
	{"absence cannot be confirmed", points("send confirm_absent"), []string{"refused", "unreachable", "call lost", "late", "down for long"}},
	{"renewed outside, commit missing", points("answer renew", "propose renew"), before},
	{"renewed outside, commit unknown", points("propose renew"), slices.Concat(doubt, after)},
	{"a renewal overtaken by a later one", points("send renew"), []string{"late", "arrives twice", "delayed"}},
	{"two renewals at once", points("ask renew"), []string{"asked twice"}},
	{"renewal races expiry", points("send renew", "answer renew", "propose renew"), []string{"clock jumps ahead", "delayed", "paused"}},
	{"renewal races revoke", points("send renew", "answer renew", "propose renew"), []string{"revoked meanwhile"}},
	{"revoke not begun", points("propose begin revoke", "propose expire"), slices.Concat(before, doubt)},
	{"revoke begun, not called", points("send revoke"), before},
	{"revoke begun, its leader gone", points("propose begin revoke", "propose expire"), after},
	{"revoke half done", points("send revoke"), []string{"half done"}},
	{"revoke done, its answer lost", points("answer revoke"), append(slices.Clone(before), "answer lost")},
	{"revoke done, Finish missing", points("propose finish revoke"), slices.Concat(before, doubt, after)},
	{"batch partly done", points("send revoke of many"), []string{"half done", "call lost", "late", "crash", "deposed", "paused"}},
	{"trouble not recorded", points("propose record trouble"), slices.Concat(before, doubt)},
	{"the outside system is down for long", points("send create", "send renew", "send revoke", "send revoke of many"), []string{"down for long"}},
	{"mass expiry", points("answer revoke of many"), []string{"goes on", "answer lost", "crash"}},
	{"clock jumps", points("propose prepare", "propose activate", "propose renew", "propose expire", "propose finish revoke"), []string{"clock jumps ahead", "clock jumps back"}},
}

func points(names ...string) []string { return names }

// A deposed leader's clock goes on, and so do its calls.
var zombies = []string{
	"a deposed leader proposes activate", "a deposed leader proposes renew", "a deposed leader proposes expire",
	"a deposed leader proposes roll back", "a deposed leader proposes finish revoke", "a deposed leader proposes begin revoke",
}

// checkTable demands that every row of the crash table was reached.
func checkTable(t *testing.T, reached map[string]int) {
	n := 0
	for _, r := range crashTable {
		for _, p := range r.points {
			for _, f := range r.faults {
				if n++; reached[p+": "+f] == 0 {
					t.Errorf("%s: never reached %q with %q", r.name, p, f)
				}
			}
		}
	}
	for _, z := range zombies {
		if n++; reached[z] == 0 {
			t.Errorf("never reached: %s", z)
		}
	}
	t.Logf("%d rows of the crash table, %d crash points of theirs; %d points with what happened there in all", len(crashTable)+1, n, len(reached))
	for _, name := range slices.Sorted(maps.Keys(reached)) {
		t.Logf("%6d  %s", reached[name], name)
	}
}
