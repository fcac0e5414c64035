package ldap

import (
	"context"
	"crypto/rand"
	"crypto/sha1" // the directory's scheme: see hash
	"encoding/base64"
	"errors"
	"fmt"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
)

// PlanRotation makes up the root account's new password.
func (b *backend) PlanRotation(ctx context.Context, abandoned providers.Settings) (providers.Settings, error) {
	if password := abandoned.String(fieldBindPassword); password != "" {
		return providers.Settings{fieldBindPassword: password}, nil
	}
	if err := b.mayChangeItself(ctx); err != nil {
		return nil, err
	}
	password, err := providers.NewPassword(rand.Reader, 0)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	providers.Conceal(ctx, password)
	return providers.Settings{fieldBindPassword: password.Reveal()}, nil
}

// mayChangeItself asks whether the root account may change its password: it takes one away that it does not have,
// which changes nothing and is refused first to whoever may take none away.
func (b *backend) mayChangeItself(ctx context.Context) error {
	ctx, cancel := b.bound(ctx, 2)
	defer cancel()
	c, err := b.acquire(ctx)
	if err != nil || b.env.ReadOnly {
		return err
	}
	defer b.release(c)
	request := goldap.NewModifyRequest(b.settings.bindDN, nil)
	request.Delete("userPassword", []string{rand.Text()})
	err = c.Modify(request)
	if answeredWith(err, goldap.LDAPResultInsufficientAccessRights, goldap.LDAPResultNoSuchObject) {
		return b.rootError(ctx, c, err)
	}
	if err != nil && result(err) == nil {
		return b.failed(ctx, c, err, "asking whether the root account %q may change its password", b.settings.bindDN)
	}
	return nil
}

// Rotate makes the new password good beside the old one, where the directory takes two, else in its place. Neither
// does harm when it comes late: a password more takes nothing away, and the other is refused when the old one is no
// longer good.
func (b *backend) Rotate(ctx context.Context, plan providers.Settings) (providers.Settings, error) {
	if err := b.writes(); err != nil {
		return nil, err
	}
	password := providers.NewSecret(plan.String(fieldBindPassword))
	if password.IsZero() {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: errors.New("exchanging the root account's password: the plan has none")}
	}
	ctx, cancel := b.bound(ctx, 6)
	defer cancel()
	changed := providers.Settings{fieldBindPassword: password.Reveal()}
	// A call cut short may have come this far.
	if good, err := b.accepts(ctx, password); err != nil || good {
		return changed, unavailable(err)
	}
	c, err := b.acquire(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	defer b.release(c)
	second, err := b.addPassword(ctx, c, password)
	if err != nil {
		return nil, err
	}
	if second {
		if good, err := b.accepts(ctx, password); err != nil || good {
			return changed, unavailable(err)
		}
	}
	// One password only (a password policy has it so), or no hashes from outside.
	if err := b.exchange(ctx, c, b.settings.bindPassword, password); err != nil {
		if second {
			err.Kind = providers.KindUnknown // something was changed, though it is good for nothing
		}
		return nil, err
	}
	good, err := b.accepts(ctx, password)
	if err == nil && !good {
		err = &providers.Error{Err: fmt.Errorf("exchanging the password of the root account %q: the directory says that it is done and does not accept the new one", b.settings.bindDN)}
	}
	return changed, unavailable(err)
}

// addPassword gives the root account one password more; false when the directory refuses that.
func (b *backend) addPassword(ctx context.Context, c *conn, password providers.Secret) (bool, error) {
	hashed, err := hash(password)
	if err != nil {
		return false, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	providers.Conceal(ctx, providers.NewSecret(hashed))
	request := goldap.NewModifyRequest(b.settings.bindDN, nil)
	request.Add("userPassword", []string{hashed})
	err = c.Modify(request)
	if err != nil && result(err) == nil {
		return false, b.failed(ctx, c, err, "adding a password to the root account %q", b.settings.bindDN)
	}
	return err == nil, nil
}

// Retire leaves the root account the password that this Backend has, and no other.
func (b *backend) Retire(ctx context.Context, previous providers.Settings) error {
	old := providers.NewSecret(previous.String(fieldBindPassword))
	if err := b.writes(); err != nil || old.IsZero() || old == b.settings.bindPassword {
		return err
	}
	ctx, cancel := b.bound(ctx, 5)
	defer cancel()
	if good, err := b.accepts(ctx, old); err != nil || !good {
		return err
	}
	c, err := b.acquire(ctx)
	if err != nil {
		return err
	}
	defer b.release(c)
	if err := b.exchange(ctx, c, old, b.settings.bindPassword); err != nil {
		return err
	}
	good, err := b.accepts(ctx, old)
	if err == nil && good {
		err = providers.Errorf(providers.KindRejected, "retiring the old password of the root account %q: it is still accepted", b.settings.bindDN)
	}
	return err
}

// exchange sets the root account's one password, if the old one is still good: one that comes late, after another
// exchange, is refused.
func (b *backend) exchange(ctx context.Context, c *conn, old, password providers.Secret) *providers.Error {
	_, err := c.PasswordModify(goldap.NewPasswordModifyRequest(b.settings.bindDN, old.Reveal(), password.Reveal()))
	if err != nil {
		return b.rootError(ctx, c, err)
	}
	return nil
}

func (b *backend) rootError(ctx context.Context, c *conn, err error) *providers.Error {
	e := b.failed(ctx, c, err, "setting the password of the root account %q", b.settings.bindDN)
	if answeredWith(err, goldap.LDAPResultInsufficientAccessRights, goldap.LDAPResultUnwillingToPerform) {
		e.Hint = fmt.Sprintf("Let the account change its own password: olcAccess: to dn.exact=%q attrs=userPassword by self =xw by anonymous auth by * none", b.settings.bindDN)
	}
	if answeredWith(err, goldap.LDAPResultNoSuchObject) {
		e.Hint = "The account has no entry, as the directory's administrator often has none: its password stands in the server's configuration."
	}
	return e
}

// accepts reports whether the root account can log in with a password.
func (b *backend) accepts(ctx context.Context, password providers.Secret) (bool, error) {
	switch err := b.bind(ctx, b.settings.bindDN, password); {
	case err == nil:
		return true, nil
	case answeredWith(err, goldap.LDAPResultInvalidCredentials):
		return false, nil
	default:
		return false, b.connectError(ctx, err)
	}
}

// unavailable makes of a failure to log in what it means while a password is exchanged: nobody knows yet which is good.
func unavailable(err error) error {
	var e *providers.Error
	if errors.As(err, &e) && e.Kind == providers.KindRejected {
		e.Kind = providers.KindUnavailable
	}
	return err
}

// hash makes what directories keep of a password: salted SHA-1, the one scheme that all of them know. What is hashed
// has 190 bits.
func hash(password providers.Secret) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("reading random bits for a salt: %w", err)
	}
	sum := sha1.Sum(append([]byte(password.Reveal()), salt...))
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...)), nil
}
