package broker_test

import (
	"errors"
	"testing"
	"time"

	"broker/broker"
	"broker/fsm"
	"broker/providers"
	"broker/providers/providertest"
)

// changing are the calls that change something at an outside system.
var changing = []providertest.Op{providertest.OpCreate, providertest.OpRenew, providertest.OpRevoke, providertest.OpConfirmAbsent}

// restore has the cluster begin anew from what its state is, as after a restore from a snapshot, and lead.
func (h *house) restore(drill bool) {
	h.t.Helper()
	h.depose()
	mark := &fsm.Restored{At: fsm.At(h.b.Now()), CreatedAt: fsm.At(h.b.Now()), Drill: drill}
	term, err := h.log.beginLife(fsm.Life{Restored: mark})
	if err != nil {
		h.t.Fatal(err)
	}
	h.lead(term)
}

func wantCode(t *testing.T, what string, err error, code fsm.Code) {
	t.Helper()
	var refusal *fsm.Refusal
	if !errors.As(err, &refusal) || refusal.Code != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// A restored cluster calls no outside system to change anything, whatever is due, asked for or found, until
// it is released.
func TestRestoredChangesNothingOutside(t *testing.T) {
	inHouseOf(t, broker.Timing{Sweep: 10 * time.Minute, Quarantine: 5 * time.Minute}, func(t *testing.T, h *house) {
		active, short := h.mustIssue(2*time.Hour), h.mustIssue(10*time.Minute)
		stuck := h.mustIssue(time.Hour)
		h.fake.Stick(providers.LoginName(stuck.Lease.Username), "it owns a table")
		if _, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: stuck.Lease.ID}); err != nil {
			t.Fatal(err)
		}
		h.depose()
		h.fake.Unstick(providers.LoginName(stuck.Lease.Username))
		unknown := h.plant("later", clusterID)
		h.restore(false)
		before := len(h.fake.Calls(changing...))

		pass(3 * time.Hour) // ends, sweeps, create deadlines, clocks
		for what, request := range map[string]func() error{
			"issue": func() error { _, err := h.issue(alice(), time.Hour); return err },
			"renew": func() error {
				_, err := h.b.Renew(t.Context(), alice(), broker.RenewSpec{Lease: active.Lease.ID, UntilMax: true})
				return err
			},
			"revoke": func() error {
				_, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: active.Lease.ID})
				return err
			},
			"retry":  func() error { _, err := h.b.RetryLease(t.Context(), alice(), stuck.Lease.ID); return err },
			"forget": func() error { _, err := h.b.ForgetLease(t.Context(), alice(), stuck.Lease.ID, "r"); return err },
			"bulk revoke": func() error {
				_, err := h.b.StartOperation(t.Context(), alice(), broker.OperationSpec{Kind: fsm.OperationRevoke, Selector: fsm.LeaseSelector{Connection: "orders-db"}, Reason: "r"})
				return err
			},
			"lock and revoke": func() error {
				_, _, err := h.b.CreateLock(t.Context(), alice(), broker.LockSpec{Scope: fsm.LockScope{Environment: "*"}, Reason: "r", Revoke: true})
				return err
			},
			"delete connection": func() error { return h.b.DeleteConnection(t.Context(), alice(), "orders-db", 0) },
		} {
			wantCode(t, what, request(), fsm.CodeClusterRestored)
		}
		if calls := h.fake.Calls(changing...); len(calls) != before {
			t.Errorf("a restored cluster made %+v", calls[before:])
		}
		if len(h.fake.Calls(providertest.OpList)) == 0 {
			t.Error("outside systems were not listed")
		}

		diff, err := h.b.SnapshotDiff(t.Context(), alice())
		if err != nil || len(diff) != 1 {
			t.Fatalf("diff: %+v, %v", diff, err)
		}
		if d := diff[0]; len(d.Orphans) != 1 || d.Orphans[0].Username != string(unknown) || len(d.Over) != 2 || len(d.Missing) != 0 {
			t.Errorf("diff: %+v", d)
		}
		trial := alice()
		trial.DryRun = true
		spec := broker.ReleaseSpec{Unknown: fsm.UnknownAdopt, TTL: 2 * time.Hour, Reason: "the machines burnt"}
		if would, err := h.b.ReleaseSnapshot(t.Context(), trial, spec); err != nil || would != (broker.Release{Adopted: 1, Kept: 2}) || h.state.Restored() == nil {
			t.Errorf("trial: %+v, %v", would, err)
		}
		done, err := h.b.ReleaseSnapshot(t.Context(), alice(), spec)
		if err != nil || done != (broker.Release{Adopted: 1, Kept: 2}) {
			t.Fatalf("release: %+v, %v", done, err)
		}
		h.eventually("leading again", func() bool { _, err := h.issue(alice(), time.Minute); return err == nil })

		// What ran lives on for the time that was given, then ends as any other; what was being removed goes on.
		pass(time.Hour)
		for _, name := range []string{active.Lease.Username, short.Lease.Username, string(unknown)} {
			if _, there := h.fake.Login(providers.LoginName(name)); !there {
				t.Errorf("%s was removed at once", name)
			}
		}
		h.wantState(stuck.Lease.ID, fsm.Revoked)
		pass(2 * time.Hour)
		if left := h.fake.Logins(); len(left) != 0 {
			t.Errorf("left after the time that was given: %+v", left)
		}
	})
}

