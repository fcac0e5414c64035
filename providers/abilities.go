package providers

import (
	"context"
	"time"
)

// Warner is an optional ability of a Provider: to say what is allowed but unwise in settings that
// have passed [Description.ValidateConnection], such as a connection without verified TLS. The
// warnings are sentences for people and hold no secret value.
type Warner interface {
	Warnings(settings Settings) []string
}

// Completer is an optional ability of a Provider: to fill in what whoever makes or changes a connection left out and the
// broker can make itself, such as the key of a certificate authority. The settings given have passed
// [Description.ValidateConnection]; those returned do too, and completing them again changes nothing. It does no I/O. An
// error that is a FieldError says what is wrong with the settings given; no error holds a secret value.
type Completer interface {
	Complete(settings Settings) (Settings, error)
}

// ParametersChecker is an optional ability of a Provider: to find what no single field can tell about the parameters of a
// request for a lease, before anything is recorded. Each problem names its field.
type ParametersChecker interface {
	CheckParameters(parameters Parameters) []FieldError
}

// Previewer is an optional ability of a Provider: to show what would be carried out at the outside system for a login
// of that name, one step a line, in the system's own language where it has one. Secret values are shown as
// placeholders such as {{password}}. It does no I/O.
type Previewer interface {
	Preview(settings Settings, options Options, name LoginName, expiresAt time.Time) []string
}

// Publisher is an optional ability of a Provider whose credentials are checked without asking anybody: to make the
// documents that those who check them need, such as an authority's public key and the list of what was revoked. They
// hold nothing secret and are served to everybody.
type Publisher interface {
	// Documents returns the documents there are. It always returns the same.
	Documents() []Document

	// Publish makes the document of that name. systems are what the connection points at: its present system first,
	// then those it pointed at before, the newest first.
	Publish(document string, systems []PublishedSystem, now time.Time) ([]byte, error)
}

// PublishedSystem is what a Publisher is told of one system of a connection.
type PublishedSystem struct {
	Settings Settings // nil: not known any more, and its root credential is gone

	// Ended are the logins whose lease is over, though what was made for it is good by its own dates, in the order of
	// these dates. It may never have been made, or been handed to nobody.
	Ended []EndedLogin
}

// EndedLogin is a login whose lease is over.
type EndedLogin struct {
	Name LoginName
	At   time.Time // when the end began
}

// Document describes one document of a Publisher.
type Document struct {
	Name        string `json:"name"` // as in a path: "ca.pub"
	ContentType string `json:"content_type"`
	Help        string `json:"help"` // one sentence
}

// OptionsChecker is an optional ability of a Backend: to look at the outside system whether a
// secret with these options could be leased there. It changes nothing. The error says that looking
// failed; the field errors, what is wrong with the options.
type OptionsChecker interface {
	CheckOptions(ctx context.Context, options Options) ([]FieldError, error)
}

// LoginTester is an optional ability of a Backend: to log in with the values of a lease, and out again. Nil means that
// the log-in was accepted. It reaches the system as the broker does, by the address of the connection.
type LoginTester interface {
	LogIn(ctx context.Context, values Values) error
}

