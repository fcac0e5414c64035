package ldap

import (
	"context"
	"fmt"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
)

// LogIn binds as a lease's entry.
func (b *backend) LogIn(ctx context.Context, values providers.Values) error {
	ctx, cancel := b.bound(ctx, 1)
	defer cancel()
	err := b.bind(ctx, values["dn"].Reveal(), values["password"])
	switch {
	case err == nil:
		return nil
	case result(err) == nil:
		return b.connectError(ctx, err)
	case answeredWith(err, goldap.LDAPResultInvalidCredentials, goldap.LDAPResultInappropriateAuthentication):
		return &providers.Error{Kind: providers.KindRejected, Hint: "The access rules have to let anonymous authenticate against userPassword of logins (by anonymous auth).",
			Err: fmt.Errorf("binding as %q: the directory refuses its password", values["dn"].Reveal())}
	}
	return b.resultError(fmt.Sprintf("binding as %q", values["dn"].Reveal()), result(err))
}
