package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"broker/providers"
)

const exchanging = "exchanging the root account's password"

// PlanRotation decides on a new password: that of the plan that was given up, if there is one.
func (b *backend) PlanRotation(ctx context.Context, abandoned providers.Settings) (providers.Settings, error) {
	if b.settings.persist == persistNone {
		return nil, &providers.Error{Kind: providers.KindUnsupported, NotSent: true,
			Hint: "Change the password where the server's users are configured, and then in the connection.",
			Err:  errors.New("persist=none: a restart of the server would bring the old password back and forget the new one")}
	}
	password := providers.NewSecret(abandoned.String(fieldPassword))
	if password.IsZero() {
		var err error
		if password, err = providers.NewPassword(rand.Reader, 0); err != nil {
			return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
		}
	}
	providers.Conceal(ctx, password)
	return providers.Settings{fieldPassword: password.Reveal()}, nil
}

// Rotate gives the root account the new password besides those it has. One that is good already may not be saved.
func (b *backend) Rotate(ctx context.Context, plan providers.Settings) (providers.Settings, error) {
	password := providers.NewSecret(plan.String(fieldPassword))
	hash := hashOf(password)
	providers.Conceal(ctx, password, providers.NewSecret(hash))
	if password.IsZero() {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: errors.New(exchanging + ": the plan holds none")}
	}
	if err := b.changing(); err != nil {
		return nil, err
	}
	ctx, cancel := b.bound(ctx, 6)
	defer cancel()
	changed := providers.Settings{fieldPassword: password.Reveal()}
	switch s, err := b.logIn(ctx, b.settings.username, password); {
	case err == nil:
		defer s.close()
		if err := b.prove(ctx, s); err != nil {
			return nil, err
		}
		return changed, b.saveWith(ctx, s)
	case !refused(err):
		return nil, err
	}
	s, release, err := b.acquire(ctx)
	if err != nil {
		if refused(err) {
			return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: fmt.Errorf("%s: neither the old one nor the new one is taken: %w", exchanging, err)}
		}
		return nil, err
	}
	defer release()
	if err := s.Do(ctx, "ACL", "SETUSER", b.settings.username, "#"+hash).Err(); err != nil {
		return nil, replyError(exchanging, err)
	}
	return changed, b.saveWith(ctx, s)
}

// refused reports whether a log-in failed for what it was tried with.
func refused(err error) bool {
	var e *providers.Error
	return errors.As(err, &e) && e.Kind == providers.KindRejected
}

// Retire takes the previous password from the root account, unless it is the present one, and ends the account's
// sessions but for those of this Backend.
func (b *backend) Retire(ctx context.Context, previous providers.Settings) error {
	password := providers.NewSecret(previous.String(fieldPassword))
	if password.IsZero() || password == b.settings.password {
		return nil
	}
	hash := hashOf(password)
	providers.Conceal(ctx, password, providers.NewSecret(hash))
	if err := b.changing(); err != nil {
		return err
	}
	ctx, cancel := b.bound(ctx, 8)
	defer cancel()
	s, release, err := b.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := b.takePassword(ctx, s, hash); err != nil {
		return err
	}
	if err := b.endOtherSessions(ctx, s); err != nil {
		return err
	}
	// A session that stood still may have given it back before it was ended.
	if err := b.takePassword(ctx, s, hash); err != nil {
		return err
	}
	switch old, err := b.logIn(ctx, b.settings.username, password); {
	case err == nil:
		old.close()
		return providers.Errorf(providers.KindRejected, "%s: the server still takes the old one, whatever the user's passwords are", exchanging)
	case !refused(err):
		return err
	}
	return nil
}

// takePassword takes a password from the root account. One that is not there is none to take away, but may be in what
// the server saved.
func (b *backend) takePassword(ctx context.Context, s *session, hash string) error {
	known, err := s.Do(ctx, "ACL", "GETUSER", b.settings.username).Result()
	if err != nil {
		return replyError(exchanging, err)
	}
	if slices.Contains(words(known), hash) {
		if err := s.Do(ctx, "ACL", "SETUSER", b.settings.username, "!"+hash).Err(); err != nil {
			return replyError(exchanging, err)
		}
	}
	return b.saveWith(ctx, s)
}

// endOtherSessions ends the root account's sessions that do not carry this Backend's name.
func (b *backend) endOtherSessions(ctx context.Context, s *session) error {
	list, err := s.ClientList(ctx).Result()
	if err != nil {
		return replyError(exchanging+": listing sessions", err)
	}
	for line := range strings.Lines(list) {
		fields := map[string]string{}
		for word := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(word, "=")
			fields[name] = value
		}
		if fields["user"] != b.settings.username || fields["name"] == b.name {
			continue
		}
		// One that has ended meanwhile is none to end.
		if err := s.Do(ctx, "CLIENT", "KILL", "ID", fields["id"]).Err(); err != nil {
			return replyError(exchanging+": ending sessions", err)
		}
	}
	return nil
}
