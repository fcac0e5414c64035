package rabbitmq

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"broker/providers"
)

const exchanging = "exchanging the root account's password"

// PlanRotation decides on a new password: that of the plan that was given up, if there is one. A user has one password,
// so the ledger holds both until it is known which is good.
func (b *backend) PlanRotation(ctx context.Context, abandoned providers.Settings) (providers.Settings, error) {
	password := providers.NewSecret(abandoned.String(fieldPassword))
	if password.IsZero() {
		if _, err := b.root(ctx); err != nil {
			return nil, err
		}
		var err error
		if password, err = providers.NewPassword(rand.Reader, 0); err != nil {
			return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
		}
	}
	providers.Conceal(ctx, password)
	return providers.Settings{fieldPassword: password.Reveal()}, nil
}

// root reads the root account's tags, which a PUT of it replaces.
func (b *backend) root(ctx context.Context) (tags, error) {
	if err := b.prove(ctx); err != nil {
		return nil, err
	}
	a, err := b.do(ctx, exchanging, http.MethodGet, path("users", b.settings.username), nil, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusNotFound {
		return nil, &providers.Error{Kind: providers.KindUnsupported, Hint: "Change the password where the account is kept, and then in the connection.",
			Err: fmt.Errorf("%s: the account %q is not one of the cluster's own users", exchanging, b.settings.username)}
	}
	var known struct {
		Tags tags `json:"tags"`
	}
	if err := json.Unmarshal(a.body, &known); err != nil {
		return nil, b.notRabbitMQ(exchanging)
	}
	return known.Tags, nil
}

// accepts asks whether the root account's password is this one.
func (b *backend) accepts(ctx context.Context, password providers.Secret) (bool, error) {
	if err := b.ready(ctx); err != nil {
		return false, err
	}
	_, err := b.doAs(ctx, credential{b.settings.username, password}, exchanging, http.MethodGet, "whoami", nil, http.StatusOK)
	if locked(err) {
		return false, nil
	}
	return err == nil, err
}

// Rotate replaces the password, by the old one, unless the new one is good already.
func (b *backend) Rotate(ctx context.Context, plan providers.Settings) (providers.Settings, error) {
	password := providers.NewSecret(plan.String(fieldPassword))
	providers.Conceal(ctx, password)
	if password.IsZero() {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: errors.New(exchanging + ": the plan holds none")}
	}
	if err := b.changing(); err != nil {
		return nil, err
	}
	changed := providers.Settings{fieldPassword: password.Reveal()}
	if good, err := b.accepts(ctx, password); good || err != nil {
		return changed, err
	}
	tags, err := b.root(ctx)
	if locked(err) {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("%s at %s: neither the old one nor the new one is taken", exchanging, b.settings.address())}
	}
	if err != nil {
		return nil, err
	}
	account, err := newUser(password, tags...)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	providers.Conceal(ctx, providers.NewSecret(account.PasswordHash))
	_, err = b.do(ctx, exchanging, http.MethodPut, path("users", b.settings.username), account, http.StatusNoContent)
	switch {
	case locked(err): // another one has replaced it meanwhile
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("%s at %s: the old one is not taken any more", exchanging, b.settings.address())}
	case err != nil:
		return nil, err
	}
	return changed, nil
}

// Retire sees that the previous password is refused. It was replaced; what a cache of the server remembers goes by itself.
func (b *backend) Retire(ctx context.Context, previous providers.Settings) error {
	password := providers.NewSecret(previous.String(fieldPassword))
	if password.IsZero() || password == b.settings.password {
		return nil
	}
	providers.Conceal(ctx, password)
	good, err := b.accepts(ctx, password)
	if err == nil && good {
		return providers.Errorf(providers.KindTooEarly, "%s at %s: the old one is still taken", exchanging, b.settings.address())
	}
	return err
}
