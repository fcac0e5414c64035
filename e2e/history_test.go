package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"broker/api/client"
	"broker/api/types"
)

// verb is what a client asked for.
type verb string

const (
	issuing  verb = "issue"
	renewing verb = "renew"
	revoking verb = "revoke"
	reading  verb = "read"
)

// outcome is what a client knows of its request.
type outcome string

const (
	wasDone    outcome = "done"
	wasRefused outcome = "refused" // certainly not now; an earlier try of the same request may have taken effect
	wasUnknown outcome = "unknown" // it may take effect at any later time
)

// deed is one request of a client and what came of it.
type deed struct {
	verb      verb
	mode      types.Consistency // of a read
	client    string
	node      int
	key       string // of an issue
	lease     string
	until     time.Time     // of a renewal
	call, ret time.Duration // since the history began
	outcome   outcome
	code      string // of the problem, if there was one
	seen      types.Lease
	values    string
}

func (d deed) String() string {
	what := []string{fmt.Sprintf("%s at node %d: %s", d.client, d.node+1, d.verb)}
	if d.mode != "" {
		what = append(what, string(d.mode))
	}
	what = append(what, d.key, d.lease)
	if !d.until.IsZero() {
		what = append(what, "until "+d.until.Format(clockLayout))
	}
	what = append(what, fmt.Sprintf("from %s to %s: %s %s", short(d.call), short(d.ret), d.outcome, d.code))
	if d.outcome == wasDone {
		what = append(what, fmt.Sprintf("%s %s until %s, version %d", d.seen.State, d.seen.Cause, d.seen.ExpiresAt.Format(clockLayout), d.seen.Version))
	}
	return strings.Join(slices.DeleteFunc(what, func(s string) bool { return s == "" }), " ")
}

