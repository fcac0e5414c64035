package fsm

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// storied is a state with a history: configuration at 1 to 4, a lease L1 with a label and one
// without, which end in one entry with two events, and an account that changed.
func storied(t *testing.T) *player {
	t.Helper()
	return mustPlay(t,
		`> 10s prepare_lease {"ID":"L1",`+prepare+`,"Username":"u1","Name":"a","TTL":"~20s","Labels":{"team":"a"}}`,
		`> 11s activate_lease {"ID":"L1"}`,
		`> 12s prepare_lease {"ID":"L2",`+prepare+`,"Username":"u2","Name":"b","TTL":"~20s"}`,
		`> 13s activate_lease {"ID":"L2"}`,
		`> 40s expire_leases {"IDs":["L1","L2"]}`,
		`> 41s record_sweep {"Connection":"orders-db","System":3,"BeganAt":"@41s","Unknown":[{"Username":"x2"}],"Complete":true,"Listed":1}`,
		`> 42s finish_revoke {"Removed":[{"ID":"L1"},{"ID":"L2"}]}`,
		`> 43s update_account {"Name":"alice","Disabled":false}`,
	)
}

// tell names events as index.ordinal and type.
func tell(list []Event) (out []string) {
	for _, e := range list {
		out = append(out, fmt.Sprintf("%d.%d %s", e.Index, e.Ordinal, e.Type))
	}
	return out
}

func TestEventsAreChosen(t *testing.T) {
	p := storied(t)
	all := []string{
		"1.0 cluster.created", "2.0 environment.created", "3.0 connection.created", "4.0 secret.created",
		"5.0 lease.prepared", "6.0 lease.issued", "7.0 lease.prepared", "8.0 lease.issued",
		"9.0 lease.revoking", "9.1 lease.revoking", "10.0 orphan.found", "11.0 lease.expired", "11.1 lease.expired", "12.0 account.updated",
	}
	leases := slices.Concat(all[4:10], all[11:13])
	ofL1 := []string{"5.0 lease.prepared", "6.0 lease.issued", "9.0 lease.revoking", "11.0 lease.expired"}
	for name, c := range map[string]struct {
		filter EventFilter
		want   []string
	}{
		"all":                     {EventFilter{}, all},
		"a type":                  {EventFilter{Types: []string{"lease.issued"}}, []string{"6.0 lease.issued", "8.0 lease.issued"}},
		"a noun":                  {EventFilter{Types: []string{"lease"}}, leases},
		"a prefix is no noun":     {EventFilter{Types: []string{"lea"}}, nil},
		"two types":               {EventFilter{Types: []string{"cluster", "account.updated"}}, []string{all[0], all[13]}},
		"a lease":                 {EventFilter{Lease: "L1"}, ofL1},
		"a lease and a type":      {EventFilter{Lease: "L1", Types: []string{"lease.expired"}}, ofL1[3:]},
		"no such lease":           {EventFilter{Lease: "L"}, nil},
		"an actor":                {EventFilter{Actor: "alice"}, all},
		"another actor":           {EventFilter{Actor: "bob"}, nil},
		"an environment":          {EventFilter{About: LeaseSelector{Environments: []Pattern{"payments/*"}}}, slices.Concat([]string{all[1], all[3]}, leases)},
		"another environment":     {EventFilter{About: LeaseSelector{Environments: []Pattern{"billing/*"}}}, nil},
		"a secret":                {EventFilter{About: LeaseSelector{Secret: "payments/production/orders-ro"}}, slices.Concat([]string{all[3]}, leases)},
		"a connection":            {EventFilter{About: LeaseSelector{Connection: "orders-db"}}, slices.Concat(all[2:3], all[4:13])},
		"an account":              {EventFilter{About: LeaseSelector{Account: "alice"}}, slices.Concat(leases, []string{all[13]})},
		"a login":                 {EventFilter{About: LeaseSelector{Username: "u1"}}, ofL1},
		"an orphan's login":       {EventFilter{About: LeaseSelector{Username: "x2"}}, all[10:11]},
		"a label":                 {EventFilter{About: LeaseSelector{Labels: map[string]string{"team": "a"}}}, ofL1},
		"now alone chooses all":   {EventFilter{About: LeaseSelector{Now: 1}}, all},
		"a connection and a type": {EventFilter{Types: []string{"connection"}, About: LeaseSelector{Connection: "orders-db"}}, all[2:3]},
	} {
		mustView(t, p.state, func(v *View) {
			list, next, end := v.EventsFrom(EventPage{Limit: 100}, c.filter)
			if d := cmp.Diff(c.want, tell(list)); d != "" || !end || next != AfterEntry(12) {
				t.Errorf("%s: next %v, end %v (-want +got):\n%s", name, next, end, d)
			}
			// However small the pages are, nothing is left out and nothing comes twice.
			for scan := range 4 {
				var parts []Event
				for page := (EventPage{Limit: 1, Scan: scan}); ; {
					list, next, end := v.EventsFrom(page, c.filter)
					parts, page.From = append(parts, list...), next
					if end {
						break
					}
				}
				if d := cmp.Diff(c.want, tell(parts)); d != "" {
					t.Errorf("%s, in pages of which %d are looked at (-want +got):\n%s", name, scan, d)
				}
			}
			for count := range 4 {
				want := c.want[max(0, len(c.want)-count):]
				list, _, _ := v.EventsFrom(EventPage{From: v.LastEvents(count, 1000, c.filter, nil), Limit: 100}, c.filter)
				if d := cmp.Diff(slices.Clip(want), tell(list)); d != "" && len(want)+len(list) > 0 {
					t.Errorf("%s, the last %d (-want +got):\n%s", name, count, d)
				}
			}
		})
	}
}

