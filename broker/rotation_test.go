package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"broker/broker"
	"broker/fsm"
	"broker/providers"
	"broker/providers/providertest"
)

const ordersDB = fsm.ConnectionName("orders-db")

func (h *house) rotation() (r fsm.Rotation) {
	h.t.Helper()
	h.view(func(v *fsm.View) { r, _ = v.Rotation(ordersDB) })
	return r
}

func (h *house) rotate(req broker.Request) (fsm.Rotation, error) {
	return h.b.RotateConnection(h.t.Context(), req, ordersDB)
}

// held returns the root passwords that the ledger holds: of what was planned or was before, and, last, of the connection.
func (h *house) held() (list []string) {
	h.t.Helper()
	open := func(sealed []byte) {
		data, err := h.b.Keyring.Open(sealed, fsm.ConnectionSeal(ordersDB))
		if err != nil {
			h.t.Fatal(err)
		}
		var fields providers.Settings
		if err := json.Unmarshal(data, &fields); err != nil {
			h.t.Fatal(err)
		}
		if p := fields.String("password"); p != "" {
			list = append(list, p)
		}
	}
	h.view(func(v *fsm.View) {
		if r, ok := v.Rotation(ordersDB); ok && len(r.Sealed) > 0 {
			open(r.Sealed)
		}
		c, _ := v.Connection(ordersDB)
		s, _ := v.System(ordersDB, c.System)
		open(s.Sealed)
	})
	return list
}

// neverLockedOut fails when the outside system accepts nothing that the ledger holds.
func (h *house) neverLockedOut() {
	h.t.Helper()
	held, accepted := h.held(), h.fake.RootPasswords()
	if !slices.ContainsFunc(accepted, func(root string) bool { return slices.Contains(held, root) }) {
		h.t.Fatalf("locked out: the ledger holds %d credentials and the outside system accepts none of them; rotation %+v", len(held), h.rotation())
	}
}

// settled waits until no rotation is under way, and never locked out.
func (h *house) settled() fsm.Rotation {
	h.t.Helper()
	for range 1000 {
		h.neverLockedOut()
		if r := h.rotation(); r.Number > 0 && !r.Running() {
			return r
		}
		<-time.After(time.Second)
	}
	h.t.Fatalf("the rotation does not end: %+v", h.rotation())
	return fsm.Rotation{}
}

// settledOrNotBegun is settled where the first request may not have begun any.
func (h *house) settledOrNotBegun() {
	h.t.Helper()
	if h.rotation().Number > 0 {
		h.settled()
	}
}

// wantRotated looks at what a rotation must have left: one password, another one than before, which is the connection's
// and the only one that the ledger holds; and everything works.
func (h *house) wantRotated(before string, older fsm.Lease) {
	h.t.Helper()
	if r := h.settled(); r.State != fsm.RotationDone || r.RotatedAt == 0 || len(r.Sealed)+len(r.Settings) > 0 || r.LastError != "" {
		h.t.Errorf("the rotation: %+v", r)
	}
	if held, accepted := h.held(), h.fake.RootPasswords(); !slices.Equal(held, accepted) || len(held) != 1 || held[0] == before {
		h.t.Errorf("the ledger holds %d passwords, the outside system accepts %d", len(held), len(accepted))
	}
	h.wantWorking(older)
}

func (h *house) wantWorking(older fsm.Lease) {
	h.t.Helper()
	h.eventually("leases are issued", func() bool { _, err := h.issue(alice(), time.Hour); return err == nil })
	if _, err := h.b.Revoke(h.t.Context(), alice(), broker.RevokeSpec{Lease: older.ID}); err != nil {
		h.t.Errorf("revoking a lease from before: %v", err)
	}
	h.wantState(older.ID, fsm.Revoked)
	if _, there := h.fake.Login(providers.LoginName(older.Username)); there {
		h.t.Error("the login of a lease from before is left")
	}
}

func TestRotateConnection(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		older := h.mustIssue(time.Hour).Lease
		began := time.Now()
		r, err := h.rotate(keyed("k"))
		if err != nil || r.State != fsm.RotationDone {
			t.Fatalf("rotating: %+v, %v", r, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %s", took)
		}
		h.wantRotated(rootCanary, older)
		// The same request again does nothing.
		if again, err := h.rotate(keyed("k")); err != nil || again.Number != r.Number {
			t.Errorf("again: %+v, %v", again, err)
		}
		if n := len(h.fake.Calls(providertest.OpRotate)); n != 1 {
			t.Errorf("%d calls", n)
		}
		// And another one.
		before := h.held()[0]
		older = h.mustIssue(time.Hour).Lease
		if _, err := h.rotate(alice()); err != nil {
			t.Fatal(err)
		}
		h.wantRotated(before, older)
	})
}

