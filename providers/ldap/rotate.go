package ldap

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"fmt"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
)

// PlanRotation makes up the root account's new password.
func (b *backend) PlanRotation(ctx context.Context) (providers.Settings, error) {
	password, err := providers.NewPassword(rand.Reader, 0)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	providers.Conceal(ctx, password)
	return providers.Settings{fieldBindPassword: password.Reveal()}, nil
}

// Rotate makes the new password good beside the old one, where the directory takes two, else in its place.
func (b *backend) Rotate(ctx context.Context, plan providers.Settings) (providers.Settings, error) {
	if err := b.writes(); err != nil {
		return nil, err
	}
	password := providers.NewSecret(plan.String(fieldBindPassword))
	if password.IsZero() {
		return nil, &providers.Error{Kind: providers.KindRejected, NotSent: true, Err: fmt.Errorf("exchanging the root account's password: the plan has none")}
	}
	ctx, cancel := b.bound(ctx, 6)
	defer cancel()
	changed := providers.Settings{fieldBindPassword: password.Reveal()}
	// A call cut short may have come this far.
	if good, err := b.accepts(ctx, password); err != nil || good {
		return changed, err
	}
	c, err := b.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer b.release(c)
	second := goldap.NewModifyRequest(b.settings.bindDN, nil)
	hashed, err := hash(password)
	if err != nil {
		return nil, &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Err: err}
	}
	providers.Conceal(ctx, providers.NewSecret(hashed))
	second.Add("userPassword", []string{hashed})
	if err := c.Modify(second); err != nil && result(err) == nil {
		return nil, b.failed(ctx, c, err, "adding a password to the root account %q", b.settings.bindDN)
	} else if err == nil {
		if good, err := b.accepts(ctx, password); err != nil || good {
			return changed, err
		}
	}
	// One password only (a password policy has it so), or no hashes from outside.
	if err := b.setRoot(ctx, c, password); err != nil {
		return nil, err
	}
	good, err := b.accepts(ctx, password)
	if err == nil && !good {
		err = providers.Errorf(providers.KindRejected, "exchanging the password of the root account %q: the new one is not accepted", b.settings.bindDN)
	}
	return changed, err
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
	if err := b.setRoot(ctx, c, b.settings.bindPassword); err != nil {
		return err
	}
	good, err := b.accepts(ctx, old)
	if err == nil && good {
		err = providers.Errorf(providers.KindRejected, "retiring the old password of the root account %q: it is still accepted", b.settings.bindDN)
	}
	return err
}

// setRoot sets the root account's one password.
func (b *backend) setRoot(ctx context.Context, c *conn, password providers.Secret) error {
	_, err := c.PasswordModify(goldap.NewPasswordModifyRequest(b.settings.bindDN, "", password.Reveal()))
	if err == nil {
		return nil
	}
	e := b.failed(ctx, c, err, "setting the password of the root account %q", b.settings.bindDN)
	if answeredWith(err, goldap.LDAPResultInsufficientAccessRights) {
		e.Hint = fmt.Sprintf("Let the account change its own password: olcAccess: to dn.exact=%q attrs=userPassword by self =w by anonymous auth by * none", b.settings.bindDN)
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

// hash makes what directories keep of a password: salted SHA-1, the scheme that all of them know.
func hash(password providers.Secret) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("reading random bits for a salt: %w", err)
	}
	sum := sha1.Sum(append([]byte(password.Reveal()), salt...))
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...)), nil
}
