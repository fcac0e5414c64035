package providertest

import (
	"maps"
	"testing"

	"broker/providers"
)

// exchange is a root credential under exchange.
type exchange struct {
	*suite
	before providers.Settings
}

func (s *suite) exchange() *exchange {
	s.t.Helper()
	if s.Rotation == nil {
		if s.description.Rotates {
			s.t.Fatal("the provider says that it rotates, and the fixture gives no connection to try that with")
		}
		return nil
	}
	if !s.description.Rotates {
		s.t.Fatal("the provider does not say that it rotates")
	}
	settings, problems := s.description.ValidateConnection(s.Rotation(s.t))
	if len(problems) > 0 {
		s.t.Fatalf("the connection whose root is exchanged is not valid: %v", problems)
	}
	s.Canaries = append(s.Canaries, s.description.Secrets(settings)...)
	return &exchange{s, settings}
}

// plan plans; abandoned is the plan of an exchange that was given up.
func (x *exchange) plan(settings, abandoned providers.Settings) providers.Settings {
	x.t.Helper()
	plan, err := providers.PlanRotation(x.ctx(), x.openWith(settings, 1), abandoned)
	if err != nil {
		x.t.Fatalf("planning: %v", err)
	}
	if abandoned != nil {
		return plan // the settings may be good no more
	}
	if _, err := x.openWith(settings, 1).Check(x.ctx()); err != nil {
		x.t.Fatalf("planning changed something: %v", err)
	}
	return plan
}

// rotate exchanges by a Backend of the settings before, and returns the settings after.
func (x *exchange) rotate(plan providers.Settings) providers.Settings {
	x.t.Helper()
	changed, err := providers.Rotate(x.ctx(), x.openWith(x.before, 1), plan)
	if err != nil {
		x.t.Fatalf("rotating: %v", err)
	}
	after := maps.Clone(x.before)
	maps.Copy(after, changed)
	again, problems := x.description.ValidateConnection(after)
	if len(problems) > 0 {
		x.t.Fatalf("the settings after rotating are not valid: %v", problems)
	}
	if !x.description.SameLocation(x.before, again) {
		x.t.Error("rotating points the connection elsewhere")
	}
	return again
}

// previous are the fields that rotating changed, as they were.
func (x *exchange) previous(after providers.Settings) providers.Settings {
	previous := providers.Settings{}
	for name, value := range x.before {
		if text, ok := value.(string); ok && text != after.String(name) {
			previous[name] = value
		}
	}
	if len(previous) == 0 {
		x.t.Error("rotating changed no field")
	}
	return previous
}

func testRotation(t *testing.T, s *suite) {
	x := s.exchange()
	if x == nil {
		return
	}
	identity, err := x.openWith(x.before, 1).Check(x.ctx())
	if err != nil {
		t.Fatalf("checking before: %v", err)
	}
	grant := x.grant()
	values, err := x.openWith(x.before, 1).Create(x.ctx(), grant)
	if err != nil {
		t.Fatalf("creating before: %v", err)
	}
	after := x.rotate(x.plan(x.before, nil))
	b := x.openWith(after, 1)
	if got, err := b.Check(x.ctx()); err != nil || got != identity {
		t.Fatalf("checking with the new root credential: %q, %v, want %q", got, err, identity)
	}
	if err := providers.Retire(x.ctx(), b, x.previous(after)); err != nil {
		t.Fatalf("retiring the old one: %v", err)
	}
	_, err = x.openWith(x.before, 1).Check(x.ctx())
	s.want(providers.KindRejected, err, "checking with the retired root credential")
	// A login that the old credential made is the new one's to remove.
	if err := x.LogIn(x.ctx(), values); err != nil {
		t.Errorf("a login does not outlive its maker's credential: %v", err)
	}
	if err := x.answer(b.Revoke(x.ctx(), []providers.Login{grant.Login}), grant.Name); err != nil {
		t.Errorf("revoking an older login: %v", err)
	}
	if err := x.LogIn(x.ctx(), values); err == nil {
		t.Error("a log-in was accepted after revoking")
	}
}

// Each step is carried out, and its answer is lost: whoever goes on repeats it with what the ledger has.
func testRotationRepeated(t *testing.T, s *suite) {
	x := s.exchange()
	if x == nil {
		return
	}
	x.plan(x.before, nil) // a plan that came to nothing
	plan := x.plan(x.before, nil)
	x.rotate(plan)
	after := x.rotate(plan)
	b := x.openWith(after, 2)
	if _, err := b.Check(x.ctx()); err != nil {
		t.Fatalf("checking with the root credential of the repeated step: %v", err)
	}
	for range 2 {
		if err := providers.Retire(x.ctx(), b, x.previous(after)); err != nil {
			t.Fatalf("retiring: %v", err)
		}
	}
	if _, err := x.openWith(after, 2).Check(x.ctx()); err != nil {
		t.Fatalf("checking after retiring twice: %v", err)
	}
	_, err := x.openWith(x.before, 2).Check(x.ctx())
	s.want(providers.KindRejected, err, "checking with the retired root credential")
	// And all over again.
	x.before = after
	after = x.rotate(x.plan(after, nil))
	b = x.openWith(after, 3)
	if err := providers.Retire(x.ctx(), b, x.previous(after)); err != nil {
		t.Fatalf("retiring a second time: %v", err)
	}
	if _, err := b.Check(x.ctx()); err != nil {
		t.Fatalf("checking after the second exchange: %v", err)
	}
}

// An exchange is given up, and a call of it comes about all the same: the next one goes on from there, though nobody
// was told.
func testRotationAbandoned(t *testing.T, s *suite) {
	x := s.exchange()
	if x == nil {
		return
	}
	abandoned := x.plan(x.before, nil)
	x.rotate(abandoned)
	after := x.rotate(x.plan(x.before, abandoned))
	b := x.openWith(after, 2)
	if _, err := b.Check(x.ctx()); err != nil {
		t.Fatalf("checking with the root credential of the second exchange: %v", err)
	}
	if err := providers.Retire(x.ctx(), b, x.previous(after)); err != nil {
		t.Fatalf("retiring: %v", err)
	}
	_, err := x.openWith(x.before, 2).Check(x.ctx())
	s.want(providers.KindRejected, err, "checking with the retired root credential")
}