func TestRotateDryRun(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		req := alice()
		req.DryRun = true
		if _, err := h.rotate(req); err != nil {
			t.Fatal(err)
		}
		h.fake.FailTimes(providertest.OpPlan, providertest.FaultRefuse, 1)
		if _, err := h.rotate(req); refusal(err) != broker.CodeConnectionCheckFailed {
			t.Errorf("without the privilege: %v", err)
		}
		if r := h.rotation(); r.Number != 0 || len(h.fake.Calls(providertest.OpRotate)) > 0 || h.fake.RootPasswords()[0] != rootCanary {
			t.Errorf("a dry run did something: %+v", r)
		}
	})
}

// What makes it unknown which credential is good waits for the rotation's end, and the other way round.
func TestRotationStandsAlone(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		if _, err := h.b.PauseConnection(t.Context(), alice(), broker.PauseSpec{Name: ordersDB, Until: time.Now().Add(time.Minute), Reason: "upgrade"}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.rotate(alice()); refusal(err) != fsm.CodeConnectionPaused {
			t.Errorf("paused: %v", err)
		}
		pass(2 * time.Minute)
		h.fake.Fail(providertest.OpRotate, providertest.FaultUnreachable)
		r, err := h.rotate(alice())
		if err != nil || r.State != fsm.RotationRotating || r.LastError == "" || r.NextTryAt == 0 {
			t.Fatalf("while the system is away: %+v, %v", r, err)
		}
		if _, err := h.rotate(alice()); refusal(err) != fsm.CodeRotationRunning {
			t.Errorf("a second one: %v", err)
		}
		if _, _, err := h.b.UpdateConnection(t.Context(), alice(), broker.ConnectionChange{Name: ordersDB, Settings: map[string]any{"password": rootCanary}}); refusal(err) != fsm.CodeRotationRunning {
			t.Errorf("an update: %v", err)
		}
		if err := h.b.DeleteConnection(t.Context(), alice(), ordersDB, 0); refusal(err) != fsm.CodeRotationRunning {
			t.Errorf("a deletion: %v", err)
		}
		if _, err := h.b.DeleteWithLeases(t.Context(), alice(), fsm.Target{Noun: fsm.TargetConnection, Name: string(ordersDB)}, 0, ""); refusal(err) != fsm.CodeRotationRunning {
			t.Errorf("a deletion with leases: %v", err)
		}
		// Leases go on meanwhile.
		older := h.mustIssue(time.Hour).Lease
		// A pause stops it too.
		if _, err := h.b.PauseConnection(t.Context(), alice(), broker.PauseSpec{Name: ordersDB, Until: time.Now().Add(10 * time.Minute), Reason: "upgrade"}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		calls := len(h.fake.Calls(providertest.OpRotate))
		pass(9 * time.Minute)
		if n := len(h.fake.Calls(providertest.OpRotate)); n != calls {
			t.Errorf("%d calls while paused", n-calls)
		}
		h.fake.Heal()
		h.wantRotated(rootCanary, older)
	})
}

func TestRotationRefused(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		older := h.mustIssue(time.Hour).Lease
		h.fake.FailTimes(providertest.OpRotate, providertest.FaultRefuse, 1)
		if _, err := h.rotate(alice()); refusal(err) != broker.CodeRotationCancelled {
			t.Fatalf("rotating: %v", err)
		}
		if r := h.settled(); r.State != fsm.RotationCancelled || r.Reason == "" {
			t.Errorf("the rotation: %+v", r)
		}
		h.wantWorking(older)
		older = h.mustIssue(time.Hour).Lease
		if r, err := h.rotate(alice()); err != nil || r.State != fsm.RotationDone {
			t.Errorf("the next one: %+v, %v", r, err)
		}
		h.wantRotated(rootCanary, older)
	})
}

