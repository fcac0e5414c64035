package ldap_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/ldap"
	"broker/providers/ldap/ldaptest"
)

func TestCheckOptions(t *testing.T) {
	k := open(t, nil)
	closed := "cn=closed," + ldaptest.Suffix // the root account may read it
	server.MustModify(t, "dn: "+closed+"\nchangetype: add\nobjectClass: groupOfNames\ncn: closed\nmember: cn=nobody,"+ldaptest.Suffix+"\n")
	for _, test := range []struct {
		name    string
		options map[string]any
		want    string // in the message; "" when all is well
	}{
		{"a group that is well", map[string]any{"groups": ldaptest.ReadGroup}, ""},
		{"no groups", map[string]any{}, ""},
		{"no such group", map[string]any{"groups": "cn=none," + ldaptest.GroupBase}, "there is no group"},
		{"the root account's own group", map[string]any{"groups": ldaptest.AdminGroup}, "root account is a member"},
		{"a group that may not be changed", map[string]any{"groups": closed}, "attrs=member by dn.exact"},
		{"a group of another kind", map[string]any{"groups": ldaptest.PosixGroup, "group_attribute": "memberUid"}, ""},
	} {
		problems, err := providers.CheckOptions(t.Context(), k.Backend, options(t, test.options))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if test.want == "" && len(problems) > 0 {
			t.Errorf("%s: got %v", test.name, problems)
		}
		if test.want != "" && (len(problems) != 1 || problems[0].Field != "groups" || !strings.Contains(problems[0].Message, test.want)) {
			t.Errorf("%s: got %v, want one with %q", test.name, problems, test.want)
		}
	}
	if got := k.read(ldaptest.ReadGroup, "member"); len(got) != 1 {
		t.Errorf("checking changed the group: %v", got)
	}
}

func TestCheckSaysWhatIsMissing(t *testing.T) {
	_, err := open(t, map[string]any{"user_base": "ou=nowhere," + ldaptest.Suffix}).Check(t.Context())
	if kindOf(t, err) != providers.KindRejected || !strings.Contains(err.Error(), "ou=nowhere") {
		t.Errorf("got %v, want rejected because there is no such base", err)
	}
	_, err = open(t, map[string]any{"tls_ca": ""}).Check(t.Context())
	if kindOf(t, err) != providers.KindRejected {
		t.Errorf("got %v, want rejected because the certificate is nobody's", err)
	}
	_, err = open(t, map[string]any{"port": server.Ports[0], "connect_timeout": "300ms"}).Check(t.Context())
	if err == nil {
		t.Error("TLS from the start was had from a port that does not speak it")
	}
}

// Whoever may not make entries learns which rule is missing.
func TestCreateSaysWhichRuleIsMissing(t *testing.T) {
	dn := "cn=poor,ou=services," + ldaptest.Suffix
	server.MustModify(t, "dn: "+dn+"\nchangetype: add\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: poor\nuserPassword: poor-password\n")
	k := open(t, map[string]any{"bind_dn": dn, "bind_password": "poor-password"})
	_, err := k.Create(t.Context(), k.grant(nil))
	var e *providers.Error
	if kindOf(t, err) != providers.KindRejected {
		t.Fatalf("got %v, want rejected", err)
	}
	if e = err.(*providers.Error); !strings.Contains(e.Hint, dn) {
		t.Errorf("the hint is %q", e.Hint)
	}
}

