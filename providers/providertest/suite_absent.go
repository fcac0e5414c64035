package providertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"broker/providers"
)

func testConfirmTooEarly(t *testing.T, s *suite) {
	login := s.grant().Login
	answers := s.backend.ConfirmAbsent(s.ctx(), []providers.Login{login}, s.Now().Add(time.Hour))
	s.want(providers.KindTooEarly, s.answer(answers, login.Name), "confirming absence too early")
	answers = s.backend.ConfirmAbsent(s.ctx(), []providers.Login{login}, s.Now().Add(-time.Second))
	if err := s.answer(answers, login.Name); err != nil {
		t.Errorf("confirming absence: %v", err)
	}
	s.wantNames()
}

func testConfirmExists(t *testing.T, s *suite) {
	if s.Unrecorded {
		return
	}
	grant, values := s.create()
	absent := s.grant().Login
	answers := s.backend.ConfirmAbsent(s.ctx(), []providers.Login{grant.Login, absent}, s.Now().Add(-time.Second))
	s.want(providers.KindExists, s.answer(answers, grant.Name), "confirming the absence of a login")
	if err := s.answer(answers, absent.Name); err != nil {
		t.Errorf("confirming absence beside a login that exists: %v", err)
	}
	if err := s.LogIn(s.ctx(), values); err != nil {
		t.Errorf("the login was touched: %v", err)
	}
	s.wantNames(grant.Name)
}

func testConfirmOpenCreate(t *testing.T, s *suite) {
	if s.OpenCreate == nil {
		return
	}
	for _, commit := range []bool{false, true} {
		grant := s.grant()
		s.removeAtEnd(grant.Login)
		finish := s.OpenCreate(t, grant)
		confirm := func(ctx context.Context) error {
			return s.backend.ConfirmAbsent(ctx, []providers.Login{grant.Login}, s.Now().Add(-time.Second))[grant.Name]
		}

		// What makes the proof worth something: nothing is confirmed while the create is open.
		ctx, cancel := context.WithTimeout(s.ctx(), 300*time.Millisecond)
		if err := confirm(ctx); err == nil {
			t.Error("absence was confirmed while a create was open")
		}
		cancel()

		done := make(chan error, 1)
		ctx = s.ctx()
		go func() { done <- confirm(ctx) }()
		finish(commit)
		err := <-done
		if !commit && err != nil {
			t.Errorf("confirming absence after the create was taken back: %v", err)
		}
		if commit {
			s.want(providers.KindExists, err, "confirming absence after the create came through")
		}
	}
}

func testList(t *testing.T, s *suite) {
	var want []providers.LoginName
	for range 3 {
		grant, _ := s.create()
		want = append(want, grant.Name)
	}
	s.wantNames(want...)
	if s.Unlisted {
		return
	}
	for found, err := range s.backend.List(s.ctx(), s.prefix+"no_such_name") {
		t.Errorf("listing another prefix yields %q, %v", found.Name, err)
	}
	// Stopping early is fine, and the backend serves on.
	for range s.backend.List(s.ctx(), s.prefix) {
		break
	}
	s.wantNames(want...)
}

func testDoneContext(t *testing.T, s *suite) {
	existing, values := s.create()
	ctx, cancel := context.WithCancel(s.ctx())
	cancel()
	grant := s.grant()
	_, err := s.backend.Create(ctx, grant)
	if e := s.want(providers.KindUnavailable, err, "creating under a context that is done"); !e.NotSent {
		t.Error("a create under a context that is done says that it was sent")
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want an error that is context.Canceled", err)
	}
	if err := s.backend.Revoke(ctx, []providers.Login{existing.Login})[existing.Name]; err == nil {
		t.Error("a revoke under a context that is done is answered with success")
	}
	if _, err := s.backend.Check(ctx); err == nil {
		t.Error("a check under a context that is done succeeds")
	}
	for _, err := range s.backend.List(ctx, s.prefix) {
		if err == nil {
			t.Error("a list under a context that is done yields")
		}
	}
	if err := s.LogIn(s.ctx(), values); err != nil {
		t.Errorf("the login was touched: %v", err)
	}
	s.wantNames(existing.Name)
}

func testClosed(t *testing.T, s *suite) {
	b := s.open(1)
	if err := b.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
	if _, err := b.Create(s.ctx(), s.grant()); err == nil {
		t.Error("a closed backend creates")
	}
	s.wantNames()
}

func testEmptyBatches(t *testing.T, s *suite) {
	for what, answers := range map[string]map[providers.LoginName]error{
		"renew":          s.backend.Renew(s.ctx(), nil),
		"revoke":         s.backend.Revoke(s.ctx(), nil),
		"confirm absent": s.backend.ConfirmAbsent(s.ctx(), nil, s.Now().Add(-time.Second)),
	} {
		if len(answers) > 0 {
			t.Errorf("%s of nothing answers %v", what, answers)
		}
	}
}
