package broker_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"broker/broker"
	"broker/fsm"
	"broker/providers"
	"broker/providers/providertest"
)

func (h *house) operation(id fsm.OperationID) (o fsm.Operation) {
	h.view(func(v *fsm.View) { o, _ = v.Operation(id) })
	return o
}

// A bulk revocation survives changes of leader, reaches what was issued before and nothing after.
func TestBulkRevokeSurvivesLeaders(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		for range 1200 {
			h.mustIssue(time.Hour)
		}
		would, err := h.b.StartOperation(t.Context(), dry(), broker.OperationSpec{Kind: fsm.OperationRevoke, Selector: fsm.LeaseSelector{Account: "alice"}})
		if err != nil || would.Total != 1200 {
			t.Fatalf("a dry run: %+v, %v", would, err)
		}
		if _, err := h.b.StartOperation(t.Context(), alice(), broker.OperationSpec{Kind: fsm.OperationRevoke, Selector: fsm.LeaseSelector{Account: "alice"}, Max: 100}); refusal(err) != broker.CodeTooMany {
			t.Errorf("more than allowed: %v", err)
		}
		pages := 0
		h.log.hold = func(c fsm.Command) {
			if c.Type == fsm.TypeAdvanceOperation {
				if pages++; pages == 2 {
					h.log.next(fsm.TypeAdvanceOperation, committedUnknown)
					go h.cancel()
				}
			}
		}
		op, err := h.b.StartOperation(t.Context(), alice(), broker.OperationSpec{Kind: fsm.OperationRevoke, Selector: fsm.LeaseSelector{Account: "alice"}, Reason: "leak", Max: 1200})
		if err != nil {
			t.Fatal(err)
		}
		h.eventually("the leader goes", func() bool { return !h.b.Leading() })
		<-h.led
		h.lead(2)
		late := h.mustIssue(time.Hour).Lease
		h.eventually("the operation is done", func() bool { return h.operation(op.ID).State == fsm.OperationDone })
		if got := h.operation(op.ID); got.Begun != 1200 || got.Done != 1200 {
			t.Errorf("the operation: %+v", got)
		}
		if got := h.lease(late.ID); got.State != fsm.Active {
			t.Errorf("a lease issued later is %s", got.State)
		}
		if got := len(h.fake.Logins()); got != 1 {
			t.Errorf("%d logins are left", got)
		}
	})
}

// Leases that ended, a month of them, cost an operation no commands.
func TestOperationPassesEndedLeasesBy(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		for range 1100 {
			h.mustIssue(time.Minute)
		}
		pass(2 * time.Minute)
		h.wantNoLogins()
		var pages atomic.Int64
		h.log.hold = func(c fsm.Command) {
			if c.Type == fsm.TypeAdvanceOperation {
				pages.Add(1)
			}
		}
		for name, selector := range map[string]fsm.LeaseSelector{
			"all": {}, "everywhere": {Environments: []fsm.Pattern{"*"}}, "an app": {Environments: []fsm.Pattern{"payments/*"}},
			"account": {Account: "alice"}, "secret": {Secret: ordersRO},
		} {
			pages.Store(0)
			for range 3 {
				h.mustIssue(time.Hour)
			}
			op, err := h.b.StartOperation(t.Context(), alice(), broker.OperationSpec{Kind: fsm.OperationRevoke, Selector: selector})
			if err != nil || op.Total != 3 {
				t.Fatalf("%s: %+v, %v", name, op, err)
			}
			h.eventually("done", func() bool { return h.operation(op.ID).State == fsm.OperationDone })
			if got := h.operation(op.ID); got.Begun != 3 || got.Done != 3 || pages.Load() != 1 {
				t.Errorf("%s: begun %d, done %d in %d commands, want 3 in 1", name, got.Begun, got.Done, pages.Load())
			}
			h.wantNoLogins()
		}
	})
}

func dry() broker.Request {
	r := alice()
	r.DryRun = true
	return r
}

