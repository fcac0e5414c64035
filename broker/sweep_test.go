package broker_test

import (
	"slices"
	"testing"
	"time"

	"broker/broker"
	"broker/fsm"
	"broker/providers"
	"broker/providers/providertest"
)

const clusterID = "01jd0000000000000000cluster"

// plant puts a login with our prefix there that no lease knows.
func (h *house) plant(unique, cluster string) providers.LoginName {
	name := providers.NewLoginName(providers.DefaultPrefix, providers.Cluster4(clusterID), "lost", unique, 63)
	h.fake.Add(providertest.FakeLogin{Name: name, ClusterID: cluster, CanLogin: true})
	return name
}

func (h *house) sweep(name fsm.ConnectionName) broker.SweepReport {
	h.t.Helper()
	reports, err := h.b.SweepNow(h.t.Context(), alice(), name)
	if err != nil || len(reports) != 1 {
		h.t.Fatalf("sweeping: %+v, %v", reports, err)
	}
	if reports[0].Err != nil {
		h.t.Fatalf("sweeping: %v", reports[0].Err)
	}
	return reports[0]
}

func TestSweepRemovesOrphansSeenTwice(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		live := h.mustIssue(time.Hour)
		orphan, foreign := h.plant("a", clusterID), h.plant("b", "another cluster")
		r := h.sweep("orders-db")
		if r.Listed != 3 || len(r.Orphans) != 2 || len(r.Adopted) != 0 {
			t.Errorf("the first sweep: %+v", r)
		}
		pass(time.Minute)
		if r := h.sweep("orders-db"); len(r.Adopted) != 0 {
			t.Errorf("a sweep within the quarantine adopts %+v", r.Adopted)
		}
		pass(5 * time.Minute)
		r = h.sweep("orders-db")
		if len(r.Adopted) != 1 || r.Adopted[0].Username != string(orphan) || len(r.Orphans) != 1 || r.Orphans[0].Username != string(foreign) {
			t.Errorf("after the quarantine: %+v", r)
		}
		h.wantState(r.Adopted[0].ID, fsm.Revoked)
		if _, there := h.fake.Login(orphan); there {
			t.Error("the orphan exists still")
		}
		if _, there := h.fake.Login(foreign); !there {
			t.Error("another cluster's login was removed")
		}
		if l := h.lease(live.Lease.ID); l.State != fsm.Active {
			t.Errorf("the live lease is %s", l.State)
		}
		if got := h.history(r.Adopted[0].ID); !slices.Equal(got, []fsm.EventType{fsm.EventLeaseAdopted, fsm.EventLeaseRevoked}) {
			t.Errorf("history: %v", got)
		}
	})
}

// Sweeping by itself, and over a change of leader: what was seen before counts.
func TestSweepGoesOnByItself(t *testing.T) {
	inHouseOf(t, broker.Timing{Sweep: time.Minute}, func(t *testing.T, h *house) {
		orphan := h.plant("a", clusterID)
		h.eventually("the first sweep", func() bool { return len(h.fake.Calls(providertest.OpList)) > 0 })
		h.depose()
		h.lead(2)
		h.eventually("the orphan is gone", func() bool { _, there := h.fake.Login(orphan); return !there })
	})
}

func TestSweepModes(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		orphan := h.plant("a", clusterID)
		for _, mode := range []fsm.SweepMode{fsm.SweepReport, fsm.SweepOff} {
			if _, _, err := h.b.UpdateConnection(t.Context(), alice(), broker.ConnectionChange{Name: "orders-db", Sweep: &mode}); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				r := h.sweep("orders-db")
				if len(r.Adopted) != 0 || (r.Skipped != "") != (mode == fsm.SweepOff) || mode == fsm.SweepReport && len(r.Orphans) != 1 {
					t.Errorf("%s: %+v", mode, r)
				}
				pass(6 * time.Minute)
			}
		}
		if _, there := h.fake.Login(orphan); !there {
			t.Error("it was removed all the same")
		}
	})
}

func TestMissingLogins(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		l := h.mustIssue(2 * time.Hour).Lease
		login, _ := h.fake.Login(providers.LoginName(l.Username))
		h.fake.Remove(login.Name)
		if r := h.sweep("orders-db"); !slices.Equal(r.Missing, []fsm.LeaseID{l.ID}) {
			t.Errorf("missing: %+v", r)
		}
		if got := h.lease(l.ID); got.Shown(0) != "missing" {
			t.Errorf("the lease is shown as %s", got.Shown(0))
		}
		h.fake.Add(login)
		if r := h.sweep("orders-db"); len(r.Missing) != 0 {
			t.Errorf("there again: %+v", r)
		}
		h.fake.Remove(login.Name)
		h.sweep("orders-db")
		if got, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: l.ID}); err != nil || got.State != fsm.Revoked || got.Missing {
			t.Errorf("revoking what is gone: %+v, %v", got, err)
		}
	})
}

// A lease that is being made while the sweep lists is not taken for an orphan, however the two meet.
func TestSweepRacesPrepare(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		for i := range 20 {
			done := make(chan broker.Issued, 1)
			go func() {
				<-time.After(time.Duration(i) * time.Millisecond)
				issued, err := h.issue(alice(), time.Hour)
				if err != nil {
					t.Error(err)
				}
				done <- issued
			}()
			if r := h.sweep("orders-db"); len(r.Orphans)+len(r.Missing) > 0 {
				t.Errorf("round %d: %+v", i, r)
			}
			<-done
			pass(6 * time.Minute)
		}
	})
}

// A forgotten lease's login is an orphan.
func TestForgottenLoginsAreFound(t *testing.T) {
	inHouseOf(t, broker.Timing{Sweep: time.Minute}, func(t *testing.T, h *house) {
		l := h.mustIssue(time.Hour).Lease
		name := providers.LoginName(l.Username)
		h.fake.Stick(name, "in use")
		if _, err := h.b.Revoke(t.Context(), alice(), broker.RevokeSpec{Lease: l.ID}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.b.ForgetLease(t.Context(), alice(), l.ID, ""); refusal(err) != fsm.CodeInvalid {
			t.Errorf("forgetting without a reason: %v", err)
		}
		got, err := h.b.ForgetLease(t.Context(), alice(), l.ID, "the table is locked for a week")
		if err != nil || got.State != fsm.Revoked || got.Shown(0) != "forgotten" {
			t.Fatalf("forgetting: %+v, %v", got, err)
		}
		h.fake.Unstick(name)
		h.eventually("the sweep removes it", func() bool { _, there := h.fake.Login(name); return !there })
	})
}

// Two connections may lead to one server, for two of its databases: each lists the logins of both.
func TestSweepOfAServerWithTwoConnections(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.mustConnection("invoices-db", "main")
		const secret = fsm.SecretName(env + "/invoices-ro")
		h.mustSecret(secret, "invoices-db", "INVOICES")
		issued, err := h.b.Issue(t.Context(), alice(), broker.IssueSpec{Secret: secret, TTL: 2 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		name := providers.LoginName(issued.Lease.Username)
		for range 3 {
			if r := h.sweep("orders-db"); r.Listed != 1 || len(r.Orphans)+len(r.Adopted) != 0 {
				t.Errorf("a login of the other connection's lease: %+v", r)
			}
			pass(6 * time.Minute)
		}
		if _, there := h.fake.Login(name); !there {
			t.Error("the other connection's login was removed")
		}
	})
}
