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

// PlanRotation makes the new password, or keeps that of an exchange that was given up.
func (b *backend) PlanRotation(ctx context.Context, abandoned providers.Settings) (providers.Settings, error) {
	if kept := abandoned.String(fieldPassword); kept != "" {
		return providers.Settings{fieldPassword: kept}, nil
	}
	ctx, cancel := b.bound(ctx, 3)
	defer cancel()
	password, err := providers.Password(rand.Reader, providers.Options{
		providers.OptionPasswordLength: int64(rotatedPassword), providers.OptionPasswordAlphabet: providers.AlphabetSymbols,
	})
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	providers.Conceal(ctx, password)
	s, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer s.end()
	if _, err := s.rotation(ctx, b.settings.password.Reveal(), password.Reveal()); err != nil {
		return nil, err
	}
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
	done, err := b.accepts(ctx, next)
	if err != nil {
		return nil, notRefused(err)
	}
	if done {
		return changed, nil
	}
	s, err := b.acquire(ctx)
	if err != nil {
		return nil, notRefused(err)
	}
	defer s.end()
	statement, err := s.rotation(ctx, b.settings.password.Reveal(), next.Reveal())
	if err != nil {
		return nil, err
	}
	if err := s.exec(ctx, statement); err != nil {
		return nil, statementError("exchanging the root password", err)
	}
	return changed, nil
}

// notRefused makes of a log-in that failed what says nothing about the exchange.
func notRefused(err error) error {
	var known *providers.Error
	if errors.As(err, &known) && (known.Kind == providers.KindRejected || known.Kind == providers.KindUnsupported) {
		return &providers.Error{Kind: providers.KindUnavailable, NotSent: known.NotSent, Hint: known.Hint, Err: err}
	}
	return err
}

// accepts reports whether the root account may log in with the password.
func (b *backend) accepts(ctx context.Context, password providers.Secret) (bool, error) {
	err := b.logIn(ctx, b.settings.username, password, "")
	if hasNumber(err, errAccessDenied) {
		return false, nil
	}
	return err == nil, err
}

// rotation is the statement that exchanges the password, for the ways to log in of which it is known what it does. MySQL
// carries it out only while the old password is the account's, so that one that comes late does no harm.
func (s *session) rotation(ctx context.Context, old, next string) (string, error) {
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
		return "ALTER USER " + root.quoted() + " IDENTIFIED VIA mysql_native_password USING " + quoteString(nativeHash(next)), nil
	case !s.mariaDB && known("IDENTIFIED WITH 'caching_sha2_password'", "IDENTIFIED WITH 'sha256_password'", "IDENTIFIED WITH 'mysql_native_password'"):
		return "ALTER USER " + root.quoted() + " IDENTIFIED BY " + quoteString(next) + " REPLACE " + quoteString(old) + " RETAIN CURRENT PASSWORD", nil
	}
	return "", &providers.Error{Kind: providers.KindUnsupported, Hint: "Change the password at the server, then in the connection.",
		Err: fmt.Errorf("the root account %s does not log in by a password that the broker knows how to exchange", root.quoted())}
}

// Retire has MySQL forget the older password, makes sure that the previous one is refused, and ends the root account's
// sessions that are not of this Backend: one of them could yet carry out an exchange that came late.
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
	root, err := s.root(ctx)
	if err != nil {
		return err
	}
	if !s.mariaDB {
		if err := s.exec(ctx, "ALTER USER "+root.quoted()+" DISCARD OLD PASSWORD"); err != nil {
			return statementError("having the old root password forgotten", err)
		}
	}
	alive, err := s.endSessions(ctx, []string{string(root.name)}, b.mine)
	if err != nil {
		return err
	}
	if n := alive[string(root.name)]; n > 0 {
		return providers.Errorf(providers.KindUnavailable, "ending sessions of the previous root password: %d did not end in time", n)
	}
	accepted, err := b.accepts(ctx, old)
	if accepted {
		return providers.Errorf(providers.KindRejected, "the server still accepts the previous password of the root account")
	}
	return err
}
