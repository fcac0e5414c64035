package mysql

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"broker/providers"
)

// Create makes the account step by step, under the lock of its name. It begins no later than the deadline by the server's
// clock, which is read after the lock was had: who has the lock later than the deadline knows that no create of that name
// is under way, nor will be. The account is unlocked last, when the deadline has not passed yet.
func (b *backend) Create(ctx context.Context, grant providers.Grant) (providers.Values, error) {
	if err := b.ours(grant.Name); err != nil {
		return nil, err
	}
	if err := b.mayChange(); err != nil {
		return nil, err
	}
	ctx, cancel := b.bound(ctx, 8)
	defer cancel()
	password, err := providers.Password(rand.Reader, grant.Options)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	hash := nativeHash(password.Reveal())
	providers.Conceal(ctx, password, providers.NewSecret(hash))
	s, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer s.end()
	ordered := order{
		mariaDB: s.mariaDB, name: string(grant.Name), options: grant.Options, password: password.Reveal(), hash: hash,
		clusterID: b.env.ClusterID, leaseID: grant.LeaseID,
	}
	if s.mariaDB {
		if ordered.mark, err = b.mark(ctx, s); err != nil {
			return nil, err
		}
	}
	if err := b.make(ctx, s, ordered, grant); err != nil {
		b.marker.Store("") // perhaps it was that
		return nil, err
	}
	return b.values(grant.Name, password), nil
}

func (b *backend) make(ctx context.Context, s *session, ordered order, grant providers.Grant) error {
	doing := func(what string) string { return fmt.Sprintf("creating account %q: %s", ordered.name, what) }
	steps, err := ordered.steps()
	if err != nil {
		return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("%s: %w", doing("preparing it"), err)}
	}
	if s.mariaDB && len(grant.Options.List(optionRoles)) > 1 {
		return &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("%s", doing(oneRole))}
	}
	taken, err := s.claim(ctx, []providers.Login{grant.Login})
	if err != nil {
		return err
	}
	if len(taken) > 0 {
		return &providers.Error{Kind: providers.KindUnavailable, Blocked: true, Err: fmt.Errorf("%s", doing("somebody else makes or removes it at the moment"))}
	}
	own := false
	defer func() {
		s.release(ctx)
		s.spoiled = s.spoiled || own
	}()
	if err := s.beforeDeadline(ctx, doing, grant.Deadline); err != nil {
		return err
	}
	for i, step := range steps {
		if i == len(steps)-1 {
			if err := s.beforeDeadline(ctx, doing, grant.Deadline); err != nil {
				return err
			}
		}
		own = own || step.own
		if err := s.exec(ctx, step.sql); err != nil {
			e := statementError(doing(step.doing), err)
			switch {
			case i == 0 && hasNumber(err, errCannotUser):
				e.Kind = providers.KindExists
			case step.given != "" && hasNumber(err, privilegeErrors...):
				e.Hint = step.given
			case step.from != "" && hasNumber(err, errSyntax, errIllegalGrant):
				e.Hint = fmt.Sprintf("The server does not understand the secret's %s: is there such a privilege, and can it be given on that?", step.from)
			}
			return e
		}
	}
	return nil
}

// beforeDeadline asks the server's clock.
func (s *session) beforeDeadline(ctx context.Context, doing func(string) string, deadline time.Time) error {
	var past bool
	if err := s.read(ctx, "SELECT UTC_TIMESTAMP(6) > "+quoteTime(deadline), &past); err != nil {
		return statementError(doing("reading the server's clock"), err)
	}
	if past {
		return providers.Errorf(providers.KindRejected, "%s", doing("its deadline has passed by the server's clock"))
	}
	return nil
}

// quoteTime makes a literal, cut to microseconds, in the time zone of our sessions.
func quoteTime(at time.Time) string {
	return quoteString(at.UTC().Truncate(time.Microsecond).Format("2006-01-02 15:04:05.000000"))
}

func (b *backend) values(name providers.LoginName, password providers.Secret) providers.Values {
	port := strconv.FormatInt(b.settings.clientPort, 10)
	u := url.URL{
		Scheme: "mysql",
		User:   url.UserPassword(string(name), password.Reveal()),
		Host:   net.JoinHostPort(b.settings.clientHost, port),
		Path:   "/" + b.settings.database,
	}
	return providers.Values{
		"username": providers.NewSecret(string(name)),
		"password": password,
		"host":     providers.NewSecret(b.settings.clientHost),
		"port":     providers.NewSecret(port),
		"database": providers.NewSecret(b.settings.database),
		"url":      providers.NewSecret(u.String()),
	}
}