// crashTable is what may go wrong at each step, and with what.
var crashTable = map[string]func(h *house, c *crash){
	"nothing":                       func(*house, *crash) {},
	"before the plan is recorded":   func(_ *house, c *crash) { c.before = fsm.TypeBeginRotation },
	"after the plan is recorded":    func(_ *house, c *crash) { c.after = fsm.TypeBeginRotation },
	"the plan's outcome is unknown": func(h *house, _ *crash) { h.log.next(fsm.TypeBeginRotation, committedUnknown) },

	"rotate: unreachable":   func(h *house, _ *crash) { h.fake.FailTimes(providertest.OpRotate, providertest.FaultUnreachable, 3) },
	"rotate: call lost":     func(h *house, _ *crash) { h.fake.FailTimes(providertest.OpRotate, providertest.FaultLoseCall, 3) },
	"rotate: answer lost":   func(h *house, _ *crash) { h.fake.FailTimes(providertest.OpRotate, providertest.FaultLoseAnswer, 1) },
	"rotate: hangs":         func(h *house, _ *crash) { h.fake.FailTimes(providertest.OpRotate, providertest.FaultHang, 1) },
	"rotate: hangs after":   func(h *house, _ *crash) { h.fake.FailTimes(providertest.OpRotate, providertest.FaultHangAfter, 1) },
	"rotate: executes late": func(h *house, _ *crash) { h.fake.FailTimes(providertest.OpRotate, providertest.FaultLate, 1) },
	"rotate: the leader goes": func(h *house, c *crash) {
		c.at = providertest.OpRotate
		h.fake.FailTimes(c.at, providertest.FaultHang, 1)
	},
	"rotate: done, leader goes": func(h *house, c *crash) {
		c.at = providertest.OpRotate
		h.fake.FailTimes(c.at, providertest.FaultHangAfter, 1)
	},
	"rotate: late, leader goes": func(h *house, c *crash) {
		c.at = providertest.OpRotate
		h.fake.FailTimes(c.at, providertest.FaultLate, 1)
	},
	"check: unreachable":          func(_ *house, c *crash) { c.checks = providertest.FaultUnreachable },
	"check: hangs":                func(_ *house, c *crash) { c.checks = providertest.FaultHang },
	"check: refused":              func(_ *house, c *crash) { c.checks = providertest.FaultRefuse },
	"before the commit":           func(_ *house, c *crash) { c.before = fsm.TypeCommitRotation },
	"after the commit":            func(_ *house, c *crash) { c.after = fsm.TypeCommitRotation },
	"the commit is not committed": func(h *house, _ *crash) { h.log.next(fsm.TypeCommitRotation, notCommitted) },
	"the commit is lost":          func(h *house, _ *crash) { h.log.next(fsm.TypeCommitRotation, lostUnknown) },
	"the commit comes later":      func(h *house, _ *crash) { h.log.next(fsm.TypeCommitRotation, committedLater) },
	"the commit's answer is lost": func(h *house, _ *crash) { h.log.next(fsm.TypeCommitRotation, committedUnknown) },
	"retire: unreachable":         func(h *house, _ *crash) { h.fake.FailTimes(providertest.OpRetire, providertest.FaultUnreachable, 3) },
	"retire: refused":             func(h *house, _ *crash) { h.fake.FailTimes(providertest.OpRetire, providertest.FaultRefuse, 3) },
	"retire: call lost":           func(h *house, _ *crash) { h.fake.FailTimes(providertest.OpRetire, providertest.FaultLoseCall, 3) },
	"retire: answer lost":         func(h *house, _ *crash) { h.fake.FailTimes(providertest.OpRetire, providertest.FaultLoseAnswer, 1) },
	"retire: the leader goes": func(h *house, c *crash) {
		c.at = providertest.OpRetire
		h.fake.FailTimes(c.at, providertest.FaultHang, 1)
	},
	"retire: done, leader goes": func(h *house, c *crash) {
		c.at = providertest.OpRetire
		h.fake.FailTimes(c.at, providertest.FaultHangAfter, 1)
	},
	"retire: late, leader goes": func(h *house, c *crash) {
		c.at = providertest.OpRetire
		h.fake.FailTimes(c.at, providertest.FaultLate, 1)
	},
	"before the end is recorded": func(_ *house, c *crash) { c.before = fsm.TypeFinishRotation },
	"after the end is recorded":  func(_ *house, c *crash) { c.after = fsm.TypeFinishRotation },
	"the end is lost":            func(h *house, _ *crash) { h.log.next(fsm.TypeFinishRotation, lostUnknown) },
	"the end comes later":        func(h *house, _ *crash) { h.log.next(fsm.TypeFinishRotation, committedLater) },
	"the end's answer is lost":   func(h *house, _ *crash) { h.log.next(fsm.TypeFinishRotation, committedUnknown) },
	"trouble cannot be recorded": func(h *house, _ *crash) {
		h.fake.FailTimes(providertest.OpRotate, providertest.FaultUnreachable, 2)
		h.log.next(fsm.TypeRecordRotationTrouble, lostUnknown)
	},
}

