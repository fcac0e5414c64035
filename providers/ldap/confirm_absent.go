package ldap

import (
	"context"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
)

// ConfirmAbsent claims each name: it adds an entry of that name, reads the directory's clock from it and deletes it.
// A create whose entry came before makes the claim fail; one whose entry comes later reads from it that its deadline
// has passed.
func (b *backend) ConfirmAbsent(ctx context.Context, logins []providers.Login, notBefore time.Time) map[providers.LoginName]error {
	tooEarly := func(name providers.LoginName, clock string) error {
		return providers.Errorf(providers.KindTooEarly, "confirming that %q is absent: by the %s clock a create may still come", string(name), clock)
	}
	if !time.Now().After(notBefore) {
		// The directory's clock decides, but is had by a write only.
		answers := make(map[providers.LoginName]error, len(logins))
		for _, login := range logins {
			answers[login.Name] = tooEarly(login.Name, "broker's")
		}
		return answers
	}
	return b.each(ctx, logins, 6, func(ctx context.Context, c *conn, login providers.Login) error {
		entry, err := b.claim(ctx, c, login)
		if err != nil {
			return err
		}
		madeAt, _, err := b.madeAt(ctx, c, entry.DN)
		if c.broken {
			return err
		}
		if err := c.Del(goldap.NewDelRequest(entry.DN, nil)); err != nil {
			return b.failed(ctx, c, err, "taking the claim on entry %q back", entry.DN)
		}
		if err == nil && !madeAt.After(notBefore) {
			err = tooEarly(login.Name, "directory's")
		}
		return err
	})
}

// claim adds an entry of the login's name: a plain one, or one as the secret makes them where the directory's schema
// has no place for that. The secret's may be what the directory refused in the first place.
func (b *backend) claim(ctx context.Context, c *conn, login providers.Login) (*goldap.AddRequest, error) {
	var refused error
	for _, options := range []providers.Options{nil, login.Options} {
		t, err := creation(options)
		if err != nil {
			continue
		}
		entry := b.entry(t, providers.Grant{Login: login})
		if err = c.Add(entry); err == nil {
			return entry, nil
		}
		problem := b.failed(ctx, c, err, "confirming that entry %q is absent", entry.DN)
		if problem.Kind != providers.KindRejected {
			return nil, problem
		}
		if refused == nil {
			refused = problem
		}
	}
	return nil, refused
}