// Reported logins are left alone for good, those to be removed go at once.
func TestReleaseUnknown(t *testing.T) {
	for _, policy := range []fsm.UnknownPolicy{fsm.UnknownReport, fsm.UnknownRemove} {
		inHouseOf(t, broker.Timing{Sweep: 10 * time.Minute, Quarantine: 5 * time.Minute}, func(t *testing.T, h *house) {
			unknown, foreign := h.plant("later", clusterID), h.plant("theirs", "another cluster")
			h.fake.Fail(providertest.OpList, providertest.FaultUnreachable)
			h.restore(false)
			spec := broker.ReleaseSpec{Unknown: policy, Reason: "r"}
			_, err := h.b.ReleaseSnapshot(t.Context(), alice(), spec)
			wantCode(t, "a release before the system was listed", err, fsm.CodeNotListed)
			h.fake.Heal()
			if _, err := h.b.SnapshotDiff(t.Context(), alice()); err != nil {
				t.Fatal(err)
			}
			if _, err := h.b.ReleaseSnapshot(t.Context(), alice(), spec); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute)
			if _, there := h.fake.Login(unknown); there != (policy == fsm.UnknownReport) {
				t.Errorf("%s: the unknown login is there: %v", policy, there)
			}
			pass(2 * time.Hour)
			if _, there := h.fake.Login(unknown); there != (policy == fsm.UnknownReport) {
				t.Errorf("%s, later: the unknown login is there: %v", policy, there)
			}
			if _, there := h.fake.Login(foreign); !there {
				t.Error("another cluster's login was removed")
			}
			_, err = h.b.SnapshotDiff(t.Context(), alice())
			wantCode(t, "a diff after the release", err, fsm.CodeNotRestored)
		})
	}
}

// A drill stays what it is.
func TestDrillIsNeverReleased(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.mustIssue(time.Minute)
		before := len(h.fake.Calls(changing...))
		h.restore(true)
		if _, err := h.b.SnapshotDiff(t.Context(), alice()); err != nil {
			t.Fatal(err)
		}
		_, err := h.b.ReleaseSnapshot(t.Context(), alice(), broker.ReleaseSpec{Unknown: fsm.UnknownReport, Reason: "r"})
		wantCode(t, "releasing a drill", err, fsm.CodeClusterRestored)
		pass(24 * time.Hour)
		if calls := h.fake.Calls(changing...); len(calls) != before {
			t.Errorf("a drill made %+v", calls[before:])
		}
	})
}

// A state that becomes a restored one under a leader stops the calls of that leader too.
func TestFreezeHoldsWithinAPeriod(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		issued := h.mustIssue(time.Hour)
		h.fake.Stick(providers.LoginName(issued.Lease.Username), "it owns a table")
		if _, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: issued.Lease.ID}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.log.beginLife(fsm.Life{Restored: &fsm.Restored{}}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		before := len(h.fake.Calls(changing...))
		pass(time.Hour) // it tries to revoke again and again
		if calls := h.fake.Calls(changing...); len(calls) != before {
			t.Errorf("calls went on: %+v", calls[before:])
		}
	})
}

// A cluster that was restored or recovered lists every system at once; one in its first life in its own time.
func TestRebornListsAtOnce(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.depose()
		h.lead(2)
		pass(time.Minute)
		if n := len(h.fake.Calls(providertest.OpList)); n != 0 {
			t.Errorf("%d listings in the first life", n)
		}
		h.depose()
		term, err := h.log.beginLife(fsm.Life{Details: map[string]string{"reason": "r"}})
		if err != nil {
			t.Fatal(err)
		}
		unknown := h.plant("lost", clusterID)
		h.lead(term)
		pass(time.Minute)
		if r := h.orphans(); len(r) != 1 || r[0].Username != string(unknown) {
			t.Errorf("orphans: %+v", r)
		}
	})
}

func (h *house) orphans() (list []fsm.Orphan) {
	h.view(func(v *fsm.View) { list = v.AllOrphans(fsm.Orphan{}, 100) })
	return list
}