// crash says where the leader goes.
type crash struct {
	before, after fsm.CommandType
	at            providertest.Op
	checks        providertest.Fault // of the check of the new credential
}

func TestRotationCrashes(t *testing.T) {
	for _, keys := range []bool{false, true} {
		for name, arrange := range crashTable {
			t.Run(fmt.Sprintf("%s/%s", map[bool]string{false: "one password", true: "keys"}[keys], name), func(t *testing.T) {
				inHouse(t, func(t *testing.T, h *house) { testRotationCrash(t, h, keys, arrange) })
			})
		}
	}
}

func testRotationCrash(t *testing.T, h *house, keys bool, arrange func(*house, *crash)) {
	if keys {
		h.fake.KeepRoots()
	}
	older := h.mustIssue(time.Hour).Lease
	var c crash
	arrange(h, &c)
	var once sync.Once
	die := func(when bool) {
		if when {
			once.Do(h.cancel)
		}
	}
	checked := false
	h.log.hold = func(cmd fsm.Command) {
		h.neverLockedOut()
		die(cmd.Type == c.before)
		if cmd.Type == fsm.TypeBeginRotation && c.checks != providertest.FaultNone && !checked {
			checked = true
			h.fake.FailTimes(providertest.OpCheck, c.checks, 2)
		}
	}
	h.log.after = func(cmd fsm.Command) {
		h.neverLockedOut()
		die(cmd.Type == c.after)
	}
	asked := make(chan error, 1)
	go func() {
		_, err := h.rotate(keyed("k"))
		asked <- err
	}()
	if c.at != "" {
		h.eventually("the call", func() bool { return len(h.fake.Calls(c.at)) > 0 })
		die(true)
	}
	if c.before != 0 || c.after != 0 || c.at != "" {
		if err := <-h.led; err != nil {
			t.Errorf("leading: %v", err)
		}
		h.cancel = nil
		pass(10 * time.Second) // nobody leads
		h.lead(2)
	}
	<-asked
	// The client asks again until it is told.
	h.settledOrNotBegun()
	if r, err := h.rotate(keyed("k")); err != nil || r.Running() {
		t.Errorf("asking again: %+v, %v", r, err)
	}
	h.wantRotated(rootCanary, older)
	// Whatever was on its way comes now, and after another rotation.
	h.fake.Deliver()
	h.neverLockedOut()
	h.wantWorking(h.mustIssue(time.Hour).Lease)
	n := 1
	if c.before == fsm.TypeBeginRotation {
		n = len(h.rotations())
	}
	if began := h.rotations(); len(began) != n {
		t.Errorf("%d rotations for one request", len(began))
	}
}

// rotations returns the numbers of the rotations that history tells of.
func (h *house) rotations() (list []string) {
	h.view(func(v *fsm.View) {
		for _, e := range v.Events(0, 1<<20) {
			if e.Type == fsm.EventRotationBegun {
				list = append(list, e.Details["rotation"])
			}
		}
	})
	return list
}

// A call that stood still for long comes about when its rotation is history, and so is the next one.
func TestLateRotateAfterTheNextOne(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.fake.FailTimes(providertest.OpRotate, providertest.FaultLate, 1)
		if _, err := h.rotate(alice()); err != nil {
			t.Fatal(err)
		}
		h.settled()
		if _, err := h.rotate(alice()); err != nil {
			t.Fatal(err)
		}
		h.settled()
		if h.fake.Deliver() != 1 {
			t.Fatal("nothing was late")
		}
		h.neverLockedOut()
		h.wantWorking(h.mustIssue(time.Hour).Lease)
	})
}

// Given up, and it comes about all the same: the ledger has what was planned, and the next rotation goes on from there.
func TestLateRotateAfterCancel(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		older := h.mustIssue(time.Hour).Lease
		h.fake.Fail(providertest.OpRotate, providertest.FaultLate)
		if r, err := h.rotate(alice()); err != nil || !r.Running() {
			t.Fatalf("%+v, %v", r, err)
		}
		r, warnings, err := h.b.CancelRotation(t.Context(), alice(), ordersDB, "it takes too long")
		if err != nil || r.State != fsm.RotationCancelled || len(warnings) > 0 {
			t.Fatalf("%+v, %v, %v", r, warnings, err)
		}
		h.mustIssue(time.Hour)
		h.fake.Deliver()
		h.neverLockedOut()
		if _, err := h.issue(alice(), time.Hour); err == nil {
			t.Error("the connection's password is good: the test is wrong")
		}
		h.fake.Heal()
		if r, err := h.rotate(alice()); err != nil || r.State != fsm.RotationDone {
			t.Fatalf("the next one: %+v, %v", r, err)
		}
		h.wantRotated(rootCanary, older)
	})
}

