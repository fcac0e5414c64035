package noop

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"time"

	"broker/providers"
)

// identity is what every connection of this provider points at.
const identity providers.SystemID = "nothing"

// Provider is the provider "noop". It has no state.
type Provider struct{}

// Describe returns the description of the provider "noop".
func (Provider) Describe() providers.Description {
	return providers.Description{
		Name:    "noop",
		Title:   "Nothing",
		Summary: "For measuring the broker by itself; nothing is made anywhere.",
		Options: append([]providers.Field{providers.LoginNameOption()}, providers.PasswordOptions(1024)...),
		Outputs: []providers.Output{
			{Name: "username", Help: "Name of a login that does not exist."},
			{Name: "password", Help: "A password that opens nothing.", Secret: true},
		},
		MaxLoginName: 63,
	}
}

// ValidateOptions finds nothing wrong: no option depends on another.
func (Provider) ValidateOptions(providers.Options) []providers.FieldError { return nil }

// Open returns a Backend that makes nothing.
func (Provider) Open(_ providers.Settings, env providers.Env) (providers.Backend, error) {
	return &backend{prefix: env.Prefix}, nil
}

type backend struct {
	prefix string
	closed atomic.Bool
}

// Close makes every later call fail.
func (b *backend) Close() error {
	b.closed.Store(true)
	return nil
}

// ready refuses calls that are over before they began.
func (b *backend) ready(ctx context.Context) error {
	err := ctx.Err()
	if b.closed.Load() {
		err = context.Canceled
	}
	if err != nil {
		return &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("doing nothing: %w", err)}
	}
	return nil
}

// Check always finds the same system.
func (b *backend) Check(ctx context.Context) (providers.SystemID, error) {
	return identity, b.ready(ctx)
}

// Create makes values up. A name that was given before is not noticed.
func (b *backend) Create(ctx context.Context, grant providers.Grant) (providers.Values, error) {
	if err := b.ready(ctx); err != nil {
		return nil, err
	}
	if b.prefix == "" || !strings.HasPrefix(string(grant.Name), b.prefix) {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("refusing login name %q: it does not begin with %q", string(grant.Name), b.prefix)}
	}
	if time.Now().After(grant.Deadline) {
		return nil, providers.Errorf(providers.KindRejected, "making login %q: its deadline has passed", string(grant.Name))
	}
	password, err := providers.Password(rand.Reader, grant.Options)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	providers.Conceal(ctx, password)
	return providers.Values{"username": providers.NewSecret(string(grant.Name)), "password": password}, nil
}

// Renew has nothing to extend.
func (b *backend) Renew(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	return answerAll(logins, b.ready(ctx))
}

// Revoke has nothing to remove.
func (b *backend) Revoke(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	return answerAll(logins, b.ready(ctx))
}

// ConfirmAbsent confirms what was never there, once notBefore has passed.
func (b *backend) ConfirmAbsent(ctx context.Context, logins []providers.Login, notBefore time.Time) map[providers.LoginName]error {
	err := b.ready(ctx)
	if err == nil && time.Now().Before(notBefore) {
		err = providers.Errorf(providers.KindTooEarly, "confirming absence: %s has not come yet", notBefore.UTC().Format(time.RFC3339))
	}
	return answerAll(logins, err)
}

// List says that there is nothing to list.
func (b *backend) List(context.Context, string) iter.Seq2[providers.Found, error] {
	return func(yield func(providers.Found, error) bool) {
		yield(providers.Found{}, providers.Errorf(providers.KindUnsupported, "listing logins: this provider makes none"))
	}
}

func answerAll(logins []providers.Login, err error) map[providers.LoginName]error {
	answers := make(map[providers.LoginName]error, len(logins))
	for _, login := range logins {
		answers[login.Name] = err
	}
	return answers
}
