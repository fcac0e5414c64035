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
// [Description.ValidateConnection]; those returned do too, and completing them again changes nothing. It does no I/O.
type Completer interface {
	Complete(settings Settings) (Settings, error)
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

	// Publish makes the document of that name. ended are the logins whose lease ended before what was made for it
	// ends by itself.
	Publish(document string, settings Settings, ended []Login, now time.Time) ([]byte, error)
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
// record them, retire the old ones with that Backend. Each step may be repeated after a crash, by another process,
// with the same arguments. Settings that go in and out hold only the fields that change.
type RootRotator interface {
	// PlanRotation decides what Rotate will do, as far as that can be known before: the new password, or which keys
	// exist, so that one made by a call cut short is recognised. It changes nothing outside. What it returns is sealed.
	PlanRotation(ctx context.Context) (plan Settings, err error)

	// Rotate makes a new root credential good and returns the fields of the connection that hold it. The old one may
	// stay good until Retire, and is to where the system can have both. After a call whose outcome is unknown it
	// goes on from wherever that one got to: it is called while either credential may be the good one.
	Rotate(ctx context.Context, plan Settings) (changed Settings, err error)

	// Retire makes sure that the previous root credential is refused; the Backend has the new one. Fields that it
	// does not know or that hold the present credential are no reason to do harm.
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
func PlanRotation(ctx context.Context, b Backend) (Settings, error) {
	if r, ok := b.(RootRotator); ok {
		return r.PlanRotation(ctx)
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
