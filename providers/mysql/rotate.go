package mysql

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"broker/providers"
)

// rotatedPassword is how long a new root password is, in characters of every kind, so that no rule of the server refuses
// it.
const rotatedPassword = 40

// PlanRotation makes the new password.
func (b *backend) PlanRotation(ctx context.Context) (providers.Settings, error) {
	password, err := providers.Password(rand.Reader, providers.Options{
		providers.OptionPasswordLength: int64(rotatedPassword), providers.OptionPasswordAlphabet: providers.AlphabetSymbols,
	})
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	providers.Conceal(ctx, password)
	return providers.Settings{fieldPassword: password.Reveal()}, nil
}

// Rotate gives the root account the planned password. MySQL keeps the old one beside it until Retire; MariaDB knows one
// password of an account, so the old one is refused from here on.
func (b *backend) Rotate(ctx context.Context, plan providers.Settings) (providers.Settings, error) {
	ctx, cancel := b.bound(ctx, 6)
	defer cancel()
	next := providers.NewSecret(plan.String(fieldPassword))
	if next.IsZero() {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: errors.New("exchanging the root password: the plan holds none")}
	}
	providers.Conceal(ctx, next, providers.NewSecret(nativeHash(next.Reveal())))
	if err := b.mayChange(); err != nil {
		return nil, err
	}
	changed := providers.Settings{fieldPassword: next.Reveal()}
	// An earlier call may have got that far; doing it again would make MySQL forget the older one of the two.
	if done, err := b.accepts(ctx, next); done || err != nil {
		return changed, err
	}
	s, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer s.end()
	statement, err := s.rotation(ctx, next.Reveal())
	if err != nil {
		return nil, err
	}
	if err := s.exec(ctx, statement); err != nil {
		return nil, statementError("exchanging the root password", err)
	}
	return changed, nil
}

// accepts reports whether the root account may log in with the password.
func (b *backend) accepts(ctx context.Context, password providers.Secret) (bool, error) {
	err := b.logIn(ctx, b.settings.username, password, "")
	if hasNumber(err, errAccessDenied) {
		return false, nil
	}
	return err == nil, err
}

// rotation is the statement that exchanges the password, for the ways to log in of which it is known what it does.
func (s *session) rotation(ctx context.Context, password string) (string, error) {
	root, err := s.root(ctx)
	if err != nil {
		return "", err
	}
	var made string
	if err := s.read(ctx, "SHOW CREATE USER CURRENT_USER()", &made); err != nil {
		return "", statementError("asking how the root account logs in", err)
	}
	known := func(ways ...string) bool {
		for _, way := range ways {
			if strings.Contains(made, way) {
				return true
			}
		}
		return false
	}
	switch {
	case s.mariaDB && known("IDENTIFIED BY PASSWORD '"):
		return "ALTER USER " + root.quoted() + " IDENTIFIED VIA mysql_native_password USING " + quoteString(nativeHash(password)), nil
	case !s.mariaDB && known("IDENTIFIED WITH 'caching_sha2_password'", "IDENTIFIED WITH 'sha256_password'", "IDENTIFIED WITH 'mysql_native_password'"):
		return "ALTER USER " + root.quoted() + " IDENTIFIED BY " + quoteString(password) + " RETAIN CURRENT PASSWORD", nil
	}
	return "", &providers.Error{Kind: providers.KindUnsupported, Hint: "Change the password at the server, then in the connection.",
		Err: fmt.Errorf("the root account %s does not log in by a password that the broker knows how to exchange", root.quoted())}
}

// Retire has MySQL forget the older password, and makes sure that the previous one is refused.
func (b *backend) Retire(ctx context.Context, previous providers.Settings) error {
	ctx, cancel := b.bound(ctx, 6)
	defer cancel()
	old := providers.NewSecret(previous.String(fieldPassword))
	if old.IsZero() || old == b.settings.password {
		return nil
	}
	providers.Conceal(ctx, old)
	if err := b.mayChange(); err != nil {
		return err
	}
	s, err := b.acquire(ctx)
	if err != nil {
		return err
	}
	defer s.end()
	if !s.mariaDB {
		root, err := s.root(ctx)
		if err != nil {
			return err
		}
		if err := s.exec(ctx, "ALTER USER "+root.quoted()+" DISCARD OLD PASSWORD"); err != nil {
			return statementError("having the old root password forgotten", err)
		}
	}
	accepted, err := b.accepts(ctx, old)
	if accepted {
		return providers.Errorf(providers.KindRejected, "the server still accepts the previous password of the root account")
	}
	return err
}
