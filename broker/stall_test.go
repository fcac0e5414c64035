package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"broker/broker"
	"broker/fsm"
	"broker/providers"
	"broker/providers/providertest"
)

// The log stands still while a lease is being ended, and the proposer gives up waiting: the entry is
// committed later, by the same leader, and the lease has a driver all the same.
func TestLateEntriesAreDriven(t *testing.T) {
	for name, c := range map[string]struct {
		stall  time.Duration
		expire bool
	}{
		"a short stall, the client hangs up":   {1500 * time.Millisecond, false},
		"a long stall, the proposer gives up":  {25 * time.Second, false},
		"a long stall while the wheel expires": {25 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				ttl := time.Hour
				if c.expire {
					ttl = 5 * time.Second
				}
				l := h.mustIssue(ttl).Lease
				if c.expire {
					pass(4 * time.Second)
				}
				h.log.stall(c.stall)
				if !c.expire {
					ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					defer cancel()
					if got, err := h.b.Revoke(ctx, alice(), broker.RevokeSpec{Lease: l.ID}); err == nil && got.State == fsm.Active {
						t.Errorf("revoking: %+v", got)
					}
				}
				pass(2 * time.Minute)
				if got := h.lease(l.ID); got.State.Live() {
					t.Errorf("two minutes later the lease is %s", got.State)
				}
				h.wantNoLogins()
			})
		})
	}
}

// The end of a lease whose login could not be made waits in a log that stands still.
func TestLateAbortIsDriven(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.fake.FailTimes(providertest.OpCreate, providertest.FaultHalf, 1)
		h.log.hold = func(c fsm.Command) {
			if c.Type == fsm.TypeBeginRevoke {
				h.log.hold = nil
				h.log.stall(25 * time.Second)
			}
		}
		if _, err := h.issue(alice(), time.Hour); err == nil {
			t.Error("issued")
		}
		h.wantState(h.leases()[0].ID, fsm.Failed)
		h.wantNoLogins()
	})
}

func TestRevokeWithKeyAfterUnknownOutcome(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		l := h.mustIssue(time.Hour).Lease
		h.log.next(fsm.TypeBeginRevoke, committedUnknown)
		for range 2 {
			if got, err := h.b.Revoke(t.Context(), keyed("r"), broker.RevokeSpec{Lease: l.ID}); err != nil || got.State != fsm.Revoked {
				t.Errorf("revoking: %s, %v", got.State, err)
			}
		}
	})
}

// Two change a connection at the same time: one says it was replaced, the other merges a password over
// what it was before. A lease of the new system must not be looked for in the old one.
func TestConcurrentConnectionUpdates(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		release := make(chan struct{})
		first := true
		h.log.hold = func(c fsm.Command) {
			if c.Type == fsm.TypeUpdateConnection && first {
				first = false
				<-release
			}
		}
		done := make(chan error, 1)
		go func() {
			_, _, err := h.b.UpdateConnection(t.Context(), alice(), broker.ConnectionChange{Name: "orders-db", Settings: map[string]any{"password": rootCanary}})
			done <- err
		}()
		pass(10 * time.Millisecond)
		replaced := broker.ConnectionChange{Name: "orders-db", System: broker.Replaced, Settings: map[string]any{"system": "other", "password": rootCanary}}
		if _, _, err := h.b.UpdateConnection(t.Context(), alice(), replaced); err != nil {
			t.Fatal(err)
		}
		l := h.mustIssue(time.Hour).Lease
		close(release)
		if err := <-done; err != nil {
			t.Errorf("the other change: %v", err)
		}
		if got, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: l.ID}); err != nil || got.State != fsm.Revoked {
			t.Errorf("revoking: %s, %v", got.State, err)
		}
		h.wantNoLogins()
		if again := h.mustIssue(time.Hour).Lease; h.fake.Logins()[0].System != "other" {
			t.Errorf("the next lease %s is at system %s", again.ID, h.fake.Logins()[0].System)
		}
	})
}

// Leases that stay with a replaced system are removed there, and the old system goes with the last.
func TestReplacedSystem(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		old := h.mustIssue(time.Hour).Lease
		change := broker.ConnectionChange{Name: "orders-db", Settings: map[string]any{"system": "other", "password": rootCanary}}
		if _, _, err := h.b.UpdateConnection(t.Context(), alice(), change); refusal(err) != broker.CodeSystemChangeNeeded {
			t.Errorf("pointing elsewhere without saying what that means: %v", err)
		}
		change.System = broker.Replaced
		if _, _, err := h.b.UpdateConnection(t.Context(), alice(), change); err != nil {
			t.Fatal(err)
		}
		if got, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: old.ID}); err != nil || got.State != fsm.Revoked {
			t.Errorf("revoking: %s, %v", got.State, err)
		}
		h.wantNoLogins()
		h.view(func(v *fsm.View) {
			if _, there := v.System("orders-db", old.System); there {
				t.Error("the old system is kept though no lease needs it")
			}
		})
	})
}