// short is a length of time as people like to read it.
func short(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

const clockLayout = "15:04:05.000"

// history is everything that clients did and saw.
type history struct {
	began time.Time

	mu    sync.Mutex
	deeds []deed
}

func (h *history) now() time.Duration { return time.Since(h.began) }

// record completes a deed with how its call ended.
func (h *history) record(d deed, err error) deed {
	d.ret = h.now()
	d.code = client.Code(err)
	var problem *types.Problem
	switch {
	case err == nil:
		d.outcome = wasDone
	case errors.As(err, &problem) && problem.Status >= 400 && problem.Status < 500:
		d.outcome = wasRefused
	default:
		d.outcome = wasUnknown
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deeds = append(h.deeds, d)
	return d
}

func (h *history) list() []deed {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.deeds)
}

// count returns how many deeds of a kind had an outcome.
func (h *history) count(v verb, o outcome) (n int) {
	for _, d := range h.list() {
		if d.verb == v && d.outcome == o {
			n++
		}
	}
	return n
}

// checkLeases has porcupine judge each lease's history as that of one register.
func (h *history) checkLeases(t *testing.T) {
	t.Helper()
	deeds := h.list()
	moves := h.moves(deeds)
	for lease, ops := range moves {
		if result := porcupine.CheckOperationsTimeout(leaseModel(), ops, 20*time.Second); result != porcupine.Ok {
			t.Errorf("lease %s is no register: %s\n%s", lease, result, tell(deeds, func(d deed) bool {
				return d.lease == lease && (d.mode == "" || d.mode == types.Linearizable)
			}))
		}
	}
	t.Logf("%d leases were registers", len(moves))
}

// checkKeys has porcupine judge which credential each idempotency key gave, and that no two keys gave the same.
func (h *history) checkKeys(t *testing.T) {
	t.Helper()
	model := porcupine.Model{
		Init: func() any { return "" },
		Step: func(s, credential, _ any) (bool, any) { return s == "" || s == credential, credential },
	}
	deeds := h.list()
	byKey, owner := map[string][]porcupine.Operation{}, map[string]string{}
	for _, d := range deeds {
		if d.verb != issuing || d.outcome != wasDone {
			continue
		}
		byKey[d.key] = append(byKey[d.key], porcupine.Operation{ClientId: len(byKey[d.key]), Input: d.lease + d.values, Call: int64(d.call), Return: int64(d.ret)})
		for _, one := range []string{d.lease, d.values} {
			if other, given := owner[one]; given && other != d.key {
				t.Errorf("a lease was given to two requests:\n%s", tell(deeds, func(d deed) bool { return d.key == other || d.lease == one }))
			}
			owner[one] = d.key
		}
	}
	repeated := 0
	for key, ops := range byKey {
		if len(ops) > 1 {
			repeated++
		}
		if !porcupine.CheckOperations(model, ops) {
			t.Errorf("one key gave two credentials:\n%s", tell(deeds, func(d deed) bool { return d.key == key }))
		}
	}
	t.Logf("%d keys gave a credential, %d of them more than once", len(byKey), repeated)
}

// checkSessions holds that no client that reads in a session sees a lease go back, also behind its own changes.
func (h *history) checkSessions(t *testing.T) {
	t.Helper()
	deeds := h.list()
	newest := map[string]deed{}
	reads := 0
	for _, d := range deeds { // in the order in which they ended, which is a client's own
		if d.verb == issuing || d.verb == reading && d.mode != types.Session || d.lease == "" {
			continue
		}
		at := d.client + " " + d.lease
		before, known := newest[at]
		switch {
		case d.outcome == wasRefused && d.code == "not_found" && known:
			t.Errorf("a session lost a lease: %s\nafter %s", d, before)
		case d.outcome != wasDone:
			continue
		case d.seen.Version < before.seen.Version:
			t.Errorf("a session went back: %s\nafter %s", d, before)
		}
		if d.verb == reading {
			reads++
		}
		newest[at] = d
	}
	t.Logf("%d session reads went forward", reads)
}

// checkSightings holds that all who saw a version of a lease, however they read, saw the same.
func (h *history) checkSightings(t *testing.T) {
	t.Helper()
	type version struct {
		lease  string
		number uint64
	}
	first := map[version]deed{}
	for _, d := range h.list() {
		if d.outcome != wasDone {
			continue
		}
		v := version{d.lease, d.seen.Version}
		other, known := first[v]
		a, b := standingOf(d.seen), standingOf(other.seen)
		if known && (a.rank != b.rank || a.cause != b.cause || !a.end.Equal(b.end)) {
			t.Errorf("one version of a lease was two things: %s\nand %s", d, other)
		}
		first[v] = d
	}
}

// checkRefusals holds that nothing was refused that nobody expected.
func (h *history) checkRefusals(t *testing.T) {
	t.Helper()
	expected := map[verb][]string{
		issuing:  {"lease_ended"},
		renewing: {"lease_not_active", "lease_changed"},
		reading:  {"not_found"}, // what a node has not applied yet; linearizable reads are judged below
	}
	tally := map[string]int{}
	for _, d := range h.list() {
		tally[strings.TrimSpace(fmt.Sprintf("%s %s %s", d.verb, d.outcome, d.code))]++
		if d.outcome == wasRefused && (!slices.Contains(expected[d.verb], d.code) || d.mode == types.Linearizable) {
			t.Errorf("refused: %s", d)
		}
	}
	t.Logf("what became of requests: %v", tally)
}

// silent holds that a node which was cut off from a quorum confirmed nothing that began and ended meanwhile.
func (h *history) silent(t *testing.T, node int, from, to time.Duration) {
	t.Helper()
	var said []deed
	for _, d := range h.list() {
		fresh := d.verb != reading || d.mode == types.Linearizable
		if fresh && d.node == node && d.outcome == wasDone && d.call > from && d.ret < to {
			said = append(said, d)
		}
	}
	if len(said) > 0 {
		t.Errorf("a node that was cut off from %s to %s confirmed %d requests, at first\n%s", short(from), short(to), len(said), tell(said[:min(len(said), 5)], func(deed) bool { return true }))
	}
}

// unavailable returns the longest time in which clients of the given nodes had no lease issued.
func (h *history) unavailable(nodes []int, from, to time.Duration) (longest time.Duration) {
	last := from
	for _, d := range h.list() {
		if d.verb != issuing || d.outcome != wasDone || !slices.Contains(nodes, d.node) || d.ret < from || d.ret > to {
			continue
		}
		longest, last = max(longest, d.ret-last), d.ret
	}
	return max(longest, to-last)
}

// tell lists deeds, one on a line.
func tell(deeds []deed, which func(deed) bool) string {
	var lines []string
	for _, d := range deeds {
		if which(d) {
			lines = append(lines, "  "+d.String())
		}
	}
	return strings.Join(lines, "\n")
}
