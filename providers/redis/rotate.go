package redis

import (
	"context"
	"crypto/rand"
	"slices"

	"broker/providers"
)

// PlanRotation decides on a new password.
func (b *backend) PlanRotation(ctx context.Context) (providers.Settings, error) {
	if b.settings.persist == persistNone {
		return nil, &providers.Error{Kind: providers.KindUnsupported, NotSent: true, Hint: "Change the password where the server's users are configured, and then in the connection.",
			Err: providers.Errorf(providers.KindUnsupported, "persist=none: a restart of the server would bring the old password back and forget the new one")}
	}
	password, err := providers.NewPassword(rand.Reader, 0)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	providers.Conceal(ctx, password)
	return providers.Settings{fieldPassword: password.Reveal()}, nil
}

// Rotate gives the root account the new password besides the one it has.
func (b *backend) Rotate(ctx context.Context, plan providers.Settings) (providers.Settings, error) {
	password := providers.NewSecret(plan.String(fieldPassword))
	hash := hashOf(password)
	providers.Conceal(ctx, password, providers.NewSecret(hash))
	if password.IsZero() {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: providers.Errorf(providers.KindRejected, "exchanging the root account's password: the plan holds none")}
	}
	if err := b.setRoot(ctx, "#"+hash); err != nil {
		return nil, err
	}
	return providers.Settings{fieldPassword: password.Reveal()}, nil
}

// Retire takes the previous password from the root account, unless it is the present one.
func (b *backend) Retire(ctx context.Context, previous providers.Settings) error {
	password := providers.NewSecret(previous.String(fieldPassword))
	if password.IsZero() || password == b.settings.password {
		return nil
	}
	hash := hashOf(password)
	providers.Conceal(ctx, password, providers.NewSecret(hash))
	return b.setRoot(ctx, "!"+hash)
}

// setRoot changes the root account, which exists: the session is its own. A password that is to be taken away and is
// not there is none to take away, but may be in what the server saved.
func (b *backend) setRoot(ctx context.Context, change string) error {
	const doing = "exchanging the root account's password"
	if err := b.changing(); err != nil {
		return err
	}
	ctx, cancel := b.bound(ctx, 3)
	defer cancel()
	s, release, err := b.acquire(ctx)
	if err != nil {
		return err
	}
	err = b.changeRoot(ctx, s, change)
	release()
	if err == nil {
		err = b.saved(ctx)
	}
	if err != nil {
		return replyError(doing, err)
	}
	return nil
}

func (b *backend) changeRoot(ctx context.Context, s *session, change string) error {
	known, err := s.Do(ctx, "ACL", "GETUSER", b.settings.username).Result()
	if err != nil {
		return err
	}
	if change[0] == '!' && !slices.Contains(words(known), change[1:]) {
		return nil
	}
	return s.Do(ctx, "ACL", "SETUSER", b.settings.username, change).Err()
}
