package providertest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"broker/providers"
)

// Fixture is what a provider brings to the suite: how to reach a real outside system both as the
// broker and behind its back. Every function is called from the test's goroutine unless it says
// otherwise.
type Fixture struct {
	Provider   providers.Provider
	Connection map[string]any // as a person gives it
	Options    map[string]any // as a person gives it; the logins made with them can log in

	// BrokenOptions are valid, and Create fails with them at the outside system after it has begun
	// to make the login. Nil when there are none such.
	BrokenOptions map[string]any

	// LogIn logs in with the values of a lease and out again; nil means it was accepted. It is
	// called from several goroutines at once.
	LogIn func(ctx context.Context, values providers.Values) error

	// Now reads the outside system's clock. Nil means the local one.
	Now func() time.Time

	// OpenCreate begins to make a login at the outside system and leaves it open, so that nobody
	// sees it yet; finish completes it or takes it back. Nil when the outside system has no such
	// state.
	OpenCreate func(t *testing.T, grant providers.Grant) (finish func(commit bool))

	// Stick brings a login that exists into a state in which it cannot be removed, until unstick.
	Stick func(t *testing.T, name providers.LoginName) (unstick func())

	// Unlisted is true for a provider whose logins cannot be listed: List answers KindUnsupported.
	Unlisted bool

	// Unrecorded is true when nothing outside keeps the logins at all, so that one which exists cannot be told.
	Unrecorded bool

	// OpenSession logs in with the values of a lease and stays. Nil when a log-in opens no session that could last.
	OpenSession func(ctx context.Context, values providers.Values) (*Session, error)

	// Outage interrupts the outside system. Nil when there is none to interrupt. Logins and root credential outlive it.
	Outage *Outage

	// WrongRoot replaces fields of Connection so that the root credential is refused. Nil when there is none.
	WrongRoot map[string]any

	// Rotation makes a connection whose root credential may be exchanged, which the test does. Required of a provider
	// that says it rotates.
	Rotation func(t *testing.T) map[string]any

	// Canaries are values that no error may hold. The secrets of Connection are among them anyhow.
	Canaries []providers.Secret
}

// Session is a log-in that lasts.
type Session struct {
	// Alive asks whether the session still may do something: nil if so.
	Alive func(ctx context.Context) error
	Close func()
}

// Outage stops and starts the outside system, and freezes it: connections stay open and nothing answers.
type Outage struct {
	Stop, Pause, Resume func() error
	Start               func(ctx context.Context) error
}

const (
	clusterID = "01J0PROVIDERTESTCLUSTER000"
	patience  = 30 * time.Second // for what should take far less
)

// Run runs the contract suite. open is called once for each test and returns a fixture of an outside
// system; the tests do not disturb each other, so it may be the same system each time.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"describes itself", testDescription},
		{"settings and options validate to themselves", testValidatesToItself},
		{"check is repeatable and tells the system", testCheck},
		{"a login's life", testLife},
		{"a name is made once", testDuplicate},
		{"a name that is not ours is refused", testForeignName},
		{"a create past its deadline leaves nothing", testPastDeadline},
		{"a create that fails half way can be removed", testBrokenCreate},
		{"renewing never shortens and never creates", testRenew},
		{"renewing does not undo a revoke", testRenewStuck},
		{"revoking is idempotent and absent is success", testRevokeAbsent},
		{"one stuck login fails only itself", testPartialFailure},
		{"absence is confirmed only after its instant", testConfirmTooEarly},
		{"absence is denied while the login exists", testConfirmExists},
		{"absence waits for an open create", testConfirmOpenCreate},
		{"list yields exactly the prefix", testList},
		{"a context that is done changes nothing", testDoneContext},
		{"a closed backend answers", testClosed},
		{"empty batches are fine", testEmptyBatches},
		{"many goroutines at once", testConcurrency},
		{"trying a log-in", testLogIn},
		{"a preview shows no secret", testPreview},
		{"revoking ends sessions", testSessions},
		{"a root credential that is refused", testWrongRoot},
		{"the root credential is exchanged", testRotation},
		{"an exchange is repeated after each step", testRotationRepeated},
		{"an exchange was given up and came about", testRotationAbandoned},
		{"a system that is down and comes back", testDown},
		{"a system that hangs", testHanging},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSuite(t, open(t))
			test.run(t, s)
		})
	}
}

// suite is a fixture in use.
type suite struct {
	Fixture
	t           *testing.T
	description providers.Description
	settings    providers.Settings
	options     providers.Options
	prefix      string
	backend     providers.Backend
}

func newSuite(t *testing.T, f Fixture) *suite {
	t.Helper()
	s := &suite{Fixture: f, t: t, description: f.Provider.Describe()}
	if s.Now == nil {
		s.Now = time.Now
	}
	var problems []providers.FieldError
	if s.settings, problems = s.description.ValidateConnection(f.Connection); len(problems) > 0 {
		t.Fatalf("the fixture's connection is not valid: %v", problems)
	}
	s.options = s.validate(f.Options)
	s.Canaries = append(slices.Clone(s.Canaries), s.description.Secrets(s.settings)...)
	// A cluster of its own, so that tests on one system do not see each other's logins.
	s.prefix = providers.Prefix("brk_", providers.Cluster4(rand.Text()))
	s.backend = s.open(1)
	return s
}

