package fsm

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
)

func census(t *testing.T, s *State, now Instant) (c Census) {
	t.Helper()
	mustView(t, s, func(v *View) { c = v.Census(now) })
	return c
}

// A census counts what is there: each word once, and what ended not at all.
func TestCensus(t *testing.T) {
	p := mustPlay(t)
	want := Census{
		Clock: epoch.Add(3 * time.Second), Leases: map[LeaseState]uint64{Pending: 0, Active: 0, Revoking: 0},
		Connections: []ConnectionCensus{{Name: "orders-db", Provider: "postgres"}},
	}
	if d := cmp.Diff(want, census(t, p.state, epoch)); d != "" {
		t.Errorf("without leases (-want +got):\n%s", d)
	}
	for i := range 6 {
		p.play(fmt.Sprintf(`> 10s prepare_lease {"ID":"L%d",%s,"Username":"u%d","Name":"a","TTL":"~%ds"}`, i, prepare, i, 100+i), false)
		if i > 0 { // the first one stays pending
			p.play(fmt.Sprintf(`> 11s activate_lease {"ID":"L%d"}`, i), false)
		}
	}
	p.play(`
> 12s begin_revoke {"ID":"L3","Cause":"revoke"}
> 12s begin_revoke {"ID":"L4","Cause":"revoke"}
> 12s begin_revoke {"ID":"L5","Cause":"revoke"}
> 13s finish_revoke {"Removed":[{"ID":"L5"}]}
> 14s record_trouble {"Failures":[{"ID":"L3","Error":"x","NextTryAt":"@15s","Stuck":true},{"ID":"L4","Error":"x","NextTryAt":"@15s"}]}
> 15s record_sweep {"Connection":"orders-db","System":3,"BeganAt":"@15s","Unknown":[{"Username":"o1","Ours":true},{"Username":"o2"}],"Missing":["L2"]}
> 16s record_sweep {"Connection":"orders-db","System":3,"BeganAt":"@15s","Complete":true,"Listed":4,"Quarantine":"~1m"}
> 17s pause_connection {"Name":"orders-db","UntilAt":"@1h","Reason":"x"}`, false)
	want = Census{
		Clock: epoch.Add(17 * time.Second), Leases: map[LeaseState]uint64{Pending: 1, Active: 2, Revoking: 2},
		Overdue: 2, Stuck: 1, FirstDueAt: epoch.Add(20 * time.Second),
		Connections: []ConnectionCensus{{
			Name: "orders-db", Provider: "postgres", Live: 5, Paused: true, Orphans: 2, Missing: 1, SweptAt: epoch.Add(16 * time.Second),
		}},
	}
	// The pending one is past its create deadline, L1 past its end.
	if d := cmp.Diff(want, census(t, p.state, epoch.Add(111*time.Second))); d != "" {
		t.Errorf("with leases (-want +got):\n%s", d)
	}
	p.play("> 18s finish_revoke {\"Removed\":[{\"ID\":\"L3\"}]}", false)
	if got := census(t, p.state, epoch); got.Stuck != 0 || got.Overdue != 0 {
		t.Errorf("after the stuck one ended: %+v", got)
	}
}

// A state file of an earlier version, which did not file stuck leases, is brought up to date.
func TestCensusOfAnEarlierVersion(t *testing.T) {
	p := mustPlay(t,
		`> 10s prepare_lease {"ID":"L1",`+prepare+`,"Username":"u1","Name":"a","TTL":"~100s"}`,
		`> 11s activate_lease {"ID":"L1"}`, `> 12s begin_revoke {"ID":"L1","Cause":"revoke"}`,
		`> 14s record_trouble {"Failures":[{"ID":"L1","Error":"x","NextTryAt":"@15s","Stuck":true}]}`)
	mustView(t, p.state, func(*View) {}) // commits what was applied
	if err := p.state.db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(bucketStuck)) }); err != nil {
		t.Fatal(err)
	}
	copied := mustRestore(t, p.state)
	if got := census(t, copied, epoch).Stuck; got != 1 {
		t.Errorf("%d stuck leases, want 1", got)
	}
}

// BenchmarkCensus is what a scrape costs the state: beside many leases, and when very many are overdue.
func BenchmarkCensus(b *testing.B) {
	for _, live := range []int{1_000, 1_000_000} {
		s := benchState(b, live)
		for name, now := range map[string]Instant{"none overdue": epoch, "all overdue": epoch.Add(24 * time.Hour)} {
			b.Run(fmt.Sprintf("live=%d/%s", live, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := s.View(func(v *View) error { v.Census(now); return nil }); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// Ends are those of active leases: not what is pending, ended, due before or due after.
func TestEnds(t *testing.T) {
	p := mustPlay(t)
	for i, ttl := range []string{"59s", "1m", "1m", "119s", "2m", "1h", "1m", "1m"} {
		p.play(fmt.Sprintf(`> 10s prepare_lease {"ID":"L%d",%s,"Username":"u%d","Name":"a","TTL":"~%s"}`, i, prepare, i, ttl), false)
		if i != 6 { // that one stays pending
			p.play(fmt.Sprintf(`> 10s activate_lease {"ID":"L%d"}`, i), false)
		}
	}
	p.play(`> 10s begin_revoke {"ID":"L7","Cause":"revoke"}`, false)
	mustView(t, p.state, func(v *View) {
		if d := cmp.Diff([]uint64{3, 1}, v.Ends(epoch.Add(70*time.Second), time.Minute, 2)); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if d := cmp.Diff([]uint64{1, 3, 1}, v.Ends(epoch.Add(10*time.Second), time.Minute, 3)); d != "" {
			t.Errorf("with what is pending at its create deadline (-want +got):\n%s", d)
		}
	})
}
