package ldap_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"broker/providers"
	"broker/providers/ldap"
	"broker/providers/ldap/ldaptest"
	"broker/providers/providertest"
)

func TestContract(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providertest.Fixture {
		return providertest.Fixture{
			Provider:      ldap.Provider{},
			Connection:    server.Connection(),
			Options:       server.Options(),
			BrokenOptions: map[string]any{"groups": []any{ldaptest.ReadGroup, "cn=none," + ldaptest.GroupBase}},
			Canaries:      []providers.Secret{providers.NewSecret(server.AdminPassword)},
			LogIn:         logIn,
			Outage:        &providertest.Outage{Stop: server.Stop, Start: server.Start, Pause: server.Pause, Resume: server.Resume},
			WrongRoot:     map[string]any{"bind_password": "not-the-password"},
			Rotation:      anotherRoot,
			Stick:         stick,
		}
	})
}

func logIn(ctx context.Context, v providers.Values) error {
	return server.LogIn(ctx, map[string]string{"dn": v["dn"].Reveal(), "password": v["password"].Reveal()})
}

// stick makes an entry below the login's, which cannot be deleted then.
func stick(t *testing.T, name providers.LoginName) func() {
	child := "cn=card,uid=" + string(name) + "," + ldaptest.UserBase
	server.MustModify(t, "dn: "+child+"\nchangetype: add\nobjectClass: device\ncn: card\n")
	return func() { server.MustModify(t, "dn: "+child+"\nchangetype: delete\n") }
}

// anotherRoot makes an account with the rights of the root account, for one test.
func anotherRoot(t *testing.T) map[string]any {
	name, password := "broker-"+strings.ToLower(rand.Text()), rand.Text()
	dn := fmt.Sprintf("cn=%s,ou=services,%s", name, ldaptest.Suffix)
	server.MustModify(t, strings.ReplaceAll(ldaptest.RootEntries(password)[strings.Index(ldaptest.RootEntries(password), "dn: cn=broker"):], "broker", name))
	// Its rules come before those of the first root account, and must not end the search for them.
	access := strings.NewReplacer(ldaptest.RootDN, dn, "by * none", "by * break").Replace(ldaptest.RootAccess)
	if err := server.Modify(t.Context(), "cn=config", access); err != nil {
		t.Fatal(err)
	}
	connection := server.Connection()
	connection["bind_dn"], connection["bind_password"] = dn, password
	return connection
}