// RootRotator is an optional ability of a Backend: to exchange the root credential. The order, and what is recorded
// between the steps, is the broker's: plan, record it, rotate, check the new settings with a Backend of their own,
// record them, retire the old ones. Each step may be repeated after a crash, by another process, with the same
// arguments, and a process that stood still may carry one out late: neither must ever leave a system at which no
// credential is good that the ledger holds. Settings that go in and out hold only the fields that change; plans are
// kept as JSON, so they hold texts and lists of texts.
type RootRotator interface {
	// PlanRotation decides what Rotate will do, as far as that can be known before: the new password, or which keys
	// exist, so that one made by a call cut short is recognised. It changes nothing outside, and refuses where it can
	// see that Rotate would be refused. What it returns is sealed.
	//
	// abandoned is nil, or the plan of a rotation that was given up though a call of its may have come about or yet
	// do. The new plan covers it: where the plan is a password, it is that same password, and no log-in is needed to
	// say so, since it may be the one that is good.
	PlanRotation(ctx context.Context, abandoned Settings) (plan Settings, err error)

	// Rotate makes a new root credential good and returns the fields of the connection that hold it. The old one may
	// stay good until Retire, and is to where the system can have both. The Backend has the old one, and after a call
	// whose outcome is unknown either may be good: Rotate first tries the plan's, and if that is good it changes
	// nothing. Otherwise it changes by the old credential only, or adds and takes nothing away, so that a call that
	// comes late, after another rotation even, does no harm.
	//
	// KindRejected and KindUnsupported say that the system, to which the old credential logged in, refused, and that
	// nothing was changed: the rotation is given up. When neither credential is good that is KindUnavailable.
	Rotate(ctx context.Context, plan Settings) (changed Settings, err error)

	// Retire makes sure that the previous root credential is refused and that nobody acts with it any more: sessions
	// that it opened are ended where they can be told from this Backend's own, and with them what a late Rotate may
	// yet send. The Backend has the new credential and is the one that serves everything else. Fields that it does
	// not know or that hold the present credential are no reason to do harm. It fails while the previous one is
	// still accepted, with KindTooEarly where that only takes time.
	Retire(ctx context.Context, previous Settings) error
}

// Warnings returns what the provider warns of in the settings, nothing when it cannot.
func Warnings(p Provider, settings Settings) []string {
	if w, ok := p.(Warner); ok {
		return w.Warnings(settings)
	}
	return nil
}

// Complete fills in what the provider can make itself; a provider without that ability leaves the settings as they are.
func Complete(p Provider, settings Settings) (Settings, error) {
	if c, ok := p.(Completer); ok {
		return c.Complete(settings)
	}
	return settings, nil
}

// CheckParameters asks the provider what is wrong with parameters that are valid one by one; a provider without that
// ability finds nothing.
func CheckParameters(p Provider, parameters Parameters) []FieldError {
	if c, ok := p.(ParametersChecker); ok {
		return c.CheckParameters(parameters)
	}
	return nil
}

// CheckOptions asks the backend whether a secret with these options could be leased; a backend
// without that ability finds nothing wrong.
func CheckOptions(ctx context.Context, b Backend, options Options) ([]FieldError, error) {
	if c, ok := b.(OptionsChecker); ok {
		return c.CheckOptions(ctx, options)
	}
	return nil, nil
}

// LogIn logs in with a lease's values and out again; the error of a backend without that ability is KindUnsupported.
func LogIn(ctx context.Context, b Backend, values Values) error {
	if l, ok := b.(LoginTester); ok {
		return l.LogIn(ctx, values)
	}
	return Errorf(KindUnsupported, "this provider cannot try a log-in")
}

// PlanRotation calls the backend's ability; the error of one without it is KindUnsupported.
func PlanRotation(ctx context.Context, b Backend, abandoned Settings) (Settings, error) {
	if r, ok := b.(RootRotator); ok {
		return r.PlanRotation(ctx, abandoned)
	}
	return nil, noRotation()
}

// Rotate calls the backend's ability; the error of one without it is KindUnsupported.
func Rotate(ctx context.Context, b Backend, plan Settings) (Settings, error) {
	if r, ok := b.(RootRotator); ok {
		return r.Rotate(ctx, plan)
	}
	return nil, noRotation()
}

// Retire calls the backend's ability; the error of one without it is KindUnsupported.
func Retire(ctx context.Context, b Backend, previous Settings) error {
	if r, ok := b.(RootRotator); ok {
		return r.Retire(ctx, previous)
	}
	return noRotation()
}

func noRotation() *Error {
	return Errorf(KindUnsupported, "this provider cannot exchange its root credential: change it at the outside system and then in the connection")
}
