package cluster

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestJudgeClocks(t *testing.T) {
	const s, h = time.Second, time.Hour
	for _, test := range []struct {
		name    string
		offsets []time.Duration // the first is this node's own, always zero
		voters  int
		ahead   time.Duration
		judged  bool
		off     bool
	}{
		{"alone", []time.Duration{0}, 1, 0, true, false},
		{"all the same", []time.Duration{0, s / 10, -s / 10}, 3, 0, true, false},
		{"this one ahead", []time.Duration{0, -h, -h + s/10}, 3, h, true, true},
		{"this one behind by years", []time.Duration{0, 20000 * h, 20000 * h}, 3, -20000 * h, true, true},
		{"this one a little off", []time.Duration{0, 3 * s / 2, 3 * s / 2}, 3, -3 * s / 2, true, false},
		{"just too far", []time.Duration{0, 2*s + 1, 2*s + 1}, 3, -2*s - 1, true, true},
		{"another one wrong", []time.Duration{0, s / 10, h}, 3, 0, true, false},
		{"two that differ", []time.Duration{0, h}, 2, 0, false, false},
		{"one wrong, one away", []time.Duration{0, h}, 3, 0, false, false},
		{"one away, one agrees", []time.Duration{0, s}, 3, 0, true, false},
		{"all different", []time.Duration{0, h, 2 * h}, 3, 0, false, false},
		{"cut off", []time.Duration{0}, 3, 0, false, false},
		{"two camps of two", []time.Duration{0, 0, h, h}, 4, 0, false, false},
		{"minority of five", []time.Duration{0, 0, h, h, h}, 5, -h, true, true},
		{"not a voter itself", []time.Duration{h, h}, 3, -h, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			offsets := map[string]time.Duration{}
			for i, o := range test.offsets {
				offsets[string(rune('a'+i))] = o
			}
			ahead, agree, judged := judgeClocks(offsets, test.voters)
			view := ClockView{Judged: judged, Ahead: ahead}
			if judged != test.judged || (ahead-test.ahead).Abs() > time.Second/10 || (view.Off() != nil) != test.off {
				t.Errorf("got %s ahead, judged %t, %v", ahead, judged, view.Off())
			}
			if judged && len(agree) <= test.voters/2 || view.Off() != nil && slices.Contains(agree, "a") && test.offsets[0] == 0 {
				t.Errorf("agreeing: %v", agree)
			}
		})
	}
}

// The most exact sample counts, until one contradicts it: then one of the clocks was set.
func TestClockSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b clockBook
		const age = time.Minute
		sample := func(off, inexact time.Duration) {
			now := time.Now()
			b.keep("n2", clockSample{says: now.Round(0).Add(off), at: now, err: inexact}, age)
		}
		want := func(what string, off, inexact time.Duration) {
			t.Helper()
			now := time.Now()
			got, ok := b.offset("n2", now.Round(0), now, age)
			if !ok || (got.Offset-off).Abs() > time.Millisecond || (got.Error-inexact).Abs() > 10*time.Millisecond {
				t.Errorf("%s: %+v, %t, want %s ± %s", what, got, ok, off, inexact)
			}
		}
		sample(20*time.Millisecond, time.Millisecond)
		<-time.After(time.Second)
		sample(120*time.Millisecond, 200*time.Millisecond)
		want("an inexact one does not count", 20*time.Millisecond, time.Millisecond)
		<-time.After(time.Second)
		sample(time.Hour, 200*time.Millisecond)
		want("the clock was set", time.Hour, 200*time.Millisecond)
		<-time.After(2 * age)
		if _, ok := b.offset("n2", time.Now(), time.Now(), age); ok {
			t.Error("an old sample counts")
		}
	})
}
