package ldap_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/ldap/ldaptest"
)

// The address of the connection comes to mean another directory, where of course the login is absent.
func TestAnotherSystemIsNoWitness(t *testing.T) {
	k := open(t, nil)
	identity, err := k.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	login, _ := k.create(nil)
	defer k.mustRevoke(login)
	another := openAt(t, ldaptest.Start(t), nil)
	another.prefix = k.prefix
	b := another.again(providers.Env{Identity: identity})
	for call, err := range refusals(t, b, another, login) {
		var e *providers.Error
		if !errors.As(err, &e) || e.Kind != providers.KindUnavailable || !e.NotSent || e.Hint == "" || !strings.Contains(e.Error(), string(identity)) {
			t.Errorf("%s: got %#v, want unavailable, not sent, with both identities and a hint", call, err)
		}
	}
	if found, err := b.Check(t.Context()); err != nil || found == identity {
		t.Errorf("checking another directory: got %q, %v, want its own identity", found, err)
	}
	// The same directory by another name is the one that is meant.
	again := open(t, map[string]any{"host": "localhost"})
	if found, err := again.again(providers.Env{Identity: identity}).Check(t.Context()); err != nil || found != identity {
		t.Errorf("got %q, %v, want %q", found, err, identity)
	}
}

// A replica answers every question and may be behind: what it does not have is not absent.
func TestReplicaIsNoWitness(t *testing.T) {
	for _, test := range []struct{ name, config string }{
		{"consumer with referral", "add: olcSyncrepl\nolcSyncrepl: rid=001 provider=ldap://127.0.0.1:1 searchbase=\"" + ldaptest.Suffix + "\" type=refreshOnly retry=\"60 +\"\n-\nadd: olcUpdateRef\nolcUpdateRef: ldap://127.0.0.1:1\n"},
		{"consumer without", "add: olcSyncrepl\nolcSyncrepl: rid=001 provider=ldap://127.0.0.1:1 searchbase=\"" + ldaptest.Suffix + "\" type=refreshOnly retry=\"60 +\"\n"},
		{"closed to changes", "replace: olcReadOnly\nolcReadOnly: TRUE\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			replica := ldaptest.Start(t)
			if err := replica.Modify(t.Context(), "cn=config", "dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\n"+test.config); err != nil {
				t.Fatal(err)
			}
			k := openAt(t, replica, nil)
			if _, err := k.Check(t.Context()); kindOf(t, err) != providers.KindUnavailable {
				t.Errorf("checking: got %v, want unavailable", err)
			}
			login := k.grant(nil).Login
			err := k.Revoke(t.Context(), []providers.Login{login})[login.Name]
			if kindOf(t, err) != providers.KindUnavailable {
				t.Errorf("revoking: got %v, want unavailable", err)
			}
			err = k.ConfirmAbsent(t.Context(), []providers.Login{login}, time.Now().Add(-time.Minute))[login.Name]
			if kindOf(t, err) != providers.KindUnavailable {
				t.Errorf("confirming absence: got %v, want unavailable", err)
			}
			_, err = k.Create(t.Context(), k.grant(nil))
			if kindOf(t, err) != providers.KindUnavailable {
				t.Errorf("creating: got %v, want unavailable", err)
			}
		})
	}
}

// A root account that has lost its rights is told that nothing exists, or that it may not; neither is absence.
func TestBlindAccountIsNoWitness(t *testing.T) {
	k := open(t, nil)
	login, values := k.create(nil)
	defer k.mustRevoke(login)
	for _, rights := range []string{"none", "search", "read", "disclose"} {
		name := "blind-" + rights
		dn := fmt.Sprintf("cn=%s,ou=services,%s", name, ldaptest.Suffix)
		server.MustModify(t, "dn: "+dn+"\nchangetype: add\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: "+name+"\nuserPassword: blind-password\n")
		if err := server.Modify(t.Context(), "cn=config", "dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nadd: olcAccess\nolcAccess: {0}to dn.subtree=\""+ldaptest.UserBase+"\" by dn.exact=\""+dn+"\" "+rights+" by * break\n"); err != nil {
			t.Fatal(err)
		}
		blind := open(t, map[string]any{"bind_dn": dn, "bind_password": "blind-password", "group_base": ""})
		blind.prefix = k.prefix
		b := blind.again(providers.Env{})
		never := login
		never.Name += "x"
		for _, one := range []providers.Login{login, never} {
			if err := b.Revoke(t.Context(), []providers.Login{one})[one.Name]; err == nil && one.Name == login.Name {
				t.Errorf("%s: revoking a login without the right to is answered with success", rights)
			}
			if err := b.ConfirmAbsent(t.Context(), []providers.Login{one}, time.Now().Add(-time.Minute))[one.Name]; err == nil {
				t.Errorf("%s: absence is confirmed without the right to make the entry", rights)
			}
		}
	}
	k.bind(values)
}

// Whoever may only look changes nothing.
func TestReadOnly(t *testing.T) {
	k := open(t, nil)
	login, values := k.create(nil)
	defer k.mustRevoke(login)
	drill := k.again(providers.Env{ReadOnly: true})
	if _, err := drill.Check(t.Context()); err != nil {
		t.Errorf("checking: %v", err)
	}
	if problems, err := providers.CheckOptions(t.Context(), drill, login.Options); err != nil || len(problems) > 0 {
		t.Errorf("checking options: %v, %v", problems, err)
	}
	var listed []providers.Found
	for found, err := range drill.List(t.Context(), k.prefix) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, found)
	}
	if len(listed) != 1 || listed[0].Name != login.Name || !listed[0].Ours {
		t.Errorf("listed %+v", listed)
	}
	if _, err := drill.Create(t.Context(), k.grant(nil)); err == nil {
		t.Error("a login was made")
	}
	for what, answers := range map[string]map[providers.LoginName]error{
		"renew":          drill.Renew(t.Context(), []providers.Login{login}),
		"revoke":         drill.Revoke(t.Context(), []providers.Login{login}),
		"confirm absent": drill.ConfirmAbsent(t.Context(), []providers.Login{login}, time.Now().Add(-time.Minute)),
	} {
		if err, answered := answers[login.Name]; err == nil || !answered {
			t.Errorf("%s: answered %v, %v, want a refusal", what, answered, err)
		}
	}
	if _, err := providers.Rotate(t.Context(), drill, providers.Settings{"bind_password": "new-password"}); err == nil {
		t.Error("the root credential was exchanged")
	}
	k.bind(values)
}
