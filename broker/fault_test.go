package broker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/broker"
	"broker/fsm"
	"broker/providers"
	"broker/providers/providertest"
)

// A create that fails in any way reveals nothing, leaves no login, and ends as failed.
func TestCreateFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault    providertest.Fault
		rejected bool
	}{
		"unreachable":        {providertest.FaultUnreachable, false},
		"refused":            {providertest.FaultRefuse, true},
		"call lost":          {providertest.FaultLoseCall, false},
		"answer lost":        {providertest.FaultLoseAnswer, false},
		"hangs":              {providertest.FaultHang, false},
		"executes late":      {providertest.FaultLate, false},
		"half done, refused": {providertest.FaultHalf, true},
	} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				h.fake.FailTimes(providertest.OpCreate, c.fault, 1)
				begun := time.Now()
				issued, err := h.issue(keyed("k"), time.Hour)
				var unavailable *broker.UnavailableError
				if rejected := refusal(err) == broker.CodeProviderRejected; rejected != c.rejected || !rejected && !errors.As(err, &unavailable) {
					t.Errorf("issuing: %v", err)
				}
				if len(issued.Values) > 0 {
					t.Error("values were revealed")
				}
				l := h.leases()[0]
				if c.fault == providertest.FaultUnreachable {
					if l.State != fsm.Failed || time.Since(begun) > time.Second {
						t.Errorf("what was never sent is %s after %s", l.State, time.Since(begun))
					}
				} else if l.State != fsm.Revoking {
					t.Errorf("the lease is %s, want revoking until its absence is confirmed", l.State)
				}
				h.fake.Deliver()
				h.wantState(l.ID, fsm.Failed)
				h.wantNoLogins()
				if c.fault != providertest.FaultUnreachable && h.lease(l.ID).EndedAt < l.CreateDeadlineAt {
					t.Error("absence was believed before the create deadline")
				}
				// The key is free for another attempt.
				if again, err := h.issue(keyed("k"), time.Hour); err != nil || again.Lease.ID == l.ID {
					t.Errorf("the next attempt: %+v, %v", again.Lease, err)
				}
			})
		})
	}
}

// No call is made while it is unknown whether Prepare was committed; if it was, the lease is rolled back.
func TestPrepareOutcomeUnknown(t *testing.T) {
	for name, o := range map[string]outcome{"lost": lostUnknown, "committed": committedUnknown} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				h.log.next(fsm.TypePrepareLease, o)
				if _, err := h.issue(alice(), time.Hour); !errors.Is(err, broker.ErrOutcomeUnknown) {
					t.Errorf("issuing: %v", err)
				}
				pass(30 * time.Second)
				if n := len(h.fake.Calls(providertest.OpCreate)); n != 0 {
					t.Errorf("%d creates without a known intent", n)
				}
				for _, l := range h.leases() {
					if l.State != fsm.Failed {
						t.Errorf("the lease is %s", l.State)
					}
				}
			})
		})
	}
}

func TestPrepareNotCommitted(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.log.next(fsm.TypePrepareLease, notCommitted)
		if _, err := h.issue(alice(), time.Hour); !errors.Is(err, broker.ErrNotLeader) {
			t.Errorf("issuing: %v", err)
		}
	})
}

// After an unknown Activate the values are given only if the state shows the lease active.
func TestActivateOutcomeUnknown(t *testing.T) {
	t.Run("committed", func(t *testing.T) {
		inHouse(t, func(t *testing.T, h *house) {
			h.log.next(fsm.TypeActivateLease, committedUnknown)
			issued, err := h.issue(alice(), time.Hour)
			if err != nil || issued.Lease.State != fsm.Active || len(issued.Values) != 3 {
				t.Errorf("issuing: %+v, %v", issued, err)
			}
			pass(time.Minute)
			if len(h.fake.Logins()) != 1 {
				t.Error("the login of an active lease is gone")
			}
		})
	})
	t.Run("lost", func(t *testing.T) {
		inHouse(t, func(t *testing.T, h *house) {
			h.log.next(fsm.TypeActivateLease, lostUnknown)
			issued, err := h.issue(alice(), time.Hour)
			if err == nil || len(issued.Values) > 0 {
				t.Errorf("issuing: %+v, %v", issued, err)
			}
			h.wantState(h.leases()[0].ID, fsm.Failed)
			h.wantNoLogins()
		})
	})
}

func TestRevokeBeginUnknownIsRepeatedFirst(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		l := h.mustIssue(time.Hour).Lease
		h.log.next(fsm.TypeBeginRevoke, lostUnknown, committedUnknown)
		got, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: l.ID})
		if err != nil || got.State != fsm.Revoked {
			t.Errorf("revoking: %s, %v", got.State, err)
		}
		h.wantNoLogins()
	})
}

