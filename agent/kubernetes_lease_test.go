package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func (c *cluster) replica(t *testing.T, name string) *leaseStore {
	t.Helper()
	return &leaseStore{api: c.kubernetes(t, name), name: ObjectName{Name: "agent"}, holder: name, log: slog.New(slog.DiscardHandler)}
}

func withReady() state { return state{Ready: true} }

// TestLeaseTakenOver: who is cut off stops before another one begins, and that one finds what it left.
func TestLeaseTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &cluster{}
		one, two := o.replica(t, "one"), o.replica(t, "two")
		if _, err := one.take(t.Context(), func(state) {}); err != nil {
			t.Fatal(err)
		}
		if err := one.save(t.Context(), withReady()); err != nil {
			t.Fatal(err)
		}
		var seen, taken state
		took := make(chan time.Time, 1)
		go func() {
			var err error
			if taken, err = two.take(t.Context(), func(s state) { seen = s }); err != nil {
				t.Error(err)
			}
			took <- time.Now()
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case <-took:
			t.Fatal("it was taken from one who lives")
		default:
		}
		if !seen.Ready {
			t.Error("who waits does not see the state")
		}
		o.cutOff("one", true)
		var stopped time.Time
		go func() { <-one.lost(); stopped = time.Now() }()
		at := <-took
		synctest.Wait()
		if stopped.IsZero() || !stopped.Before(at) {
			t.Errorf("one stopped at %s, two began at %s", stopped, at)
		}
		if !taken.Ready {
			t.Error("the state was not taken over")
		}
		o.cutOff("one", false)
		if err := one.save(t.Context(), state{}); !errors.Is(err, errTaken) {
			t.Errorf("a late write came to %v", err)
		}
		one.give()
		if found, err := two.look(t.Context()); err != nil || found.Spec.Holder != "two" {
			t.Errorf("it is %q's, %v", found.Spec.Holder, err)
		}
		two.give()
	})
}

// TestLeaseGiven: who ends in an orderly way is followed at once, and of several that wait one comes.
func TestLeaseGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &cluster{}
		one := o.replica(t, "one")
		if _, err := one.take(t.Context(), func(state) {}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		took := make(chan *leaseStore, 2)
		var waiting sync.WaitGroup
		for _, name := range []string{"two", "three"} {
			next := o.replica(t, name)
			waiting.Go(func() {
				if _, err := next.take(ctx, func(state) {}); err == nil {
					took <- next
				}
			})
		}
		time.Sleep(10 * time.Second)
		one.give()
		began := time.Now()
		next := <-took
		if waited := time.Since(began); waited > 2*leaseLook {
			t.Errorf("it took %s", waited)
		}
		time.Sleep(time.Minute)
		if len(took) > 0 {
			t.Error("two work at a time")
		}
		cancel()
		waiting.Wait()
		next.give()
	})
}

// TestLeaseDisturbed: what passes is tried again, also when the answer that it is this one's was lost; what does not
// pass ends it, and says why.
func TestLeaseDisturbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &cluster{}
		failures := 3
		o.meet(func(r *http.Request) error {
			if failures--; r.Method == http.MethodPost && failures >= 0 {
				return io.ErrUnexpectedEOF
			}
			return nil
		}, nil)
		one := o.replica(t, "one")
		if _, err := one.take(t.Context(), func(state) {}); err != nil {
			t.Fatal(err)
		}
		one.give()
		lost := false
		o.meet(nil, func(r *http.Request) error {
			if r.Method == http.MethodPut && !lost {
				lost = true
				return io.ErrUnexpectedEOF
			}
			return nil
		})
		began := time.Now()
		two := o.replica(t, "two")
		if _, err := two.take(t.Context(), func(state) {}); err != nil || !lost || time.Since(began) > 2*leaseLook {
			t.Errorf("after an answer was lost: %v after %s", err, time.Since(began))
		}
		two.give()
		o.cutOff("three", true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := o.replica(t, "three").take(ctx, func(state) {}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "reading the Lease agent") {
			t.Errorf("cut off it ends with %v", err)
		}
		o.Token = "another"
		if _, err := o.replica(t, "four").take(t.Context(), func(state) {}); !answered(err, http.StatusUnauthorized) {
			t.Errorf("refused it ends with %v", err)
		}
	})
}
