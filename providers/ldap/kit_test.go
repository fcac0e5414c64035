package ldap_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
	"broker/providers/ldap"
	"broker/providers/ldap/ldaptest"
)

const clusterID = "01J0LDAPTESTCLUSTER0000000"

// kit is a Backend with a prefix of its own at a directory.
type kit struct {
	providers.Backend
	t        *testing.T
	server   *ldaptest.Server
	settings providers.Settings
	prefix   string
}

// open opens a Backend at the package's directory; overrides replace connection fields.
func open(t *testing.T, overrides map[string]any) *kit {
	t.Helper()
	return openAt(t, server, overrides)
}

func openAt(t *testing.T, server *ldaptest.Server, overrides map[string]any) *kit {
	t.Helper()
	connection := server.Connection()
	maps.Copy(connection, overrides)
	settings, problems := ldap.Provider{}.Describe().ValidateConnection(connection)
	if len(problems) > 0 {
		t.Fatalf("validating the connection: %v", problems)
	}
	k := &kit{t: t, server: server, settings: settings, prefix: providers.Prefix("brk_", providers.Cluster4(rand.Text()))}
	k.Backend = k.again(providers.Env{})
	return k
}

// again opens another Backend of the same connection; env says what differs.
func (k *kit) again(env providers.Env) providers.Backend {
	k.t.Helper()
	env.ClusterID, env.Prefix = clusterID, k.prefix
	b, err := ldap.Provider{}.Open(k.settings, env)
	if err != nil {
		k.t.Fatalf("opening the backend: %v", err)
	}
	b = providers.Redacting(b, ldap.Provider{}.Describe().Secrets(k.settings)...)
	k.t.Cleanup(func() { b.Close() })
	return b
}

// options validates options as the broker does.
func options(t *testing.T, values map[string]any) providers.Options {
	t.Helper()
	validated, problems := ldap.Provider{}.Describe().ValidateOptions(values)
	if len(problems) == 0 {
		problems = ldap.Provider{}.ValidateOptions(validated)
	}
	if len(problems) > 0 {
		t.Fatalf("validating options: %v", problems)
	}
	return validated
}

// grant orders a login with the options; nil means a member of readers.
func (k *kit) grant(values map[string]any) providers.Grant {
	k.t.Helper()
	if values == nil {
		values = k.server.Options()
	}
	unique, err := providers.NewUnique(rand.Reader)
	if err != nil {
		k.t.Fatal(err)
	}
	return providers.Grant{
		Login: providers.Login{
			Name:      providers.LoginName(k.prefix + "test_" + unique),
			ExpiresAt: time.Now().Add(time.Hour),
			Options:   options(k.t, values),
		},
		LeaseID:  "01J0LDAPTESTLEASE000000000",
		Deadline: time.Now().Add(time.Minute),
	}
}

// create makes a login, which the test revokes.
func (k *kit) create(values map[string]any) (providers.Login, providers.Values) {
	k.t.Helper()
	grant := k.grant(values)
	made, err := k.Create(k.t.Context(), grant)
	if err != nil {
		k.t.Fatalf("creating login: %v", err)
	}
	return grant.Login, made
}

func (k *kit) mustRevoke(logins ...providers.Login) {
	k.t.Helper()
	answers := k.Revoke(k.t.Context(), logins)
	for _, login := range logins {
		if err, answered := answers[login.Name]; err != nil || !answered {
			k.t.Errorf("revoking %s: answered %v, %v", login.Name, answered, err)
		}
	}
}

// bind logs in with a lease's values; the connection is closed when the test ends.
func (k *kit) bind(values providers.Values) *goldap.Conn {
	k.t.Helper()
	conn, err := k.server.Connect(k.t.Context(), values["dn"].Reveal(), values["password"].Reveal())
	if err != nil {
		k.t.Fatalf("logging in: %v", err)
	}
	k.t.Cleanup(func() { conn.Close() })
	return conn
}

// read reads one attribute of an entry as the administrator; nil when there is no such entry.
func (k *kit) read(dn, attribute string) []string {
	k.t.Helper()
	conn, err := k.server.Admin(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	defer conn.Close()
	found, err := conn.Search(goldap.NewSearchRequest(dn, goldap.ScopeBaseObject, goldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{attribute}, nil))
	if goldap.IsErrorWithCode(err, goldap.LDAPResultNoSuchObject) {
		return nil
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return found.Entries[0].GetAttributeValues(attribute)
}

func (k *kit) dn(name providers.LoginName) string {
	return fmt.Sprintf("uid=%s,%s", name, ldaptest.UserBase)
}

// kindOf returns the kind of an error that a Backend returned.
func kindOf(t *testing.T, err error) providers.Kind {
	t.Helper()
	var e *providers.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %T (%v), want *providers.Error", err, err)
	}
	return e.Kind
}

// refusals makes every call but Check and returns the error of each by its name.
func refusals(t *testing.T, b providers.Backend, k *kit, login providers.Login) map[string]error {
	t.Helper()
	batch := []providers.Login{login}
	_, create := b.Create(t.Context(), k.grant(nil))
	_, options := providers.CheckOptions(t.Context(), b, login.Options)
	var list error
	for found, err := range b.List(t.Context(), k.prefix) {
		if list = err; err == nil {
			t.Errorf("List yields %s", found.Name)
		}
	}
	return map[string]error{
		"Create": create, "CheckOptions": options, "List": list,
		"Revoke":        b.Revoke(t.Context(), batch)[login.Name],
		"ConfirmAbsent": b.ConfirmAbsent(t.Context(), batch, time.Now().Add(-time.Minute))[login.Name],
	}
}
