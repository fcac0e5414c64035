package providertest

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/providers"
)

func testDescription(t *testing.T, s *suite) {
	if _, err := providers.NewRegistry(s.Provider); err != nil {
		t.Errorf("registering: %v", err)
	}
	if diff := cmp.Diff(s.description, s.Provider.Describe()); diff != "" {
		t.Errorf("described twice (-first +second):\n%s", diff)
	}
	if s.description.Title == "" || s.description.Summary == "" {
		t.Error("title or summary is missing")
	}
	for _, f := range slices.Concat(s.description.Connection, s.description.Options) {
		if f.Help == "" {
			t.Errorf("field %s has no help", f.Name)
		}
	}
	if _, ok := s.description.Output("username"); !ok {
		t.Error("no output username: a lease shows its login's name")
	}
}

func testValidatesToItself(t *testing.T, s *suite) {
	throughJSON := func(values any) map[string]any {
		t.Helper()
		content, err := json.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		var decoded map[string]any
		if err := json.Unmarshal(content, &decoded); err != nil {
			t.Fatal(err)
		}
		return decoded
	}
	settings, problems := s.description.ValidateConnection(throughJSON(s.settings))
	if len(problems) > 0 {
		t.Errorf("validating the connection again: %v", problems)
	}
	if diff := cmp.Diff(s.settings, settings); diff != "" {
		t.Errorf("the connection changed (-first +again):\n%s", diff)
	}
	options, problems := s.description.ValidateOptions(throughJSON(s.options))
	if len(problems) > 0 {
		t.Errorf("validating the options again: %v", problems)
	}
	if diff := cmp.Diff(s.options, options); diff != "" {
		t.Errorf("the options changed (-first +again):\n%s", diff)
	}
}

func testCheck(t *testing.T, s *suite) {
	first, err := s.backend.Check(s.ctx())
	if err != nil {
		t.Fatalf("checking: %v", err)
	}
	second, err := s.open(1).Check(s.ctx())
	if err != nil {
		t.Fatalf("checking again: %v", err)
	}
	if first == "" || first != second {
		t.Errorf("system: got %q and then %q, want the same twice", first, second)
	}
	problems, err := providers.CheckOptions(s.ctx(), s.backend, s.options)
	if err != nil || len(problems) > 0 {
		t.Errorf("checking the options: got %v, %v, want none", problems, err)
	}
	s.wantNames()
}

func testLife(t *testing.T, s *suite) {
	grant, values := s.create()
	for _, name := range s.description.OutputNames() {
		if values[name].IsZero() {
			t.Errorf("output %s is empty", name)
		}
	}
	if len(values) != len(s.description.Outputs) {
		t.Errorf("got %d values, want the %d that are described", len(values), len(s.description.Outputs))
	}
	if got := values["username"].Reveal(); got != string(grant.Name) {
		t.Errorf("username: got %q, want the granted name %q", got, grant.Name)
	}
	if err := s.LogIn(s.ctx(), values); err != nil {
		t.Fatalf("logging in with the lease's values: %v", err)
	}
	s.wantNames(grant.Name)

	longer := grant.Login
	longer.ExpiresAt = longer.ExpiresAt.Add(time.Hour)
	err := s.answer(s.backend.Renew(s.ctx(), []providers.Login{longer}), grant.Name)
	if s.description.Fixed {
		s.want(providers.KindUnsupported, err, "renewing what cannot be")
	} else if err != nil {
		t.Errorf("renewing: %v", err)
	}
	if err := s.LogIn(s.ctx(), values); err != nil {
		t.Errorf("logging in after renewing: %v", err)
	}
	if err := s.answer(s.revoke(longer), grant.Name); err != nil {
		t.Errorf("revoking: %v", err)
	}
	if err := s.LogIn(s.ctx(), values); err == nil {
		t.Error("a log-in was accepted after revoking")
	}
	s.wantNames()
}

func testDuplicate(t *testing.T, s *suite) {
	if s.Unrecorded {
		return
	}
	grant, values := s.create()
	_, err := s.backend.Create(s.ctx(), grant)
	s.want(providers.KindExists, err, "creating a login twice")
	if err := s.LogIn(s.ctx(), values); err != nil {
		t.Errorf("the first login no longer works: %v", err)
	}
}

func testForeignName(t *testing.T, s *suite) {
	grant := s.grant()
	grant.Name = "x" + grant.Name
	_, err := s.backend.Create(s.ctx(), grant)
	if e := s.want(providers.KindRejected, err, "creating a foreign name"); !e.NotSent {
		t.Error("creating a foreign name was sent")
	}
	s.want(providers.KindRejected, s.answer(s.revoke(grant.Login), grant.Name), "revoking a foreign name")
}