func TestTransports(t *testing.T) {
	for _, test := range []struct {
		name      string
		overrides map[string]any
		url       string
	}{
		{"ldaps", nil, fmt.Sprintf("ldaps://127.0.0.1:%d", server.Ports[1])},
		{"starttls", map[string]any{"starttls": true, "port": server.Ports[0]}, fmt.Sprintf("ldap://127.0.0.1:%d", server.Ports[0])},
		{"clear", map[string]any{"tls": "off", "port": server.Ports[0]}, fmt.Sprintf("ldap://127.0.0.1:%d", server.Ports[0])},
		{"another address for clients", map[string]any{"client_host": "::1", "client_port": 1636}, "ldaps://[::1]:1636"},
	} {
		k := open(t, test.overrides)
		login, made := k.create(nil)
		if err := providers.LogIn(t.Context(), k.Backend, made); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if got := made["url"].Reveal(); got != test.url {
			t.Errorf("%s: url is %q, want %q", test.name, got, test.url)
		}
		k.mustRevoke(login)
	}
	// A server that must not be believed is told nothing, however TLS begins.
	for _, overrides := range []map[string]any{{"starttls": true, "port": server.Ports[0], "tls_ca": ""}, {"tls_server_name": "elsewhere.example"}} {
		k := open(t, overrides)
		_, err := k.Create(t.Context(), k.grant(nil))
		if e, ok := err.(*providers.Error); !ok || !e.NotSent || e.Kind != providers.KindRejected {
			t.Errorf("%v: got %v, want rejected, not sent", overrides, err)
		}
	}
}

// DNs are written in many ways, and entries named by either attribute.
func TestNaming(t *testing.T) {
	for _, overrides := range []map[string]any{
		{"name_attribute": "cn", "record_attribute": "title"},
		{"user_base": "OU=Leases,  dc=EXAMPLE,dc=com", "group_base": "OU=groups, DC=example, DC=com"},
	} {
		k := open(t, overrides)
		if _, err := k.Check(t.Context()); err != nil {
			t.Errorf("%v: checking: %v", overrides, err)
		}
		login, made := k.create(nil)
		k.bind(made)
		var found []providers.Found
		for one, err := range k.List(t.Context(), k.prefix) {
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, one)
		}
		if len(found) != 1 || found[0] != (providers.Found{Name: login.Name, Ours: true}) {
			t.Errorf("%v: listed %v", overrides, found)
		}
		for range 2 {
			k.mustRevoke(login)
		}
		if err := k.ConfirmAbsent(t.Context(), []providers.Login{login}, time.Now().Add(-time.Second))[login.Name]; err != nil {
			t.Errorf("%v: confirming absence: %v", overrides, err)
		}
		if got := k.read(ldaptest.ReadGroup, "member"); len(got) != 1 {
			t.Errorf("%v: members are %q", overrides, got)
		}
	}
}

func TestSettings(t *testing.T) {
	good := map[string]any{"host": "ldap.internal", "bind_dn": "cn=broker,dc=example,dc=com", "bind_password": "p", "user_base": "ou=leases,dc=example,dc=com"}
	d := ldap.Provider{}.Describe()
	for _, test := range []struct{ field, value, want string }{
		{"", "", ""},
		{"host", "ldaps://ldap.internal", "host must be"},
		{"user_base", "leases", "user_base is no DN"},
		{"bind_dn", "broker", "bind_dn is no DN"},
		{"group_base", "groups", "group_base is no DN"},
		{"record_attribute", "userPassword", "record_attribute"},
		{"record_attribute", "a b", "record_attribute"},
		{"tls_ca", "x", "tls_ca"},
	} {
		values := map[string]any{}
		for name, value := range good {
			values[name] = value
		}
		if test.field != "" {
			values[test.field] = test.value
		}
		settings, problems := d.ValidateConnection(values)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		b, err := ldap.Provider{}.Open(settings, providers.Env{})
		if test.want == "" {
			if err != nil {
				t.Error(err)
			} else if err := b.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s=%s: got %v, want %q", test.field, test.value, err, test.want)
		}
	}
	warn := func(values map[string]any) int { return len(ldap.Provider{}.Warnings(values)) }
	if n := warn(good); n != 0 {
		t.Errorf("%d warnings about what is well", n)
	}
	if n := warn(map[string]any{"host": "ldap.internal", "bind_dn": "CN=admin,dc=example,dc=com", "tls": "off"}); n != 2 {
		t.Errorf("%d warnings about the administrator in clear, want 2", n)
	}
}
