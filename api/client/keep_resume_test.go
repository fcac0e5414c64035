package client_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"broker/api/client"
)

// saved is what another process reads of what one wrote down.
func saved(t *testing.T, kept []client.Kept) (read []client.Kept) {
	t.Helper()
	text, err := json.Marshal(kept)
	if err == nil {
		err = json.Unmarshal(text, &read)
	}
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "uL1") {
		t.Errorf("it holds a value: %s", text)
	}
	return read
}

// resuming has a Keeper go on with leases.
func resuming(kept []client.Kept) func(*client.KeepConfig) {
	return func(c *client.KeepConfig) { c.Resume = kept }
}

// TestKeepResume: a lease that was released lives on, is gone on with, renewed and replaced in its time, whatever the
// broker's clock says.
func TestKeepResume(t *testing.T) {
	for _, skew := range []time.Duration{0, time.Hour, -time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			l := &ledger{skew: skew}
			k, _ := kept(t, l, nil)
			pass(5 * time.Minute)
			left := saved(t, k.Release())
			pass(20 * time.Second)
			if got := l.live(); !slices.Equal(got, []string{"L1"}) {
				t.Fatalf("released, there is %v", got)
			}
			k, d := kept(t, l, resuming(left))
			pass(3 * time.Minute)
			if got := l.live(); !slices.Equal(got, []string{"L1"}) || k.Current().Lease.ID != "L1" || k.Value("USER") != "" {
				t.Fatalf("resumed, there is %v\n%s", got, strings.Join(d.lines, "\n"))
			}
			pass(50 * time.Second) // to nine minutes and ten seconds
			if k.Value("USER") != "uL2" || l.leases[1].Replaces != "L1" {
				t.Errorf("it was not replaced\n%s", strings.Join(d.lines, "\n"))
			}
			// The same in the overlap: the one before is revoked in its time.
			left = saved(t, k.Release())
			k, _ = kept(t, l, resuming(left))
			pass(5 * time.Second)
			if got := l.live(); !slices.Equal(got, []string{"L1", "L2"}) {
				t.Errorf("in the overlap there is %v", got)
			}
			pass(20 * time.Second)
			if got := l.live(); !slices.Equal(got, []string{"L2"}) {
				t.Errorf("after the overlap there is %v", got)
			}
			if err := k.Close(); err != nil || len(l.live()) > 0 {
				t.Errorf("closed with %v, and %v are alive", err, l.live())
			}
		})
	}
}

// TestKeepResumeAway: to go on with a lease nobody has to be there.
func TestKeepResumeAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		k, _ := kept(t, l, nil)
		left := k.Release()
		l.set(func() { l.away = true })
		k, d := kept(t, l, resuming(left))
		pass(40 * time.Second)
		l.set(func() { l.away = false })
		pass(2 * time.Minute)
		for _, e := range d.events {
			if e.Kind == client.KeepLost || e.Kind == client.KeepReplaced {
				t.Errorf("got %s", strings.Join(d.lines, "\n"))
			}
		}
		if got := l.live(); !slices.Equal(got, []string{"L1"}) {
			t.Errorf("there is %v", got)
		}
		k.Close()
	})
}

// TestKeepResumeEnded: what ended meanwhile is lost and replaced, seen at once.
func TestKeepResumeEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		k, _ := kept(t, l, nil)
		left := k.Release()
		l.set(func() { l.leases[0].State = "revoked" })
		k, d := kept(t, l, resuming(left))
		pass(5 * time.Second)
		if len(d.events) != 2 || d.events[0].Kind != client.KeepLost || d.events[1].Kind != client.KeepReplaced || k.Value("USER") != "uL2" {
			t.Errorf("got %s", strings.Join(d.lines, "\n"))
		}
		k.Close()
	})
}

// TestKeepResumeReplacing: what is only to be revoked is replaced before.
func TestKeepResumeReplacing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		k, _ := kept(t, l, nil)
		left := k.Release()
		left[0].RevokeAt = time.Now().Add(30 * time.Second)
		k, _ = kept(t, l, resuming(left))
		if k.Value("USER") != "uL2" || l.leases[1].Replaces != "L1" {
			t.Errorf("there is %v", l.live())
		}
		pass(35 * time.Second)
		if got := l.live(); !slices.Equal(got, []string{"L2"}) {
			t.Errorf("after the overlap there is %v", got)
		}
		k.Close()
	})
}