// What a command moved is driven though the leader never heard that it was committed.
func TestEndsOfUnknownOutcomeAreDriven(t *testing.T) {
	for name, o := range map[string]outcome{"lost": lostUnknown, "committed": committedUnknown, "refused": notCommitted} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				l := h.mustIssue(5 * time.Second).Lease
				h.log.next(fsm.TypeExpireLeases, o)
				h.log.next(fsm.TypeFinishRevoke, o)
				pass(10 * time.Second)
				if got := h.lease(l.ID); got.State != fsm.Expired {
					t.Errorf("the lease is %s", got.State)
				}
				h.wantNoLogins()
			})
		})
	}
}

func TestRevokeFaultsAreRetriedForEver(t *testing.T) {
	for _, fault := range []providertest.Fault{providertest.FaultUnreachable, providertest.FaultRefuse, providertest.FaultLoseCall, providertest.FaultLoseAnswer, providertest.FaultHang} {
		inHouse(t, func(t *testing.T, h *house) {
			l := h.mustIssue(time.Hour).Lease
			h.fake.Fail(providertest.OpRevoke, fault)
			got, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: l.ID})
			if err != nil || got.State != fsm.Revoking {
				t.Fatalf("fault %d: revoking: %s, %v", fault, got.State, err)
			}
			pass(20 * time.Minute)
			if got = h.lease(l.ID); got.Shown(0) != "stuck" || got.Attempts < 6 || got.LastError == "" {
				t.Errorf("fault %d: after twenty minutes: %+v", fault, got)
			}
			h.fake.Heal()
			pass(2 * time.Minute)
			if got = h.lease(l.ID); got.State != fsm.Revoked {
				t.Errorf("fault %d: the lease is %s", fault, got.State)
			}
			h.wantNoLogins()
		})
	}
}

// One login that cannot be removed holds up no other of its batch, and half a batch is judged one by one.
func TestBatchesAreJudgedOneByOne(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		var list []fsm.Lease
		for range 6 {
			list = append(list, h.mustIssue(10*time.Second).Lease)
		}
		h.fake.Stick(providers.LoginName(list[2].Username), "it owns what cannot be given away")
		h.fake.FailTimes(providertest.OpRevoke, providertest.FaultHalf, 1)
		pass(60 * time.Second)
		var got, want []fsm.LeaseState
		for i, l := range list {
			got = append(got, h.lease(l.ID).State)
			want = append(want, fsm.Expired)
			if i == 2 {
				want[i] = fsm.Revoking
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("states (-want +got):\n%s", d)
		}
		if logins := h.fake.Logins(); len(logins) != 1 || logins[0].CanLogin {
			t.Errorf("logins: %+v", logins)
		}
		h.fake.Unstick(providers.LoginName(list[2].Username))
		h.wantState(list[2].ID, fsm.Expired)
	})
}

// One dead system starves no other.
func TestHangingSystemDelaysNoOther(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.mustConnection("other-db", "other")
		h.mustSecret("payments/production/other", "other-db", "OTHER")
		first := h.mustIssue(5 * time.Second).Lease
		second, err := h.b.Issue(t.Context(), alice(), broker.IssueSpec{Secret: "payments/production/other", TTL: 7 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		h.fake.FailTimes(providertest.OpRevoke, providertest.FaultHang, 1)
		pass(8 * time.Second)
		if got := h.lease(first.ID).State; got != fsm.Revoking {
			t.Errorf("the lease of the hanging system is %s", got)
		}
		if got := h.lease(second.Lease.ID); got.State != fsm.Expired || got.EndedAt.Sub(got.ExpiresAt) > time.Second {
			t.Errorf("the other lease is %s, ended %s after its time", got.State, got.EndedAt.Sub(got.ExpiresAt))
		}
	})
}

// The leader goes while a create is under way: nothing is revealed, the next leader rolls back, and a
// create that executes late is removed.
func TestLeaderGoesWhileCreating(t *testing.T) {
	for _, fault := range []providertest.Fault{providertest.FaultHang, providertest.FaultLate, providertest.FaultLoseAnswer} {
		inHouse(t, func(t *testing.T, h *house) {
			h.fake.FailTimes(providertest.OpCreate, fault, 1)
			type answer struct {
				issued broker.Issued
				err    error
			}
			answered := make(chan answer, 1)
			go func() {
				issued, err := h.issue(keyed("k"), time.Hour)
				answered <- answer{issued, err}
			}()
			h.eventually("a create under way", func() bool { return len(h.fake.Calls(providertest.OpCreate)) == 1 })
			h.depose()
			if a := <-answered; a.err == nil || len(a.issued.Values) > 0 {
				t.Errorf("fault %d: the deposed leader answered %+v, %v", fault, a.issued, a.err)
			}
			h.lead(2)
			l := h.leases()[0]
			if l.State != fsm.Revoking {
				t.Errorf("fault %d: after take-over the lease is %s", fault, l.State)
			}
			h.fake.Deliver()
			h.wantState(l.ID, fsm.Failed)
			h.wantNoLogins()
			if again, err := h.issue(keyed("k"), time.Hour); err != nil || again.Replayed {
				t.Errorf("fault %d: the client asks again: %+v, %v", fault, again, err)
			}
		})
	}
}

