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
	claim, err := parseCreation(defaultCreation)
	if err != nil {
		panic(err) // the template is ours
	}
	return b.each(ctx, logins, 4, func(ctx context.Context, c *conn, login providers.Login) error {
		entry := b.entry(claim, login.Name, "")
		if err := c.Add(entry); err != nil {
			return b.failed(ctx, c, err, "confirming that entry %q is absent", entry.DN)
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
