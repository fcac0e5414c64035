package ldap_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/ldap/ldaptest"
)

// withOverlay adds an overlay to a directory of its own.
func withOverlay(t *testing.T, overlays ...string) *ldaptest.Server {
	t.Helper()
	s := ldaptest.Start(t)
	for _, overlay := range overlays {
		var name, class, settings string
		switch overlay {
		case "constraint":
			name, class, settings = "constraint", "olcConstraintConfig", "olcConstraintAttribute: userPassword count 1\nolcConstraintAttribute: sn regex ^nobody$\n"
		case "ppolicy":
			name, class, settings = "ppolicy", "olcPPolicyConfig", "olcPPolicyDefault: cn=policy,"+ldaptest.Suffix+"\nolcPPolicyHashCleartext: TRUE\n"
		case "memberof":
			name, class = "memberof", "olcMemberOfConfig"
		case "refint":
			name, class, settings = "refint", "olcRefintConfig", "olcRefintAttribute: member uniqueMember\n"
		}
		for _, ldif := range []string{
			"dn: cn=module{0},cn=config\nchangetype: modify\nadd: olcModuleLoad\nolcModuleLoad: " + name + "\n",
			fmt.Sprintf("dn: olcOverlay=%s,olcDatabase={1}mdb,cn=config\nchangetype: add\nobjectClass: olcOverlayConfig\nobjectClass: %s\nolcOverlay: %s\n%s", name, class, name, settings),
		} {
			if err := s.Modify(t.Context(), "cn=config", ldif); err != nil {
				t.Fatal(err)
			}
		}
		if overlay == "ppolicy" { // which brings its own schema
			s.MustModify(t, "dn: cn=policy,"+ldaptest.Suffix+"\nchangetype: add\nobjectClass: organizationalRole\nobjectClass: pwdPolicy\ncn: policy\npwdAttribute: 2.5.4.35\npwdMinLength: 20\npwdCheckQuality: 2\npwdInHistory: 3\npwdMaxFailure: 3\npwdLockout: TRUE\n")
		}
	}
	return s
}

// Directories in use have a password policy, and keep memberships consistent by themselves.
func TestOverlays(t *testing.T) {
	for _, overlays := range [][]string{{"ppolicy"}, {"memberof", "refint"}, {"ppolicy", "memberof", "refint"}} {
		t.Run(fmt.Sprint(overlays), func(t *testing.T) {
			k := openAt(t, withOverlay(t, overlays...), nil)
			login, made := k.create(nil)
			k.bind(made)
			if slices.Contains(overlays, "memberof") && !slices.Equal(k.read(k.dn(login.Name), "memberOf"), []string{ldaptest.ReadGroup}) {
				t.Errorf("memberOf is %q", k.read(k.dn(login.Name), "memberOf"))
			}
			k.mustRevoke(login)
			if err := k.server.LogIn(t.Context(), map[string]string{"dn": made["dn"].Reveal(), "password": made["password"].Reveal()}); err == nil {
				t.Error("a log-in was accepted after revoking")
			}
			if got := k.read(ldaptest.ReadGroup, "member"); len(got) != 1 {
				t.Errorf("members are %q", got)
			}
			if err := k.ConfirmAbsent(t.Context(), []providers.Login{login}, time.Now().Add(-time.Second))[login.Name]; err != nil {
				t.Errorf("confirming absence: %v", err)
			}
			before, after := exchange(t, k)
			if err := providers.Retire(t.Context(), after.Backend, before.settings); err != nil {
				t.Errorf("retiring: %v", err)
			}
			if _, err := before.Check(t.Context()); err == nil {
				t.Error("the old password is still good")
			}
			if _, err := after.Check(t.Context()); err != nil {
				t.Errorf("checking with the new password: %v", err)
			}
		})
	}
}

// A directory that takes no plain entries takes those of the secret, as claims too.
func TestClaimWhereSchemaIsStrict(t *testing.T) {
	k := openAt(t, withOverlay(t, "constraint"), nil)
	values := map[string]any{"creation_ldif": "dn: {{dn}}\nobjectClass: account\nobjectClass: simpleSecurityObject\nuid: {{name}}\n"}
	// The schema wants a password of that class, which no template may have.
	grant := k.grant(values)
	if _, err := k.Create(t.Context(), grant); kindOf(t, err) != providers.KindRejected {
		t.Errorf("got %v, want rejected", err)
	}
	err := k.ConfirmAbsent(t.Context(), []providers.Login{grant.Login}, time.Now().Add(-time.Second))[grant.Name]
	if kindOf(t, err) != providers.KindRejected {
		t.Errorf("confirming absence where neither entry is taken: got %v, want rejected", err)
	}
	login, made := k.create(map[string]any{"creation_ldif": "dn: {{dn}}\nobjectClass: inetOrgPerson\nuid: {{name}}\ncn: {{name}}\nsn: nobody\n"})
	k.bind(made)
	k.mustRevoke(login)
	if err := k.ConfirmAbsent(t.Context(), []providers.Login{login}, time.Now().Add(-time.Second))[login.Name]; err != nil {
		t.Errorf("confirming absence: %v", err)
	}
}
