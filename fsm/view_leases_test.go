package fsm

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// mustEnded plays leases L0000… that were revoked, and has the named ones of them stay pending, become
// active or be revoking.
func mustEnded(t *testing.T, n int, states map[int]LeaseState) *player {
	t.Helper()
	p := mustPlay(t)
	for i := range n {
		id := fmt.Sprintf("L%04d", i)
		p.play(fmt.Sprintf(`> 10s prepare_lease {"ID":%q,%s,"Username":"u-%s","Name":"a","TTL":"~1h","Labels":{"n":"%d"}}`, id, prepare, id, i%2), false)
		state := states[i]
		if state != Pending {
			p.play(fmt.Sprintf(`> 10s activate_lease {"ID":%q}`, id), false)
		}
		if state != Pending && state != Active {
			p.play(fmt.Sprintf(`> 10s begin_revoke {"ID":%q,"Cause":"revoke"}`, id), false)
		}
		if state == "" {
			p.play(fmt.Sprintf(`> 10s finish_revoke {"Removed":[{"ID":%q}]}`, id), false)
		}
	}
	return p
}

// Pages are what one would filter out of all leases, whatever the indexes, the order and wherever a page ends.
func TestPagesOfLeases(t *testing.T) {
	p := mustEnded(t, 40, map[int]LeaseState{
		3: Active, 4: Pending, 7: Active, 8: Revoking, 9: Pending, 20: Active, 21: Active, 30: Revoking, 38: Pending, 39: Active,
	})
	limits := []int{1, 2, 3, 100}
	pages := func(limit int, page func(after LeaseID) []Lease) (all []LeaseID) {
		for after := LeaseID(""); ; after = all[len(all)-1] {
			list := page(after)
			for _, l := range list {
				all = append(all, l.ID)
			}
			if len(list) < limit {
				return all
			}
		}
	}
	for name, sel := range map[string]LeaseSelector{
		"all":            {},
		"everywhere":     {Environments: []Pattern{"*"}},
		"environment":    {Environments: []Pattern{"payments/production"}},
		"elsewhere":      {Environments: []Pattern{"billing/*"}},
		"label":          {Labels: map[string]string{"n": "1"}},
		"account":        {Account: "alice"},
		"secret":         {Secret: "payments/production/orders-ro", States: []string{"active", "revoking"}},
		"a state":        {States: []string{"active"}},
		"live":           {States: []string{"pending", "active", "revoking"}},
		"live, labelled": {States: []string{"pending", "active", "revoking"}, Labels: map[string]string{"n": "1"}},
		"ended":          {States: []string{"revoked", "expired", "failed"}, Account: "alice"},
		"stuck":          {States: []string{"stuck"}},
		"forgotten":      {States: []string{"forgotten", "active"}},
		"username":       {Username: "u-L0020"},
		"nobody":         {Account: "bob"},
		"ids":            {IDs: []LeaseID{"L0039", "L0003", "L0010", "L0010", "L9999", "L0000"}},
		"ids, ended":     {IDs: []LeaseID{"L0039", "L0003", "L0010"}, States: []string{"revoked"}},
	} {
		mustView(t, p.state, func(v *View) {
			for _, order := range []LeaseOrder{OldestFirst, NewestFirst} {
				var chosen []Lease
				is := v.chosen(&sel)
				for i := range 40 {
					if order == NewestFirst {
						i = 39 - i
					}
					if l, ok := v.Lease(LeaseID(fmt.Sprintf("L%04d", i))); ok && is(&l) {
						chosen = append(chosen, l)
					}
				}
				for _, limit := range limits {
					got := pages(limit, func(after LeaseID) []Lease { return v.Leases(sel, LeasePage{After: after, Limit: limit, Order: order}) })
					if d := cmp.Diff(idsIn(chosen, nil), got); d != "" {
						t.Errorf("%s, order %d, pages of %d (-want +got):\n%s", name, order, limit, d)
					}
				}
				if order == NewestFirst {
					continue
				}
				for _, states := range [][]LeaseState{{Pending, Active}, {Active, Pending}, {Revoking}, {Revoked}, {Active, Revoked, Pending}, {}} {
					want := idsIn(chosen, states)
					for _, limit := range limits {
						got := pages(limit, func(after LeaseID) []Lease { return v.LeasesIn(states, sel, after, limit) })
						if d := cmp.Diff(want, got); d != "" {
							t.Errorf("%s in %v, pages of %d (-want +got):\n%s", name, states, limit, d)
						}
					}
					if n := v.CountLeases(sel, states); n != uint64(len(want)) {
						t.Errorf("%s in %v: counted %d, want %d", name, states, n, len(want))
					}
				}
			}
		})
	}
}