func testPastDeadline(t *testing.T, s *suite) {
	grant := s.grant()
	grant.Deadline = s.Now().Add(-time.Second)
	_, err := s.backend.Create(s.ctx(), grant)
	s.want(providers.KindRejected, err, "creating past the deadline")
	s.wantNames()
	if err := s.answer(s.backend.ConfirmAbsent(s.ctx(), []providers.Login{grant.Login}, grant.Deadline), grant.Name); err != nil {
		t.Errorf("confirming absence: %v", err)
	}
}

func testBrokenCreate(t *testing.T, s *suite) {
	if s.BrokenOptions == nil {
		return
	}
	grant := s.grant()
	grant.Options = s.validate(s.BrokenOptions)
	_, err := s.backend.Create(s.ctx(), grant)
	s.want(providers.KindRejected, err, "creating with broken options")
	if err := s.answer(s.revoke(grant.Login), grant.Name); err != nil {
		t.Errorf("revoking what half was made: %v", err)
	}
	s.wantNames()
}

func testRenew(t *testing.T, s *suite) {
	grant, values := s.create()
	shorter, unknown := grant.Login, s.grant().Login
	shorter.ExpiresAt = s.Now().Add(-24 * time.Hour)
	answers := s.backend.Renew(s.ctx(), []providers.Login{shorter, unknown})
	if s.description.Fixed {
		s.want(providers.KindUnsupported, s.answer(answers, shorter.Name), "renewing what cannot be")
	} else if err := s.answer(answers, shorter.Name); err != nil {
		t.Errorf("renewing to an earlier instant: %v", err)
	}
	if err := s.LogIn(s.ctx(), values); err != nil {
		t.Errorf("renewing to an earlier instant shortened: %v", err)
	}
	if s.description.NativeExpiry && !s.description.Fixed {
		s.want(providers.KindRejected, s.answer(answers, unknown.Name), "renewing what does not exist")
	}
	s.wantNames(grant.Name)
}

func testRenewStuck(t *testing.T, s *suite) {
	if s.Stick == nil {
		return
	}
	grant, values := s.create()
	unstick := s.Stick(t, grant.Name)
	s.want(providers.KindRejected, s.answer(s.revoke(grant.Login), grant.Name), "revoking a stuck login")
	if s.description.NativeExpiry {
		longer := grant.Login
		longer.ExpiresAt = longer.ExpiresAt.Add(time.Hour)
		s.want(providers.KindRejected, s.answer(s.backend.Renew(s.ctx(), []providers.Login{longer}), grant.Name), "renewing a login that is being revoked")
	}
	if err := s.LogIn(s.ctx(), values); err == nil {
		t.Error("a stuck login still logs in after its revoke began")
	}
	unstick()
}

func testRevokeAbsent(t *testing.T, s *suite) {
	never := s.grant().Login
	if err := s.answer(s.revoke(never), never.Name); err != nil {
		t.Errorf("revoking what never was: %v", err)
	}
	grant, _ := s.create()
	for range 2 {
		if err := s.answer(s.revoke(grant.Login, grant.Login), grant.Name); err != nil {
			t.Errorf("revoking: %v", err)
		}
	}
	s.wantNames()
}

func testPartialFailure(t *testing.T, s *suite) {
	if s.Stick == nil {
		return
	}
	var logins []providers.Login
	for range 5 {
		grant, _ := s.create()
		logins = append(logins, grant.Login)
	}
	stuck := logins[2]
	unstick := s.Stick(t, stuck.Name)
	answers := s.revoke(logins...)
	for _, login := range logins {
		err := s.answer(answers, login.Name)
		if login.Name == stuck.Name {
			s.want(providers.KindRejected, err, "revoking the stuck login")
		} else if err != nil {
			t.Errorf("revoking beside a stuck login: %v", err)
		}
	}
	s.wantNames(stuck.Name)
	unstick()
	if err := s.answer(s.revoke(stuck), stuck.Name); err != nil {
		t.Errorf("revoking when nothing is in the way any more: %v", err)
	}
	s.wantNames()
}

func testConcurrency(t *testing.T, s *suite) {
	const workers, rounds = 6, 3
	var wg sync.WaitGroup
	errs := make(chan error, workers*rounds*4)
	for range workers {
		grants := make([]providers.Grant, rounds)
		for i := range grants {
			grants[i] = s.grant()
		}
		ctx := s.ctx()
		wg.Go(func() {
			for _, grant := range grants {
				values, err := s.backend.Create(ctx, grant)
				if err != nil {
					errs <- err
					continue
				}
				errs <- s.LogIn(ctx, values)
				if !s.description.Fixed {
					errs <- s.backend.Renew(ctx, []providers.Login{grant.Login})[grant.Name]
				}
				errs <- s.backend.Revoke(ctx, []providers.Login{grant.Login})[grant.Name]
				if s.LogIn(ctx, values) == nil {
					errs <- errors.New("a log-in was accepted after revoking")
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	s.wantNames()
}