// A repeated request that waits for the first does not hold up the end of a leadership period.
func TestDeposedWhileARepeatWaits(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.fake.FailTimes(providertest.OpCreate, providertest.FaultHang, 1)
		h.log.next(fsm.TypeBeginRevoke, notCommitted, notCommitted)
		answers := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := h.issue(keyed("k"), time.Hour)
				answers <- err
			}()
			pass(10 * time.Millisecond)
		}
		begun := time.Now()
		h.depose()
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the period took %s to end", took)
		}
		for range 2 {
			if err := <-answers; !errors.Is(err, broker.ErrNotLeader) && !errors.Is(err, broker.ErrOutcomeUnknown) {
				t.Errorf("answered %v", err)
			}
		}
	})
}

// Creates keep failing while the outside system's clock is behind: the newest lease does not keep the
// others from being finished.
func TestUnbornLeasesDoNotStarve(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.clock.jump(2 * time.Second) // ahead of the fake's
		h.fake.Fail(providertest.OpCreate, providertest.FaultRefuse)
		for range 300 {
			if _, err := h.issue(alice(), time.Hour); err == nil {
				t.Fatal("issued")
			}
			pass(200 * time.Millisecond)
		}
		var failed int
		for _, l := range h.leases() {
			if l.State == fsm.Failed {
				failed++
			}
		}
		if failed < 200 {
			t.Errorf("after a minute %d of 300 leases are finished", failed)
		}
	})
}

// A login that cannot be removed goes by itself from then on and delays nobody.
func TestTroubledLoginsGoAlone(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		for range 5 {
			h.fake.Stick(providers.LoginName(h.mustIssue(5*time.Second).Lease.Username), "a long transaction uses its table")
		}
		pass(10 * time.Second)
		h.fake.FailTimes(providertest.OpRevoke, providertest.FaultNone, 0)
		before := len(h.fake.Calls(providertest.OpRevoke))
		l := h.mustIssue(5 * time.Second).Lease
		pass(6 * time.Second)
		if got := h.lease(l.ID); got.State != fsm.Expired || got.EndedAt.Sub(got.ExpiresAt) > time.Second {
			t.Errorf("the healthy lease is %s, ended %s after its time", got.State, got.EndedAt.Sub(got.ExpiresAt))
		}
		for _, c := range h.fake.Calls(providertest.OpRevoke)[before:] {
			if len(c.Names) > 1 {
				t.Errorf("troubled logins go together with others: %v", c.Names)
			}
		}
	})
}

// However long an outside system's complaint is, it is recorded.
func TestLongComplaints(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		var biggest int
		h.log.hold = func(c fsm.Command) {
			if c.Type == fsm.TypeRecordTrouble {
				biggest = max(biggest, len(c.Body))
			}
		}
		for range 200 {
			l := h.mustIssue(30 * time.Second).Lease
			h.fake.Stick(providers.LoginName(l.Username), strings.Repeat("privileges for table orders_2024_01 in schema public; ", 100))
		}
		pass(2 * time.Minute)
		if biggest == 0 || biggest > 1<<20 {
			t.Errorf("the largest record of trouble has %d bytes", biggest)
		}
		if got := h.leases()[0]; got.LastError == "" || got.Attempts == 0 {
			t.Errorf("nothing is recorded: %+v", got)
		}
	})
}

// The ledger's clock was put an hour ahead by an earlier leader: ten seconds for a create stay ten seconds.
func TestCreateIsBoundedByTheOwnClock(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.clock.jump(time.Hour)
		if _, err := h.issue(alice(), 2*time.Hour); err != nil {
			t.Fatal(err)
		}
		h.clock.jump(-time.Hour)
		h.fake.FailTimes(providertest.OpCreate, providertest.FaultHang, 1)
		begun := time.Now()
		if _, err := h.issue(alice(), time.Hour); err == nil {
			t.Error("issued")
		}
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("a create whose limit is ten seconds took %s", took)
		}
	})
}

// The answer to a repeated request never shows the values of a lease that is over.
func TestNoReplayOfWhatIsOver(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		if _, err := h.issue(keyed("k"), 5*time.Second); err != nil {
			t.Fatal(err)
		}
		h.depose() // nobody leads for a while, nothing expires
		pass(time.Minute)
		h.fake.Fail(providertest.OpRevoke, providertest.FaultHang)
		h.lead(2)
		if again, err := h.issue(keyed("k"), 5*time.Second); refusal(err) != fsm.CodeLeaseEnded || len(again.Values) > 0 {
			t.Errorf("repeated: %+v, %v", again, err)
		}
	})
}