func TestRetryAndForgetInBulk(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		var names []providers.LoginName
		for range 4 {
			names = append(names, providers.LoginName(h.mustIssue(time.Hour).Lease.Username))
			h.fake.Stick(names[len(names)-1], "in use")
		}
		op, err := h.b.StartOperation(t.Context(), alice(), broker.OperationSpec{Kind: fsm.OperationRevoke})
		if err != nil {
			t.Fatal(err)
		}
		h.eventually("all stuck", func() bool { return h.operation(op.ID).Stuck == 4 })
		pass(10 * time.Minute) // pauses are long by now
		for _, n := range names[:2] {
			h.fake.Unstick(n)
		}
		stuck := fsm.LeaseSelector{States: []string{"stuck"}}
		retry, err := h.b.StartOperation(t.Context(), alice(), broker.OperationSpec{Kind: fsm.OperationRetry, Selector: stuck})
		if err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		if got := h.operation(op.ID); got.Done != 2 || got.Stuck != 2 || got.State != fsm.OperationRunning {
			t.Errorf("two seconds after the retry: %+v", got)
		}
		if got := h.operation(retry.ID); got.State != fsm.OperationDone {
			t.Errorf("the retry: %+v", got)
		}
		if _, err := h.b.StartOperation(t.Context(), alice(), broker.OperationSpec{Kind: fsm.OperationForget, Selector: stuck, Reason: "the database is gone"}); err != nil {
			t.Fatal(err)
		}
		h.eventually("done", func() bool { return h.operation(op.ID).State == fsm.OperationDone })
	})
}

func TestRetryOneLease(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		l := h.mustIssue(time.Hour).Lease
		if _, err := h.b.RetryLease(t.Context(), alice(), l.ID); refusal(err) != fsm.CodeLeaseNotRevoking {
			t.Errorf("retrying an active lease: %v", err)
		}
		h.fake.Stick(providers.LoginName(l.Username), "in use")
		if _, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: l.ID}); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Minute)
		h.fake.Unstick(providers.LoginName(l.Username))
		if got, err := h.b.RetryLease(t.Context(), alice(), l.ID); err != nil || got.State != fsm.Revoked {
			t.Errorf("retrying: %+v, %v", got, err)
		}
	})
}

// Locking first and revoking then leaves nothing behind, however fast others issue.
func TestLockAndRevoke(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		stop := make(chan struct{})
		for range 4 {
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(7 * time.Millisecond):
						h.issue(alice(), time.Hour) //nolint:errcheck // refused once the lock is there
					}
				}
			}()
		}
		pass(time.Second)
		lock, op, err := h.b.CreateLock(t.Context(), keyed("lock"), broker.LockSpec{Scope: fsm.LockScope{Environment: "payments/*"}, Reason: "leak", Revoke: true})
		if err != nil {
			t.Fatal(err)
		}
		h.eventually("done", func() bool { return h.operation(op.ID).State == fsm.OperationDone })
		pass(20 * time.Second)
		h.wantNoLogins()
		if _, err := h.issue(alice(), time.Hour); refusal(err) != fsm.CodeLocked {
			t.Errorf("issuing: %v", err)
		}
		close(stop)
		if err := h.b.DeleteLock(t.Context(), alice(), lock.ID, 0); err != nil {
			t.Fatal(err)
		}
		h.mustIssue(time.Hour)
	})
}

func TestDeleteWithLeases(t *testing.T) {
	for _, target := range []fsm.Target{
		{Noun: fsm.TargetEnvironment, Name: string(env)}, {Noun: fsm.TargetConnection, Name: "orders-db"}, {Noun: fsm.TargetSecret, Name: string(ordersRO)},
	} {
		t.Run(string(target.Noun), func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				for i := range 3 {
					h.mustSecret(fsm.NewSecretName(env, fmt.Sprint("s", i)), "orders-db", fmt.Sprint("S", i))
					h.mustIssue(time.Hour)
				}
				name := providers.LoginName(h.leases()[0].Username)
				h.fake.Stick(name, "in use")
				h.fake.FailTimes(providertest.OpCreate, providertest.FaultLoseAnswer, 1)
				h.issue(alice(), time.Hour) //nolint:errcheck // a lease that is not born
				op, err := h.b.DeleteWithLeases(t.Context(), alice(), target, 0, "moving out")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := h.issue(alice(), time.Hour); refusal(err) != fsm.CodeBeingDeleted {
					t.Errorf("issuing: %v", err)
				}
				pass(30 * time.Second)
				if got := h.operation(op.ID); got.State != fsm.OperationRunning || got.Begun != 3 {
					t.Errorf("with a login that sticks: %+v", got)
				}
				h.fake.Unstick(name)
				h.eventually("done", func() bool { return h.operation(op.ID).State == fsm.OperationDone })
				h.wantNoLogins()
				if _, err := h.issue(alice(), time.Hour); refusal(err) != fsm.CodeNotFound {
					t.Errorf("issuing what is gone: %v", err)
				}
			})
		})
	}
}
