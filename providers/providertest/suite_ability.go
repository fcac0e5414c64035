package providertest

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"broker/providers"
)

// unsupported reports whether an error says that a provider lacks an ability.
func unsupported(err error) bool {
	var e *providers.Error
	return errors.As(err, &e) && e.Kind == providers.KindUnsupported
}

func testLogIn(t *testing.T, s *suite) {
	grant, values := s.create()
	if err := providers.LogIn(s.ctx(), s.backend, values); unsupported(err) {
		return
	} else if err != nil {
		t.Errorf("trying a log-in: %v", err)
	}
	wrong := maps.Clone(values)
	for _, output := range s.description.Outputs {
		if output.Secret && len(values[output.Name].Reveal()) > 1 {
			text := values[output.Name].Reveal()
			wrong[output.Name] = providers.NewSecret(text[1:] + text[:1])
			s.Canaries = append(s.Canaries, values[output.Name])
		}
	}
	err := providers.LogIn(s.ctx(), s.backend, wrong)
	s.want(providers.KindRejected, err, "trying a log-in with wrong values")
	if err := s.answer(s.revoke(grant.Login), grant.Name); err != nil {
		t.Fatalf("revoking: %v", err)
	}
	if err := s.LogIn(s.ctx(), values); err == nil {
		t.Error("a log-in was accepted after revoking")
	}
}

func testPreview(t *testing.T, s *suite) {
	p, ok := s.Provider.(providers.Previewer)
	if !ok {
		return
	}
	grant := s.grant()
	public, _ := s.description.SplitSecrets(s.settings) // the broker gives it nothing that is sealed
	steps := p.Preview(public, s.options, grant.Name, grant.ExpiresAt)
	text := strings.Join(steps, "\n")
	if !strings.Contains(text, string(grant.Name)) {
		t.Errorf("a preview does not show the login's name:\n%s", text)
	}
	for _, secret := range s.description.Secrets(s.settings) {
		if strings.Contains(text, secret.Reveal()) {
			t.Error("a preview shows a secret of the connection")
		}
	}
	s.wantNames()
}

func testSessions(t *testing.T, s *suite) {
	if s.OpenSession == nil {
		return
	}
	var logins []providers.Login
	var sessions []*Session
	for range 3 {
		grant, values := s.create()
		logins = append(logins, grant.Login)
		for range 2 {
			session, err := s.OpenSession(s.ctx(), values)
			if err != nil {
				t.Fatalf("opening a session: %v", err)
			}
			t.Cleanup(session.Close)
			if err := session.Alive(s.ctx()); err != nil {
				t.Fatalf("a session that was just opened: %v", err)
			}
			sessions = append(sessions, session)
		}
	}
	spared := len(logins) - 1
	for name, err := range s.revoke(logins[:spared]...) {
		if err != nil {
			t.Errorf("revoking %s: %v", name, err)
		}
	}
	for i, session := range sessions {
		err := session.Alive(s.ctx())
		if revoked := i/2 < spared; revoked && err == nil {
			t.Errorf("session %d outlived its login", i)
		} else if !revoked && err != nil {
			t.Errorf("a session of another login was ended: %v", err)
		}
	}
}

func testWrongRoot(t *testing.T, s *suite) {
	if s.WrongRoot == nil {
		return
	}
	given := maps.Clone(s.Connection)
	maps.Copy(given, s.WrongRoot)
	settings, problems := s.description.ValidateConnection(given)
	if len(problems) > 0 {
		t.Fatalf("the connection with a wrong root credential is not valid: %v", problems)
	}
	s.Canaries = append(s.Canaries, s.description.Secrets(settings)...)
	b := s.openWith(settings, 1)
	_, err := b.Check(s.ctx())
	s.want(providers.KindRejected, err, "checking with a wrong root credential")
	grant := s.grant()
	_, err = b.Create(s.ctx(), grant)
	var e *providers.Error
	if !errors.As(err, &e) || !e.NotSent || e.Kind != providers.KindRejected && e.Kind != providers.KindUnavailable {
		t.Errorf("creating with a wrong root credential: got %v, want one that was certainly not sent", err)
	}
	existing, values := s.create()
	if err := s.answer(b.Revoke(s.ctx(), []providers.Login{existing.Login}), existing.Name); err == nil {
		t.Error("revoking with a wrong root credential is answered with success")
	}
	if err := s.LogIn(s.ctx(), values); err != nil {
		t.Errorf("the login was touched: %v", err)
	}
	s.wantNames(existing.Name)
}
