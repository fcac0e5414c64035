package broker_test

import (
	"context"
	"testing"
	"time"

	"broker/broker"
	"broker/fsm"
)

// revokingChanges are the changes that come with a revocation of alice's leases.
var revokingChanges = map[string]struct {
	command fsm.CommandType
	change  func(*house, broker.Request) (made string, op *fsm.Operation, err error)
}{
	"disable an account": {fsm.TypeUpdateAccount, func(h *house, req broker.Request) (string, *fsm.Operation, error) {
		yes := true
		account, op, err := h.b.UpdateAccount(context.Background(), req, broker.AccountChange{Name: "alice", Disabled: &yes})
		return string(account.Name), op, err
	}},
	"lock": {fsm.TypeCreateLock, func(h *house, req broker.Request) (string, *fsm.Operation, error) {
		lock, op, err := h.b.CreateLock(context.Background(), req, broker.LockSpec{Scope: fsm.LockScope{Account: "alice"}, Reason: "leak", Revoke: true})
		return string(lock.ID), op, err
	}},
}

// root asks for what alice cannot do to herself.
func root(key string) broker.Request {
	r := keyed(key)
	r.Actor.Account = "root"
	return r
}

// A leader that dies right after the change was committed leaves nobody's leases behind, and the client
// that asks again hears of the one operation there is.
func TestRevocationIsPartOfTheChange(t *testing.T) {
	for name, c := range revokingChanges {
		t.Run(name, func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				for range 3 {
					h.mustIssue(time.Hour)
				}
				h.log.next(c.command, committedUnknown)
				h.log.before = func(cmd fsm.Command) {
					if cmd.Type == c.command {
						go h.cancel()
					}
				}
				if made, op, err := c.change(h, root("k")); err == nil || made != "" || op != nil {
					t.Fatalf("with a leader that dies: %q, %+v, %v", made, op, err)
				}
				<-h.led
				h.log.before = nil
				h.lead(2)
				h.eventually("the logins are gone", func() bool { return len(h.fake.Logins()) == 0 })
				made, op, err := c.change(h, root("k"))
				if err != nil || made == "" || op == nil || op.Begun != 3 || op.Kind != fsm.OperationRevoke {
					t.Fatalf("asking again: %q, %+v, %v", made, op, err)
				}
				h.wantOneOperation(op.ID)
			})
		})
	}
}

// wantOneOperation fails when there is any but that one.
func (h *house) wantOneOperation(id fsm.OperationID) {
	h.t.Helper()
	h.view(func(v *fsm.View) {
		if list := v.Operations("", 10); len(list) != 1 || list[0].ID != id {
			h.t.Errorf("operations: %+v, want %s alone", list, id)
		}
	})
}

func TestRevocationAnswers(t *testing.T) {
	for name, c := range revokingChanges {
		t.Run(name, func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				for range 3 {
					h.mustIssue(time.Hour)
				}
				tried := root("k")
				tried.DryRun = true
				if _, op, err := c.change(h, tried); err != nil || op == nil || op.Total != 3 {
					t.Errorf("a dry run: %+v, %v", op, err)
				}
				if got := h.leases()[0]; got.State != fsm.Active {
					t.Errorf("after a dry run a lease is %s", got.State)
				}
				made, op, err := c.change(h, root("k"))
				if err != nil || made == "" || op == nil || op.Total != 3 || op.Reason == "" || op.By.Account != "root" {
					t.Fatalf("the change: %q, %+v, %v", made, op, err)
				}
				again, same, err := c.change(h, root("k"))
				if err != nil || again != made || same == nil || same.ID != op.ID {
					t.Errorf("asking again: %q, %+v, %v; want %q and %s", again, same, err, made, op.ID)
				}
				h.wantOneOperation(op.ID)
				h.eventually("done", func() bool { return h.operation(op.ID).State == fsm.OperationDone })
				h.wantNoLogins()
				if _, third, err := c.change(h, root("k")); err != nil || third == nil || third.State != fsm.OperationDone || third.ID != op.ID {
					t.Errorf("asking once more: %+v, %v", third, err)
				}
			})
		})
	}
}

// A change that is refused begins nothing.
func TestRefusedChangeRevokesNothing(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		lease := h.mustIssue(time.Hour).Lease
		yes := true
		if _, op, err := h.b.UpdateAccount(t.Context(), root("k"), broker.AccountChange{Name: "alice", Disabled: &yes, IfVersion: 99}); refusal(err) != fsm.CodeVersionMismatch || op != nil {
			t.Errorf("an old version: %+v, %v", op, err)
		}
		if _, op, err := h.b.UpdateAccount(t.Context(), alice(), broker.AccountChange{Name: "alice", Disabled: &yes}); refusal(err) != fsm.CodeInvalid || op != nil {
			t.Errorf("oneself: %+v, %v", op, err)
		}
		scope := fsm.LockScope{Account: "alice"}
		if _, op, err := h.b.CreateLock(t.Context(), root("k"), broker.LockSpec{Scope: scope, Reason: "leak", Until: time.Now().Add(-time.Hour), Revoke: true}); refusal(err) != fsm.CodeInvalid || op != nil {
			t.Errorf("a lock that is over: %+v, %v", op, err)
		}
		pass(time.Second)
		if got := h.lease(lease.ID); got.State != fsm.Active {
			t.Errorf("the lease is %s", got.State)
		}
		h.view(func(v *fsm.View) {
			if list := v.Operations("", 1); len(list) > 0 {
				t.Errorf("operations: %+v", list)
			}
		})
	})
}

// A label of the secret locks its leases, so revoking behind the lock reaches them.
func TestLockRevokesLeasesOfLabelledSecrets(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		labels := map[string]string{"pci": "yes"}
		if _, _, err := h.b.UpdateSecret(t.Context(), alice(), broker.SecretChange{Name: ordersRO, Labels: &labels}); err != nil {
			t.Fatal(err)
		}
		ordersRW := fsm.NewSecretName(env, "orders-rw")
		h.mustSecret(ordersRW, "orders-db", "RW")
		covered := h.mustIssue(time.Hour).Lease
		var others []fsm.Lease
		for _, labels := range []map[string]string{labels, nil} {
			issued, err := h.b.Issue(t.Context(), alice(), broker.IssueSpec{Secret: ordersRW, TTL: time.Hour, Labels: labels})
			if err != nil {
				t.Fatal(err)
			}
			others = append(others, issued.Lease)
		}
		_, op, err := h.b.CreateLock(t.Context(), alice(), broker.LockSpec{Scope: fsm.LockScope{Label: "pci=yes"}, Reason: "leak", Revoke: true})
		if err != nil || op.Total != 2 {
			t.Fatalf("locking: %+v, %v", op, err)
		}
		h.eventually("done", func() bool { return h.operation(op.ID).State == fsm.OperationDone })
		for id, want := range map[fsm.LeaseID]fsm.LeaseState{covered.ID: fsm.Revoked, others[0].ID: fsm.Revoked, others[1].ID: fsm.Active} {
			if got := h.lease(id); got.State != want {
				t.Errorf("a lease of %s with labels %v is %s, want %s", got.Secret, got.Labels, got.State, want)
			}
		}
	})
}
