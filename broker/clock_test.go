package broker_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"broker/broker"
	"broker/fsm"
	"broker/providers/providertest"
)

// peers are the clocks of a cluster of three: this node's, and two others that may be away or wrong.
type peers struct {
	own *steppedClock

	mu   sync.Mutex
	away map[string]bool
	off  map[string]time.Duration
}

func (p *peers) AskClocks(context.Context) (int, map[string]time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	said := map[string]time.Time{"n1": p.own.now()}
	for _, node := range []string{"n2", "n3"} {
		if !p.away[node] {
			said[node] = time.Now().Add(p.off[node])
		}
	}
	return 3, said
}

func (p *peers) set(node string, away bool, off time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away[node], p.off[node] = away, off
}

// withPeers begins a second period, in a cluster of three.
func (h *house) withPeers() *peers {
	h.t.Helper()
	h.depose()
	p := &peers{own: h.clock, away: map[string]bool{}, off: map[string]time.Duration{}}
	h.b.Clocks = p
	h.lead(2)
	return p
}

func (h *house) ledgerClock() (at fsm.Instant) {
	h.view(func(v *fsm.View) { at = v.Meta().Clock })
	return at
}

func (h *house) clockEvents() (list []fsm.Event) {
	h.view(func(v *fsm.View) {
		for _, e := range v.Events(0, 100_000) {
			if e.Type == fsm.EventClockStepped || e.Type == fsm.EventClockRepaired {
				list = append(list, e)
			}
		}
	})
	return list
}

// gone reports whether the present period has ended by itself, and why.
func (h *house) gone() error {
	h.t.Helper()
	select {
	case err := <-h.led:
		h.cancel()
		h.cancel = nil
		return err
	case <-time.After(time.Minute):
		h.t.Fatal("the period goes on")
		return nil
	}
}

// A cluster that does nothing for a day, and one that is down for a day, go on as if nothing were.
func TestIdleForADay(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.withPeers()
		pass(24 * time.Hour)
		if behind := fsm.At(time.Now()).Sub(h.ledgerClock()); behind > 30*time.Second {
			t.Errorf("the ledger's clock is %s behind", behind)
		}
		h.mustIssue(time.Hour)
		if list := h.clockEvents(); len(list) > 0 {
			t.Errorf("an idle day is an event: %+v", list)
		}
		h.depose()
		pass(24 * time.Hour)
		h.lead(3)
		h.mustIssue(time.Hour)
		list := h.clockEvents()
		if len(list) != 1 || list[0].Details["confirmed_by"] != "n1 n2 n3" || list[0].Details["voters"] != "3" {
			t.Errorf("after a day without a leader: %+v", list)
		}
	})
}

// A leader whose clock jumps ahead ends its period; nothing ends early, and the ledger's clock stays.
func TestWrongClockEndsThePeriod(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, 2 * 365 * 24 * time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				h.withPeers()
				l := h.mustIssue(30 * time.Minute).Lease
				h.clock.jump(ahead)
				if err := h.gone(); err == nil || errors.Is(err, broker.ErrNotLeader) {
					t.Errorf("the period ended with %v", err)
				}
				if off := h.ledgerClock().Sub(fsm.At(time.Now())); off > time.Second {
					t.Errorf("the ledger's clock went %s ahead", off)
				}
				if got := h.lease(l.ID); got.State != fsm.Active || got.ExpiresAt != l.ExpiresAt {
					t.Errorf("the lease is %+v", got)
				}
				h.clock.jump(-ahead) // as the next leader's clock is
				h.lead(3)
				pass(31 * time.Minute)
				h.wantState(l.ID, fsm.Expired)
			})
		})
	}
}

// What a client asks of a leader whose clock just jumped is not done, and certainly so.
func TestRequestAtAWrongClock(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.withPeers()
		h.clock.jump(time.Hour)
		if _, err := h.issue(alice(), time.Hour); !errors.Is(err, broker.ErrNotLeader) {
			t.Errorf("issuing: %v", err)
		}
		if err := h.gone(); err == nil {
			t.Error("the period ended without a reason")
		}
		h.wantNoLogins()
		if n := len(h.leases()); n > 0 {
			t.Errorf("%d leases", n)
		}
	})
}

// Too few clocks answer: the leader neither steps nor goes; when they answer it steps. One other that
// is ahead is enough, since the time has come for it too.
func TestStepWaitsForClocks(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		p := h.withPeers()
		h.depose()
		pass(time.Hour)
		p.set("n2", true, 0)
		p.set("n3", true, 0)
		h.lead(3)
		if _, err := h.issue(alice(), time.Hour); refusal(err) != fsm.CodeClockStepRefused {
			t.Errorf("issuing: %v", err)
		}
		pass(time.Minute)
		if !h.b.Leading() {
			t.Fatal("the leader has gone")
		}
		p.set("n3", false, time.Hour)
		h.mustIssue(time.Hour)
	})
}