// What was planned for one place is not shown to another, which whoever moves the connection has chosen.
func TestPlanStaysWhereItWasMadeFor(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.fake.Fail(providertest.OpRotate, providertest.FaultLate)
		if r, err := h.rotate(alice()); err != nil || !r.Running() {
			t.Fatalf("%+v, %v", r, err)
		}
		planned := h.held()[0]
		if _, _, err := h.b.CancelRotation(t.Context(), alice(), ordersDB, "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.rotate(alice()); err != nil || h.held()[0] != planned {
			t.Fatalf("in the same place the next rotation plans another password: %v", err)
		}
		if _, _, err := h.b.CancelRotation(t.Context(), alice(), ordersDB, "x"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.b.UpdateConnection(t.Context(), alice(), broker.ConnectionChange{
			Name: ordersDB, System: broker.Moved, SkipCheck: true, Settings: map[string]any{"system": "elsewhere", "password": rootCanary},
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.rotate(alice()); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(h.held(), planned) {
			t.Error("the password that was planned for one place is tried at another")
		}
	})
}

func TestCancelTellsWhatIsGood(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		if _, _, err := h.b.CancelRotation(t.Context(), alice(), ordersDB, "x"); refusal(err) != fsm.CodeRotationNotRunning {
			t.Errorf("nothing is under way: %v", err)
		}
		h.log.next(fsm.TypeCommitRotation, slices.Repeat([]outcome{notCommitted}, 30)...)
		if r, err := h.rotate(alice()); err != nil || r.State != fsm.RotationRotating {
			t.Fatalf("%+v, %v", r, err)
		}
		if _, warnings, err := h.b.CancelRotation(t.Context(), alice(), ordersDB, "x"); err != nil || len(warnings) != 1 {
			t.Errorf("the planned password is the good one: %q, %v", warnings, err)
		}
		h.neverLockedOut()
		h.log.mu.Lock()
		h.log.plan[fsm.TypeCommitRotation] = nil
		h.log.mu.Unlock()
		if r, err := h.rotate(alice()); err != nil || r.State != fsm.RotationDone {
			t.Errorf("%+v, %v", r, err)
		}
		// The old one is not retired, and an operator has enough of it.
		h.fake.Fail(providertest.OpRetire, providertest.FaultRefuse)
		if r, err := h.rotate(alice()); err != nil || r.State != fsm.RotationRetiring {
			t.Errorf("%+v, %v", r, err)
		}
		r, warnings, err := h.b.CancelRotation(t.Context(), alice(), ordersDB, "x")
		if err != nil || len(warnings) != 1 || len(r.Sealed) > 0 {
			t.Errorf("%+v, %q, %v", r, warnings, err)
		}
		h.neverLockedOut()
	})
}

// The outside system is restored from before the rotation, while the old credential is being retired.
func TestRotationReverted(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		older := h.mustIssue(time.Hour).Lease
		h.fake.Fail(providertest.OpRetire, providertest.FaultUnreachable)
		if r, err := h.rotate(alice()); err != nil || r.State != fsm.RotationRetiring {
			t.Fatalf("%+v, %v", r, err)
		}
		h.fake.SetRootPassword(rootCanary)
		h.fake.Heal()
		if r := h.settled(); r.State != fsm.RotationCancelled || r.Reason == "" {
			t.Errorf("%+v", r)
		}
		if held := h.held(); len(held) != 1 || held[0] != rootCanary {
			t.Errorf("the ledger holds %d passwords", len(held))
		}
		h.wantWorking(older)
	})
}

// A system that goes on accepting the old credential keeps the rotation open, in sight.
func TestOldCredentialStillAccepted(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.fake.KeepRoots()
		h.fake.Fail(providertest.OpRetire, providertest.FaultNone)
		h.log.before = func(c fsm.Command) {
			if c.Type == fsm.TypeCommitRotation {
				h.fake.SetRootPassword("") // it accepts everything
			}
		}
		r, err := h.rotate(alice())
		if err != nil || r.State != fsm.RotationRetiring || r.LastError == "" {
			t.Errorf("%+v, %v", r, err)
		}
		pass(time.Hour)
		if n := len(h.fake.Calls(providertest.OpRetire)); n < 10 || n > 200 {
			t.Errorf("%d tries in an hour", n)
		}
	})
}