// idsIn are the ids of the leases in one of the states; nil: in any.
func idsIn(list []Lease, states []LeaseState) (ids []LeaseID) {
	for _, l := range list {
		if states == nil || slices.Contains(states, l.State) {
			ids = append(ids, l.ID)
		}
	}
	return ids
}

// Leases that ended a while ago are most of all: what looks for live ones reads none of them.
func TestEndedLeasesAreNotRead(t *testing.T) {
	p := mustEnded(t, 300, map[int]LeaseState{100: Active, 200: Pending, 299: Active})
	for name, sel := range map[string]LeaseSelector{
		"all":         {},
		"everywhere":  {Environments: []Pattern{"*"}},
		"an app":      {Environments: []Pattern{"payments/*"}},
		"environment": {Environments: []Pattern{"payments/production"}},
		"token":       {Token: "t1"},
		"account":     {Account: "alice"},
		"secret":      {Secret: "payments/production/orders-ro"},
		"label":       {Labels: map[string]string{"n": "0"}, SecretLabels: true},
	} {
		mustView(t, p.state, func(v *View) {
			v.cache = map[cacheKey]any{} // it tells what was read
			v.LeasesIn([]LeaseState{Pending, Active}, sel, "", 10)
			shown := sel
			shown.States = []string{"pending", "active", "revoking"}
			v.Leases(shown, LeasePage{Limit: 10})
			v.CountLeases(sel, []LeaseState{Pending, Active})
			read := 0
			for k := range v.cache {
				if k.bucket == leases.bucket {
					read++
				}
			}
			if read != 3 {
				t.Errorf("%s: read %d leases, want the 3 live ones", name, read)
			}
		})
	}
}

// What is withdrawn is listed with the end of its credential, from the moment its end begins, also what never became
// active; not what may be used, and not what is no longer good by its own dates.
func TestWithdrawnLeases(t *testing.T) {
	p := mustPlay(t)
	make := func(id, ttl string, fixed bool, then ...string) {
		p.play(fmt.Sprintf(`> 10s prepare_lease {"ID":%q,%s,"Username":"u-%s","Name":"a","TTL":%q,"Fixed":%v}`, id, prepare, id, ttl, fixed), false)
		for _, line := range then {
			p.play(fmt.Sprintf(line, id), false)
		}
	}
	const activate, begin, finish, forget = `> 10s activate_lease {"ID":%q}`, `> 11s begin_revoke {"ID":%q,"Cause":"revoke"}`,
		`> 11s finish_revoke {"Removed":[{"ID":%q}]}`, `> 11s forget_lease {"ID":%q,"Reason":"x"}`
	make("pending", "~1h", true)
	make("active", "~1h", true, activate)
	make("revoking", "~50m", true, activate, begin)
	make("revoked", "~40m", true, activate, begin, finish)
	make("failed", "~30m", true, `> 11s begin_revoke {"ID":%q,"Cause":"abort","NotSent":true}`)
	make("forgotten", "~20m", true, activate, begin, forget)
	make("short", "~1m", true, activate, begin, finish)
	make("renewable", "~1h", false, activate, begin, finish)
	mustView(t, p.state, func(v *View) {
		for after, want := range map[Instant][]LeaseID{
			epoch.Add(10 * time.Minute):                {"forgotten", "failed", "revoked", "revoking"},
			epoch.Add(40*time.Minute + 30*time.Second): {"revoking"},
			epoch.Add(2 * time.Hour):                   nil,
		} {
			var got []LeaseID
			for _, l := range v.WithdrawnLeases("orders-db", after) {
				got = append(got, l.ID)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("after %s (-want +got):\n%s", after, d)
			}
		}
		if got := v.WithdrawnLeases("orders", 0); got != nil {
			t.Errorf("of another connection: %v", got)
		}
	})
}