// A single node follows its machine's clock, and the history tells.
func TestSingleNodeFollowsItsClock(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		early, late := h.mustIssue(30*time.Minute).Lease, h.mustIssue(2*time.Hour).Lease
		h.clock.jump(time.Hour)
		h.wantState(early.ID, fsm.Expired)
		h.clock.jump(-time.Hour)
		pass(time.Second)
		list := h.clockEvents()
		if len(list) != 2 || list[0].Details["stepped"] != "1h0m0s" || list[1].Details["stepped"] != "-1h0m0s" {
			t.Errorf("events: %+v", list)
		}
		if got := h.lease(late.ID).State; got != fsm.Active {
			t.Errorf("the long lease is %s", got)
		}
		// The wheel goes by the new time: to the tick, not to the second.
		pass(2*time.Hour - time.Minute)
		l := h.mustIssue(30 * time.Second).Lease
		pass(31 * time.Second)
		if got := h.lease(l.ID); got.State != fsm.Expired || got.RevokingAt.Sub(got.ExpiresAt) > 200*time.Millisecond {
			t.Errorf("the short lease is %s, begun to end %s late", got.State, got.RevokingAt.Sub(got.ExpiresAt))
		}
		h.wantState(late.ID, fsm.Expired)
		h.wantNoLogins()
	})
}

// An operator repairs a clock that went two years ahead. What was issued meanwhile ends within its time
// from then on, what could not be finished before its create deadline is, and A2 holds.
func TestRepairClock(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		const wrong = 2 * 365 * 24 * time.Hour
		h.clock.jump(wrong)
		h.mustIssue(time.Hour) // the cluster of one believes it
		h.clock.jump(-wrong)
		pass(time.Second)
		p := h.withPeers()
		long := h.mustIssue(time.Hour).Lease
		h.fake.FailTimes(providertest.OpCreate, providertest.FaultRefuse, 1)
		if _, err := h.issue(alice(), time.Hour); err == nil {
			t.Fatal("issued")
		}
		pass(time.Minute)
		if n := len(h.leasesIn(fsm.Revoking)); n != 1 {
			t.Fatalf("%d leases wait for a create deadline in two years", n)
		}
		ahead := h.ledgerClock().Sub(fsm.At(time.Now()))
		if ahead < wrong-2*time.Hour {
			t.Fatalf("the ledger's clock is %s ahead", ahead)
		}

		if _, err := h.b.RepairClock(t.Context(), alice(), ""); refusal(err) != fsm.CodeInvalid {
			t.Errorf("without a reason: %v", err)
		}
		p.set("n2", false, time.Hour)
		p.set("n3", false, -time.Hour)
		if _, err := h.b.RepairClock(t.Context(), alice(), "bad NTP"); refusal(err) != fsm.CodeClockStepRefused {
			t.Errorf("with clocks that do not agree: %v", err)
		}
		p.set("n2", false, 0)
		dry := alice()
		dry.DryRun = true
		would, err := h.b.RepairClock(t.Context(), dry, "bad NTP")
		if err != nil || would.Leases != 3 || h.ledgerClock().Sub(fsm.At(time.Now())) < wrong-2*time.Hour {
			t.Errorf("dry run: %+v, %v", would, err)
		}
		done, err := h.b.RepairClock(t.Context(), alice(), "bad NTP")
		if err != nil || done != would {
			t.Errorf("repaired: %+v, %v", done, err)
		}
		// The leader begins anew, and may not have begun to when the repair is answered.
		var again fsm.ClockRepair
		h.eventually("another repair to be answered", func() bool {
			again, err = h.b.RepairClock(t.Context(), alice(), "bad NTP")
			return !errors.Is(err, broker.ErrNotLeader)
		})
		if err != nil || again.From != again.To {
			t.Errorf("again: %+v, %v", again, err)
		}
		for _, l := range h.leases() {
			if l.ExpiresAt > l.MaxExpiresAt || l.State == fsm.Active && l.ExpiresAt.Sub(fsm.At(time.Now())) > time.Hour {
				t.Errorf("a lease ends too late: %+v", l)
			}
		}
		pass(15 * time.Second)
		if n := len(h.leasesIn(fsm.Revoking)); n != 0 {
			t.Errorf("%d leases still wait", n)
		}
		if got := h.lease(long.ID).State; got != fsm.Active {
			t.Errorf("the lease is %s", got)
		}
		h.mustIssue(30 * time.Second)
		pass(time.Hour)
		h.wantNoLogins()
		list := h.clockEvents()
		last := list[len(list)-1]
		if last.Type != fsm.EventClockRepaired || last.Actor.Account != "alice" || last.Details["reason"] != "bad NTP" || last.Details["confirmed_by"] != "n1 n2" {
			t.Errorf("the last event is %+v", last)
		}
	})
}

func (h *house) leasesIn(state fsm.LeaseState) (list []fsm.Lease) {
	for _, l := range h.leases() {
		if l.State == state {
			list = append(list, l)
		}
	}
	return list
}