// Leases are issued, renewed and revoked meanwhile, and nobody notices.
func TestRotationUnderLoad(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.log.hold = func(c fsm.Command) {
			if c.Type == fsm.TypeCommitRotation {
				<-time.After(50 * time.Millisecond) // the time in which nobody knows which credential is good
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for range 16 {
			clients.Go(func() {
				for ctx.Err() == nil {
					issued, err := h.issue(alice(), time.Hour)
					if err != nil {
						t.Errorf("issuing: %v", err)
						return
					}
					if _, err := h.b.Renew(t.Context(), alice(), broker.RenewSpec{Lease: issued.Lease.ID, TTL: time.Minute}); err != nil {
						t.Errorf("renewing: %v", err)
					}
					if l, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: issued.Lease.ID}); err != nil || l.State != fsm.Revoked {
						t.Errorf("revoking: %s, %v", l.State, err)
					}
					<-time.After(3 * time.Millisecond)
				}
			})
		}
		for range 5 {
			if r, err := h.rotate(alice()); err != nil || r.State != fsm.RotationDone {
				t.Errorf("rotating: %+v, %v", r, err)
			}
			pass(100 * time.Millisecond)
		}
		stop()
		clients.Wait()
		h.wantNoLogins()
	})
}

// A restored cluster exchanges nothing. One may be given up there, since the credential may be changed by hand.
func TestRotationInARestoredCluster(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.fake.Fail(providertest.OpRotate, providertest.FaultUnreachable)
		if _, err := h.rotate(alice()); err != nil {
			t.Fatal(err)
		}
		h.depose()
		h.fake.Heal()
		term, err := h.log.beginLife(fsm.Life{Restored: &fsm.Restored{At: fsm.At(time.Now()), CreatedAt: fsm.At(time.Now())}})
		if err != nil {
			t.Fatal(err)
		}
		calls := len(h.fake.Calls(providertest.OpRotate))
		h.lead(term)
		pass(5 * time.Minute)
		if n := len(h.fake.Calls(providertest.OpRotate)); n != calls {
			t.Errorf("%d calls", n-calls)
		}
		if _, err := h.rotate(alice()); refusal(err) != fsm.CodeClusterRestored {
			t.Errorf("rotating: %v", err)
		}
		if _, _, err := h.b.CancelRotation(t.Context(), alice(), ordersDB, "by hand"); err != nil {
			t.Errorf("giving it up: %v", err)
		}
		if _, _, err := h.b.UpdateConnection(t.Context(), alice(), broker.ConnectionChange{Name: ordersDB, Settings: map[string]any{"password": rootCanary}}); err != nil {
			t.Errorf("changing it by hand: %v", err)
		}
	})
}

// What is held for a rotation is sealed anew with everything else.
func TestRotationAndSealingKey(t *testing.T) {
	inSealedHouse(t, func(t *testing.T, h *house, k *keyFiles) {
		older := h.mustIssue(time.Hour).Lease
		h.fake.Fail(providertest.OpRotate, providertest.FaultUnreachable)
		if _, err := h.rotate(alice()); err != nil {
			t.Fatal(err)
		}
		h.mustRotate()
		h.rotated(k)
		h.fake.Heal()
		h.fake.Fail(providertest.OpRetire, providertest.FaultUnreachable)
		h.eventually("retiring", func() bool { return h.rotation().State == fsm.RotationRetiring })
		h.mustRotate()
		h.rotated(k)
		h.fake.Heal()
		h.wantRotated(rootCanary, older)
	})
}

func TestRotationNeedsAProviderThatCan(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		if _, err := h.b.RotateConnection(t.Context(), alice(), "nope"); refusal(err) != fsm.CodeNotFound {
			t.Errorf("%v", err)
		}
		h.fake.SetRootPassword("changed by hand")
		if _, err := h.rotate(alice()); refusal(err) != broker.CodeConnectionCheckFailed {
			t.Errorf("with a wrong credential: %v", err)
		}
		h.fake.Fail(providertest.OpCheck, providertest.FaultUnreachable)
		var unavailable *broker.UnavailableError
		if _, err := h.rotate(alice()); !errors.As(err, &unavailable) {
			t.Errorf("while the system is away: %v", err)
		}
		if r := h.rotation(); r.Number != 0 {
			t.Errorf("%+v", r)
		}
	})
}
