package providertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"broker/providers"
)

// eventually repeats what may fail for a moment after an outage.
func (s *suite) eventually(what string, try func() error) {
	s.t.Helper()
	ctx := s.ctx()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

func testDown(t *testing.T, s *suite) {
	if s.Outage == nil {
		return
	}
	existing, values := s.create()
	if err := s.Outage.Stop(); err != nil {
		t.Fatal(err)
	}
	started := false
	start := func() {
		if !started {
			started = true
			if err := s.Outage.Start(context.WithoutCancel(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(start) // also when the test ends here
	fresh := s.open(1)
	_, err := fresh.Check(s.ctx())
	s.want(providers.KindUnavailable, err, "checking a system that is down")
	grant := s.grant()
	_, err = fresh.Create(s.ctx(), grant)
	if e := s.want(providers.KindUnavailable, err, "creating at a system that is down"); !e.NotSent {
		t.Error("a create that was refused a connection says that it was sent")
	}
	if err := s.answer(s.revoke(existing.Login), existing.Name); err == nil {
		t.Error("revoking at a system that is down is answered with success")
	}
	if err := s.answer(s.backend.ConfirmAbsent(s.ctx(), []providers.Login{grant.Login}, s.Now().Add(-time.Second)), grant.Name); err == nil {
		t.Error("absence at a system that is down is confirmed")
	}
	for _, err := range s.backend.List(s.ctx(), s.prefix) {
		if err == nil {
			t.Error("a system that is down lists logins")
		}
	}
	start()
	// Connections of before are dead; that is nobody's fault, and passes by itself.
	s.eventually("checking after the outage", func() error { _, err := s.backend.Check(s.ctx()); return err })
	if err := s.LogIn(s.ctx(), values); err != nil {
		t.Errorf("a login did not outlive the outage: %v", err)
	}
	s.eventually("revoking after the outage", func() error { return s.answer(s.revoke(existing.Login), existing.Name) })
	if err := s.LogIn(s.ctx(), values); err == nil {
		t.Error("a log-in was accepted after revoking")
	}
	s.create()
}

func testHanging(t *testing.T, s *suite) {
	if s.Outage == nil {
		return
	}
	existing, values := s.create()
	if err := s.Outage.Pause(); err != nil {
		t.Fatal(err)
	}
	resumed := false
	resume := func() {
		if !resumed {
			resumed = true
			if err := s.Outage.Resume(); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(resume)
	grant := s.grant()
	for what, call := range map[string]func(ctx context.Context) error{
		"create": func(ctx context.Context) error { _, err := s.backend.Create(ctx, grant); return err },
		"revoke": func(ctx context.Context) error {
			return s.answer(s.backend.Revoke(ctx, []providers.Login{existing.Login}), existing.Name)
		},
	} {
		ctx, cancel := context.WithTimeout(s.ctx(), 500*time.Millisecond)
		began := time.Now()
		err := call(ctx)
		cancel()
		var e *providers.Error
		if !errors.As(err, &e) || e.Kind != providers.KindUnknown && e.Kind != providers.KindUnavailable {
			t.Errorf("%s at a system that hangs: got %v, want unknown or unavailable", what, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s at a system that hangs returned after %s", what, took)
		}
	}
	resume()
	s.removeAtEnd(grant.Login)
	// What was under way may still be carried out: nothing is proven before it is over.
	s.eventually("revoking after the system hung", func() error {
		return errors.Join(s.answer(s.revoke(existing.Login), existing.Name), s.answer(s.revoke(grant.Login), grant.Name))
	})
	if err := s.LogIn(s.ctx(), values); err == nil {
		t.Error("a log-in was accepted after revoking")
	}
	s.eventually("confirming absence after the system hung", func() error {
		err := s.answer(s.backend.ConfirmAbsent(s.ctx(), []providers.Login{grant.Login}, s.Now().Add(-time.Second)), grant.Name)
		var e *providers.Error
		if errors.As(err, &e) && e.Kind == providers.KindExists {
			return errors.Join(err, s.answer(s.revoke(grant.Login), grant.Name))
		}
		return err
	})
	s.wantNames()
}
