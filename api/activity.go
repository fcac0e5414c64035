package api

import (
	"context"
	"maps"
	"sync"
	"time"

	"broker/api/types"
	"broker/fsm"
)

// How activity is counted.
const (
	activityMinutes = 60
	activityPage    = 5000            // events that one reading of the state looks at
	activityEntries = 200_000         // of the log, which are looked at when nothing was counted before
	activityAge     = 3 * time.Second // for which an answer is good for others, too
)

// activity counts what happened with leases, minute by minute, from the history that this node has. It goes on where it
// stopped, so that looking often costs little.
type activity struct {
	state State

	mu    sync.Mutex
	upTo  fsm.EventPosition // where the history that is counted ends
	since time.Time         // and begins
	past  map[time.Time]types.PastMinute
	told  types.Activity
}

func (s *Server) getActivity(_ context.Context, _ *call, _ *ClusterGet) (*body[types.Activity], error) {
	out, err := s.activity.at(s.config.Now())
	return &body[types.Activity]{out}, err
}

// at returns the activity around an instant.
func (a *activity) at(now time.Time) (types.Activity, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if age := now.Sub(a.told.At); age >= 0 && age < activityAge {
		return a.told, nil
	}
	now = now.UTC()
	minute := now.Truncate(time.Minute)
	first := minute.Add(-(activityMinutes - 1) * time.Minute)
	for end := false; !end; {
		if err := a.state.View(func(view View) error { end = a.read(view, first); return nil }); err != nil {
			return types.Activity{}, err
		}
	}
	maps.DeleteFunc(a.past, func(at time.Time, _ types.PastMinute) bool { return at.Before(first) })

	out := types.Activity{At: now, Since: first}
	if a.since.After(first) {
		out.Since = a.since
	}
	for i := range activityMinutes {
		at := first.Add(time.Duration(i) * time.Minute)
		one := a.past[at]
		one.At = at
		out.Past = append(out.Past, one)
	}
	err := a.state.View(func(view View) error {
		for i, n := range view.Ends(fsm.At(now), time.Minute, activityMinutes) {
			out.Ahead = append(out.Ahead, types.AheadMinute{At: now.Add(time.Duration(i) * time.Minute), Ending: n})
		}
		return nil
	})
	if err == nil {
		a.told = out
	}
	return out, err
}

// read counts a page of history, which begins no earlier than the first minute that is wanted. It reports whether that was all.
func (a *activity) read(view View, first time.Time) (end bool) {
	from, newest := view.EventsSince(fsm.At(first)), view.Meta().Index
	if !from.Before(a.upTo) { // nothing of the hour was counted
		a.past, a.since = map[time.Time]types.PastMinute{}, first
	} else {
		from = a.upTo
	}
	if from.Index+activityEntries < newest {
		from = fsm.AfterEntry(newest - activityEntries)
		a.past, a.since = map[time.Time]types.PastMinute{}, first
		if oldest, _, _ := view.EventsFrom(fsm.EventPage{From: from, Limit: 1}, fsm.EventFilter{}); len(oldest) > 0 {
			a.since = oldest[0].At.Time()
		}
	}
	list, next, end := view.EventsFrom(fsm.EventPage{From: from, Limit: activityPage, Scan: activityPage}, fsm.EventFilter{Types: []string{
		string(fsm.EventLeaseIssued), string(fsm.EventLeaseRevoked), string(fsm.EventLeaseExpired), string(fsm.EventLeaseForgotten),
	}})
	a.upTo = next
	for _, e := range list {
		at := e.At.Time().UTC().Truncate(time.Minute)
		one := a.past[at]
		if e.Type == fsm.EventLeaseIssued {
			one.Issued++
		} else {
			one.Ended++
		}
		if e.Type == fsm.EventLeaseExpired {
			if l, ok := view.Lease(e.Lease); ok {
				one.WorstLatenessMS = max(one.WorstLatenessMS, l.EndedAt.Sub(l.ExpiresAt).Milliseconds())
			}
		}
		a.past[at] = one
	}
	return end
}
