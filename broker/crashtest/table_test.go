package crashtest

import (
	"maps"
	"slices"
	"strings"
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
	{"the secret is changed meanwhile", points("propose prepare", "propose activate", "propose renew", "propose finish revoke"), []string{"secret changed meanwhile"}},
	{"the connection is changed meanwhile", points("propose prepare", "propose activate", "propose renew", "propose begin revoke", "propose expire", "propose finish revoke"), []string{"connection moved meanwhile", "connection replaced meanwhile"}},
	{"the account is disabled meanwhile", slices.Concat(underWay, later), []string{"account disabled meanwhile"}},
	{"the account is disabled while a lease is made, and its leader goes", underWay, leaderGoes("account disabled meanwhile")},
	{"the account is deleted meanwhile, with its leases", slices.Concat(underWay, later), []string{"account deleted meanwhile"}},
	{"the account is deleted while a lease is made, and its leader goes", underWay, leaderGoes("account deleted meanwhile")},
	{"the secret is deleted meanwhile, with its leases", slices.Concat(underWay, later), []string{"secret deleted meanwhile"}},
	{"the secret is deleted while a lease is made, and its leader goes", underWay, leaderGoes("secret deleted meanwhile")},
	{"the connection is deleted meanwhile, with its leases", slices.Concat(underWay, later), []string{"connection deleted meanwhile"}},
	{"the connection is deleted while a lease is made, and its leader goes", underWay, leaderGoes("connection deleted meanwhile")},
	{"leases are to be revoked for good reason, and are not begun", points("propose advance operation"), slices.Concat(before, doubt, after)},
	{"drained, not deleted", points("propose finish operation"), slices.Concat(before, doubt, after)},
	{"a deposed leader learns of the log what became of it", points("propose prepare", "send create", "answer create", "propose activate", "answer renew", "propose renew", "propose finish revoke"), []string{"catches up", "gets a snapshot"}},
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
	{"names are left out of an answer", points("send renew", "send revoke", "send revoke of many", "send confirm_absent", "send confirm_absent of many"), []string{"left out", "done, left out"}},
	{"what was on its way arrives late", points("arrive create", "arrive commit of create", "arrive renew", "arrive revoke", "arrive confirm_absent", "arrive renew again", "arrive revoke again", "arrive confirm_absent again"), []string{"goes on"}},
	{"trouble not recorded", points("propose record trouble"), slices.Concat(before, doubt)},
	{"sweep races everything", points("send list", "answer list"), before},
	{"listed, and judged late or never", points("propose record sweep"), slices.Concat(before, doubt, after)},
	{"a listing leaves out names", points("send list"), []string{"left out", "half done", "refused", "call lost", "down for long"}},
	{"an orphan is adopted or not", points("propose adopt orphans"), slices.Concat(before, doubt, after)},
	{"a probe of what is down", points("send check", "answer check"), before},
	{"the outside system is down for long", points("send create", "send renew", "send revoke", "send revoke of many"), []string{"down for long"}},
	{"mass expiry", points("answer revoke of many"), []string{"goes on", "answer lost", "crash"}},
	{"clock jumps", points("propose prepare", "propose activate", "propose renew", "propose expire", "propose finish revoke"), []string{"clock jumps ahead", "clock jumps back"}},
}

func points(names ...string) []string { return names }

var (
	underWay = points("propose prepare", "send create", "answer create", "propose activate")
	later    = points("propose renew", "propose begin revoke", "propose expire", "propose finish revoke")
)

// leaderGoes is a fault with a crash, a loss of leadership and a pause right after it.
func leaderGoes(fault string) []string {
	return []string{fault + ", crash", fault + ", deposed", fault + ", paused"}
}

// A deposed leader's clock goes on, and so do its calls.
var zombies = []string{
	"a deposed leader proposes prepare", "a deposed leader proposes activate", "a deposed leader proposes renew", "a deposed leader proposes expire",
	"a deposed leader proposes roll back", "a deposed leader proposes finish revoke", "a deposed leader proposes begin revoke",
	"a deposed leader proposes record trouble", "a deposed leader proposes advance operation", "a deposed leader proposes finish operation",
}

// everyPoint is where things can happen in the life of one lease or of three that end together.
var everyPoint = slices.Concat(
	points("propose advance operation", "propose finish operation"),
	points("propose record sweep", "propose adopt orphans", "send list", "answer list", "send check", "answer check"),
	points("ask issue", "ask renew", "ask revoke", "reply issue", "reply renew", "reply revoke"),
	points("propose prepare", "propose activate", "propose renew", "propose begin revoke", "propose expire", "propose roll back", "propose finish revoke", "propose record trouble"),
	points("send create", "send renew", "send revoke", "send revoke of many", "send confirm_absent", "send confirm_absent of many"),
	points("answer create", "answer renew", "answer revoke", "answer revoke of many", "answer confirm_absent", "answer confirm_absent of many"),
)

// checkTable demands that every row of the crash table was reached, that every point was, and that at each
// point everything happened that can.
func checkTable(t *testing.T, reached map[string]int, possible map[string]bool) {
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
	faulty := map[string]int{}
	for crash := range possible {
		name, _, _ := strings.Cut(crash, ": ")
		if faulty[name]++; reached[crash] == 0 {
			t.Errorf("never reached %q, which can be", crash)
		}
	}
	for _, p := range everyPoint {
		if faulty[p] == 0 {
			t.Errorf("never reached the point %q, or nothing can happen there", p)
		}
	}
	t.Logf("%d rows of the crash table, %d crash points of theirs; %d points, %d crash points in all", len(crashTable)+1, n, len(faulty), len(possible))
	for _, name := range slices.Sorted(maps.Keys(reached)) {
		t.Logf("%6d  %s", reached[name], name)
	}
}