// A new leader arms the wheel and drives what the old one had begun.
func TestTakeOver(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		short, long := h.mustIssue(10*time.Second).Lease, h.mustIssue(time.Hour).Lease
		h.fake.Fail(providertest.OpRevoke, providertest.FaultUnreachable)
		if _, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: long.ID}); err != nil {
			t.Fatal(err)
		}
		h.depose()
		if _, err := h.issue(alice(), time.Hour); !errors.Is(err, broker.ErrNotLeader) {
			t.Errorf("issuing without leading: %v", err)
		}
		pass(time.Minute)
		if h.lease(short.ID).State != fsm.Active {
			t.Error("without a leader a lease changed")
		}
		h.fake.Heal()
		h.lead(2)
		pass(2 * time.Second)
		if got := h.lease(short.ID).State; got != fsm.Expired {
			t.Errorf("the overdue lease is %s", got)
		}
		if got := h.lease(long.ID).State; got != fsm.Revoked {
			t.Errorf("the lease that was being revoked is %s", got)
		}
		h.wantNoLogins()
	})
}

// Commands of a period that is over are refused wherever they come from.
func TestStalePeriodIsRefused(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.log.mu.Lock()
		h.log.term = 2 // the log moved on; this leader does not know
		h.log.mu.Unlock()
		if _, err := h.issue(alice(), time.Hour); !errors.Is(err, broker.ErrNotLeader) {
			t.Errorf("issuing: %v", err)
		}
		if len(h.leases()) != 0 || len(h.fake.Calls(providertest.OpCreate)) != 0 {
			t.Error("a stale leader did something")
		}
	})
}

// A user revokes a lease while its login is being made.
func TestRevokeWhilePending(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.fake.FailTimes(providertest.OpCreate, providertest.FaultHang, 1)
		failed := make(chan error, 1)
		go func() {
			_, err := h.issue(alice(), time.Hour)
			failed <- err
		}()
		h.eventually("a pending lease", func() bool { return len(h.leases()) == 1 })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got, err := h.b.Revoke(ctx, alice(), broker.RevokeSpec{Lease: h.leases()[0].ID})
		if err != nil || got.State != fsm.Revoking {
			t.Errorf("revoking: %s, %v", got.State, err)
		}
		if err := <-failed; err == nil {
			t.Error("a revoked lease was revealed")
		}
		h.wantState(got.ID, fsm.Failed)
		h.wantNoLogins()
	})
}

// A secret that was disabled while the login was being made: the lease may not live.
func TestSecretDisabledWhileCreating(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.log.before = func(c fsm.Command) {
			if c.Type != fsm.TypeActivateLease {
				return
			}
			h.log.before = nil
			disabled := true
			cmd, err := fsm.NewCommand(&fsm.UpdateSecret{Name: ordersRO, Disabled: &disabled}, time.Now(), fsm.Actor{}, 0)
			if err != nil {
				t.Error(err)
			}
			h.log.apply(t, cmd)
		}
		issued, err := h.issue(alice(), time.Hour)
		if refusal(err) != fsm.CodeLeaseNotActive || len(issued.Values) > 0 {
			t.Errorf("issuing: %+v, %v", issued, err)
		}
		h.wantState(h.leases()[0].ID, fsm.Failed)
		h.wantNoLogins()
	})
}

// The leader's clock jumps. Forward: what is over by the new time ends at once. Back: nothing ends
// before its time by the clock that stamped it.
func TestClockJumps(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		short, long := h.mustIssue(10*time.Second).Lease, h.mustIssue(time.Hour).Lease
		h.clock.jump(-5 * time.Second)
		pass(12 * time.Second)
		if got := h.lease(short.ID).State; got != fsm.Active {
			t.Errorf("after a jump back the lease is %s before its time", got)
		}
		pass(4 * time.Second)
		if got := h.lease(short.ID).State; got != fsm.Expired {
			t.Errorf("the lease is %s", got)
		}
		h.clock.jump(50 * time.Minute)
		pass(time.Second)
		if got := h.lease(long.ID).State; got != fsm.Active {
			t.Errorf("the long lease is %s too early", got)
		}
		h.clock.jump(20 * time.Minute)
		pass(2 * time.Second)
		if got := h.lease(long.ID).State; got != fsm.Expired {
			t.Errorf("after a jump forward the long lease is %s", got)
		}
		h.wantNoLogins()
	})
}
