package wheel_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"broker/broker/wheel"
)

const tick = 100 * time.Millisecond

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// The wheel must behave like a plain map of instants that is searched at every step.
func TestWheelMatchesMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := wheel.New[int](tick, start)
		model := map[int]due{}
		now := start
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			key := rapid.IntRange(0, 20).Draw(t, "key")
			switch rapid.SampledFrom([]string{"schedule", "schedule", "cancel", "advance", "jump"}).Draw(t, "op") {
			case "schedule":
				at := now.Add(time.Duration(rapid.Int64Range(-1000, 3_000_000_000).Draw(t, "in")) * time.Millisecond)
				if rapid.Bool().Draw(t, "near") {
					at = now.Add(time.Duration(rapid.Int64Range(0, 60_000).Draw(t, "near in")) * time.Millisecond)
				}
				w.Schedule(key, at)
				model[key] = due{at: at, since: now}
			case "cancel":
				w.Cancel(key)
				delete(model, key)
			case "advance":
				now = now.Add(time.Duration(rapid.Int64Range(0, 5_000).Draw(t, "by")) * time.Millisecond)
				advance(t, w, model, now)
			case "jump":
				now = now.Add(time.Duration(rapid.Int64Range(0, 40_000).Draw(t, "by s")) * time.Second)
				advance(t, w, model, now)
			}
			if w.Len() != len(model) {
				t.Fatalf("the wheel holds %d keys, want %d", w.Len(), len(model))
			}
		}
	})
}

// due is when a key is due, and since when the wheel knows.
type due struct{ at, since time.Time }

func advance(t *rapid.T, w *wheel.Wheel[int], model map[int]due, now time.Time) {
	w.Advance(now, func(key int) {
		d, ok := model[key]
		if !ok {
			t.Fatalf("key %d was reported and is not scheduled", key)
		}
		if now.Before(d.at) {
			t.Fatalf("key %d was reported %s early", key, d.at.Sub(now))
		}
		delete(model, key)
	})
	for key, d := range model {
		if late := min(now.Sub(d.at), now.Sub(d.since)); late >= 2*tick {
			t.Fatalf("key %d is %s late", key, late)
		}
	}
}

func TestDueMayScheduleAgain(t *testing.T) {
	w := wheel.New[string](tick, start)
	w.Schedule("a", start.Add(time.Second))
	var fired []time.Duration
	now := start
	for range 40 {
		now = now.Add(tick)
		w.Advance(now, func(k string) {
			fired = append(fired, now.Sub(start))
			w.Schedule(k, now.Add(time.Second))
		})
	}
	want := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second}
	if !slices.Equal(fired, want) {
		t.Errorf("fired at %v, want %v", fired, want)
	}
}