func TestEventsOfAnEntryStayTogetherWhenAsked(t *testing.T) {
	p := storied(t)
	mustView(t, p.state, func(v *View) {
		list, next, end := v.EventsFrom(EventPage{From: AfterEntry(8), Limit: 1, Whole: true}, EventFilter{})
		if len(list) != 2 || next != (EventPosition{Index: 9, Ordinal: 2}) || end {
			t.Errorf("got %v, next %v, end %v", tell(list), next, end)
		}
		list, next, _ = v.EventsFrom(EventPage{From: AfterEntry(8), Limit: 1}, EventFilter{})
		if len(list) != 1 || next != (EventPosition{Index: 9, Ordinal: 1}) {
			t.Errorf("parted: got %v, next %v", tell(list), next)
		}
		if _, next, end := v.EventsFrom(EventPage{From: EventPosition{Index: 70}, Limit: 1}, EventFilter{}); next.Index != 70 || !end {
			t.Errorf("a position ahead of the log became %v", next)
		}
	})
}

func TestEventsSince(t *testing.T) {
	p := storied(t)
	mustView(t, p.state, func(v *View) {
		for at, want := range map[time.Duration]uint64{0: 1, time.Second: 2, 12 * time.Second: 7, 39 * time.Second: 9, 40 * time.Second: 9, time.Hour: 13} {
			if got := v.EventsSince(epoch.Add(at)); got != (EventPosition{Index: want}) {
				t.Errorf("since %s: %v, want %d", at, got, want)
			}
		}
		if got := v.EventsSince(0); got.Index != 1 {
			t.Errorf("since ever: %v", got)
		}
	})
	mustView(t, mustOpen(t), func(v *View) {
		if got := v.EventsSince(epoch); got.Index > 1 {
			t.Errorf("in an empty state: %v", got)
		}
	})
}

// History is complete behind the newest event that was pruned, also after a restart.
func TestPrunedIndexIsKept(t *testing.T) {
	p := storied(t)
	pruned := func(s *State) (index uint64) {
		mustView(t, s, func(v *View) { index = v.Meta().PrunedIndex })
		return index
	}
	if got := pruned(p.state); got != 0 {
		t.Errorf("before anything was pruned: %d", got)
	}
	p.play(`> 100s prune {"KeyTTL":"~10s","HistoryTTL":"~98s","Limit":10}`, false)
	if got := pruned(p.state); got != 2 {
		t.Errorf("the events up to 2 were pruned, it says %d", got)
	}
	p.play(`> 110s prune {"KeyTTL":"~10s","HistoryTTL":"~60s","Limit":1}`, false)
	if got := pruned(mustRestore(t, p.state)); got != 11 {
		t.Errorf("a lease with events up to 11 was pruned, it says %d", got)
	}
}
