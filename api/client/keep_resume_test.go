package client_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"broker/api/client"
	"broker/api/client/clienttest"
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

// resuming is a Keeper that goes on with leases, nil for a first one, and what ends it and returns those that it leaves.
func resuming(t *testing.T, l *clienttest.Ledger, resume []client.Kept, changes ...func(*client.KeepConfig)) (*client.Keeper, *diary, func() []client.Kept) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	k, d := keptUntil(ctx, t, l, func(c *client.KeepConfig) {
		c.Leave, c.Resume = true, resume
		for _, change := range changes {
			change(c)
		}
	})
	return k, d, func() []client.Kept {
		end()
		<-k.Done()
		return saved(t, k.Kept())
	}
}

// TestKeepResume: a lease that was left lives on, is gone on with, renewed and replaced in its time, whatever the
// broker's clock says.
func TestKeepResume(t *testing.T) {
	for _, skew := range []time.Duration{0, time.Hour, -time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			l := &clienttest.Ledger{Skew: skew}
			_, _, leave := resuming(t, l, nil)
			pass(5 * time.Minute)
			left := leave()
			pass(20 * time.Second)
			if got := l.Live(); !slices.Equal(got, []string{"L1"}) {
				t.Fatalf("left, there is %v", got)
			}
			k, d, leave := resuming(t, l, left)
			pass(3 * time.Minute)
			if got := l.Live(); !slices.Equal(got, []string{"L1"}) || k.Current().Lease.ID != "L1" || k.Value("USER") != "" {
				t.Fatalf("resumed, there is %v\n%s", got, strings.Join(d.lines, "\n"))
			}
			pass(50 * time.Second) // to nine minutes and ten seconds
			if k.Value("USER") != "uL2" || l.Leases[1].Replaces != "L1" {
				t.Errorf("it was not replaced\n%s", strings.Join(d.lines, "\n"))
			}
			// The same in the overlap: the one before is revoked in its time.
			k, _, _ = resuming(t, l, leave())
			pass(5 * time.Second)
			if got := l.Live(); !slices.Equal(got, []string{"L1", "L2"}) {
				t.Errorf("in the overlap there is %v", got)
			}
			pass(20 * time.Second)
			if got := l.Live(); !slices.Equal(got, []string{"L2"}) {
				t.Errorf("after the overlap there is %v", got)
			}
			if err := k.Close(); err != nil || len(l.Live()) > 0 {
				t.Errorf("closed with %v, and %v are alive", err, l.Live())
			}
		})
	}
}

// TestKeepResumeAway: to go on with a lease nobody has to be there.
func TestKeepResumeAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &clienttest.Ledger{}
		_, _, leave := resuming(t, l, nil)
		left := leave()
		l.Set(func() { l.Away = true })
		k, d, _ := resuming(t, l, left)
		pass(40 * time.Second)
		l.Set(func() { l.Away = false })
		pass(2 * time.Minute)
		for _, e := range d.events {
			if e.Kind == client.KeepLost || e.Kind == client.KeepReplaced {
				t.Errorf("got %s", strings.Join(d.lines, "\n"))
			}
		}
		if got := l.Live(); !slices.Equal(got, []string{"L1"}) {
			t.Errorf("there is %v", got)
		}
		k.Close()
	})
}

// TestKeepResumeEnded: what ended meanwhile is lost and replaced, seen at once.
func TestKeepResumeEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &clienttest.Ledger{}
		_, _, leave := resuming(t, l, nil)
		left := leave()
		l.Set(func() { l.Leases[0].State = "revoked" })
		k, d, _ := resuming(t, l, left)
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
		l := &clienttest.Ledger{}
		_, _, leave := resuming(t, l, nil)
		left := leave()
		left[0].RevokeAt = time.Now().Add(30 * time.Second)
		k, _, _ := resuming(t, l, left)
		if k.Value("USER") != "uL2" || l.Leases[1].Replaces != "L1" {
			t.Errorf("there is %v", l.Live())
		}
		pass(35 * time.Second)
		if got := l.Live(); !slices.Equal(got, []string{"L2"}) {
			t.Errorf("after the overlap there is %v", got)
		}
		k.Close()
	})
}

// TestKeepReplace: for values that are not known another lease is got, once, and while it is refused the one there is
// lives on.
func TestKeepReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &clienttest.Ledger{}
		_, _, leave := resuming(t, l, nil)
		left := leave()
		l.Set(func() { l.Refuse = "quota_exceeded" })
		k, d, _ := resuming(t, l, left)
		k.Replace()
		pass(5 * time.Minute)
		if got := l.Live(); !slices.Equal(got, []string{"L1"}) {
			t.Fatalf("refused, there is %v\n%s", got, strings.Join(d.lines, "\n"))
		}
		k.Replace()
		l.Set(func() { l.Refuse = "" })
		pass(20 * time.Second)
		k.Replace() // which comes too late
		pass(20 * time.Second)
		if k.Value("USER") != "uL2" || len(l.Leases) != 2 {
			t.Errorf("there are %d leases\n%s", len(l.Leases), strings.Join(d.lines, "\n"))
		}
		k.Close()
	})
}

// TestKeepInUse: what was replaced is kept alive while it is in use, also by the next Keeper, and has its overlap after
// that.
func TestKeepInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &clienttest.Ledger{Max: time.Hour}
		var used atomic.Bool
		used.Store(true)
		inUse := func(c *client.KeepConfig) { c.InUse = func(id string) bool { return id == "L1" && used.Load() } }
		_, _, leave := resuming(t, l, nil, inUse)
		k, _, leaveAgain := resuming(t, l, leave(), inUse)
		k.Replace()
		pass(10 * time.Minute)
		k, d, _ := resuming(t, l, leaveAgain(), inUse)
		pass(10 * time.Minute)
		if got := l.Live(); !slices.Equal(got, []string{"L1", "L2"}) {
			t.Fatalf("in use, there is %v\n%s", got, strings.Join(d.lines, "\n"))
		}
		used.Store(false)
		pass(30 * time.Second)
		if got := l.Live(); !slices.Equal(got, []string{"L1", "L2"}) {
			t.Errorf("in the overlap there is %v\n%s", got, strings.Join(d.lines, "\n"))
		}
		pass(20 * time.Second)
		if got := l.Live(); !slices.Equal(got, []string{"L2"}) {
			t.Errorf("after the overlap there is %v\n%s", got, strings.Join(d.lines, "\n"))
		}
		k.Close()
	})
}

// TestKeepLeave: the end of the context leaves what is held, as Close does not, whichever came first.
func TestKeepLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &clienttest.Ledger{}
		k, _, leave := resuming(t, l, nil)
		if left := leave(); len(left) != 1 || len(l.Live()) != 1 {
			t.Errorf("left %d, and there is %v", len(left), l.Live())
		}
		if err := k.Close(); err != nil || len(l.Live()) != 0 {
			t.Errorf("closed with %v, and there is %v", err, l.Live())
		}
	})
}