func (s *suite) validate(options map[string]any) providers.Options {
	s.t.Helper()
	validated, problems := s.description.ValidateOptions(options)
	if len(problems) == 0 {
		problems = s.Provider.ValidateOptions(validated)
	}
	if len(problems) > 0 {
		s.t.Fatalf("the fixture's options are not valid: %v", problems)
	}
	return validated
}

// open opens a Backend as the broker does.
func (s *suite) open(term uint64) providers.Backend {
	s.t.Helper()
	return s.openWith(s.settings, term)
}

func (s *suite) openWith(settings providers.Settings, term uint64) providers.Backend {
	s.t.Helper()
	b, err := s.Provider.Open(settings, providers.Env{ClusterID: clusterID, Term: term, Prefix: s.prefix})
	if err != nil {
		s.t.Fatalf("opening the backend: %v", err)
	}
	b = providers.Redacting(b, s.description.Secrets(settings)...)
	s.t.Cleanup(func() {
		if err := b.Close(); err != nil {
			s.t.Errorf("closing the backend: %v", err)
		}
	})
	return b
}

func (s *suite) ctx() context.Context {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

// grant orders a login with a new name that ends in an hour.
func (s *suite) grant() providers.Grant {
	s.t.Helper()
	unique, err := providers.NewUnique(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	limit := s.description.MaxLoginName
	name := providers.LoginName(s.prefix + unique)
	if room := limit - len(name) - 1; limit <= 0 || room > 0 {
		name = providers.LoginName(s.prefix + "suite"[:min(5, max(room, 0))] + "_" + unique)
	}
	now := s.Now()
	return providers.Grant{
		Login:    providers.Login{Name: name, ExpiresAt: now.Add(time.Hour), Options: s.options},
		LeaseID:  "01J0PROVIDERTESTLEASE00000",
		Deadline: now.Add(time.Minute),
	}
}

// create makes a login that is removed at the end of the test.
func (s *suite) create() (providers.Grant, providers.Values) {
	s.t.Helper()
	grant := s.grant()
	values, err := s.backend.Create(s.ctx(), grant)
	if err != nil {
		s.t.Fatalf("creating login %s: %v", grant.Name, err)
	}
	s.removeAtEnd(grant.Login)
	return grant, values
}

func (s *suite) removeAtEnd(login providers.Login) {
	s.t.Cleanup(func() {
		b, err := s.Provider.Open(s.settings, providers.Env{ClusterID: clusterID, Term: 2, Prefix: s.prefix})
		if err != nil {
			s.t.Errorf("opening the backend to clean up: %v", err)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Revoke(ctx, []providers.Login{login})[login.Name]; err != nil {
			s.t.Errorf("cleaning up login %s: %v", login.Name, err)
		}
		if err := b.Close(); err != nil {
			s.t.Errorf("closing the backend that cleaned up: %v", err)
		}
	})
}

// want checks an error's kind and that neither its text nor its hint holds a canary.
func (s *suite) want(kind providers.Kind, err error, what string) *providers.Error {
	s.t.Helper()
	if err == nil {
		s.t.Fatalf("%s: got no error, want kind %s", what, kind)
	}
	classified, ok := err.(*providers.Error)
	if !ok {
		s.t.Fatalf("%s: got an error of type %T, want *providers.Error: %v", what, err, err)
	}
	if classified.Kind != kind {
		s.t.Errorf("%s: got kind %s, want %s: %v", what, classified.Kind, kind, err)
	}
	text := fmt.Sprintf("%v %+v %#v %s", err, err, err, classified.Hint)
	for _, canary := range s.Canaries {
		if strings.Contains(text, canary.Reveal()) {
			s.t.Errorf("%s: the error holds a canary", what)
		}
	}
	return classified
}

// answer returns the answer for a login and fails when there is none.
func (s *suite) answer(answers map[providers.LoginName]error, name providers.LoginName) error {
	s.t.Helper()
	err, answered := answers[name]
	if !answered {
		s.t.Fatalf("no answer for login %s", name)
	}
	return err
}

func (s *suite) revoke(logins ...providers.Login) map[providers.LoginName]error {
	return s.backend.Revoke(s.ctx(), logins)
}

// names lists the logins of the test.
func (s *suite) names() []providers.LoginName {
	s.t.Helper()
	if s.Unlisted {
		for _, err := range s.backend.List(s.ctx(), s.prefix) {
			s.want(providers.KindUnsupported, err, "listing logins")
		}
		return nil
	}
	var names []providers.LoginName
	for found, err := range s.backend.List(s.ctx(), s.prefix) {
		if err != nil {
			s.t.Fatalf("listing logins: %v", err)
		}
		if !found.Ours {
			s.t.Errorf("login %q was made here and is listed as somebody else's", found.Name)
		}
		names = append(names, found.Name)
	}
	slices.Sort(names)
	return names
}

func (s *suite) wantNames(want ...providers.LoginName) {
	s.t.Helper()
	slices.Sort(want)
	if s.Unlisted {
		want = nil
	}
	if got := s.names(); !slices.Equal(got, want) {
		s.t.Errorf("logins at the system: got %v, want %v", got, want)
	}
}
