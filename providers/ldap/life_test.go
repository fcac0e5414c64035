package ldap_test

import (
	"context"
	"crypto/rand"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"broker/providers"
	"broker/providers/ldap/ldaptest"
)

// Groups name their members in three ways.
func TestGroups(t *testing.T) {
	for _, test := range []struct {
		group, attribute string
		dn               bool
	}{
		{ldaptest.ReadGroup, "member", true},
		{ldaptest.WriteGroup, "uniqueMember", true},
		{ldaptest.PosixGroup, "memberUid", false},
	} {
		k := open(t, map[string]any{"group_base": ""})
		values := map[string]any{"groups": test.group, "group_attribute": test.attribute}
		if problems, err := providers.CheckOptions(t.Context(), k.Backend, options(t, values)); err != nil || len(problems) > 0 {
			t.Errorf("%s: checking options: %v, %v", test.attribute, problems, err)
		}
		login, _ := k.create(values)
		want := string(login.Name)
		if test.dn {
			want = k.dn(login.Name)
		}
		if !slices.Contains(k.read(test.group, test.attribute), want) {
			t.Errorf("%s: the login is no member", test.attribute)
		}
		k.mustRevoke(login)
		if slices.Contains(k.read(test.group, test.attribute), want) {
			t.Errorf("%s: the login is still a member", test.attribute)
		}
	}
}

// Somebody else put the login into further groups; and once into one after it was gone.
func TestRevokeFindsOtherGroups(t *testing.T) {
	k := open(t, nil)
	login, _ := k.create(nil)
	dn := k.dn(login.Name)
	join := "dn: " + ldaptest.WriteGroup + "\nchangetype: modify\nadd: uniqueMember\nuniqueMember: " + dn + "\n\n" +
		"dn: " + ldaptest.PosixGroup + "\nchangetype: modify\nadd: memberUid\nmemberUid: " + string(login.Name) + "\n"
	for range 2 {
		server.MustModify(t, join)
		k.mustRevoke(login)
		if slices.Contains(k.read(ldaptest.WriteGroup, "uniqueMember"), dn) || slices.Contains(k.read(ldaptest.PosixGroup, "memberUid"), string(login.Name)) {
			t.Error("the login is still a member of a group")
		}
	}
}

// A template makes what users of the directory need, and another one undoes it.
func TestTemplates(t *testing.T) {
	k := open(t, map[string]any{"group_base": ""})
	values := map[string]any{
		"creation_ldif": `# a Unix account
dn: {{ dn }}
objectClass: inetOrgPerson
objectClass: posixAccount
cn: {{name}}
sn:: e3tuYW1lfX0=
uidNumber: 70000
gidNumber: 5000
homeDirectory: /home/{{name}}
title: {{account}} of {{app}}/{{env}}/{{secret}}
description: made for {{lease}} of
  {{cluster}} below {{base}}

dn: ` + ldaptest.PosixGroup + `
changetype: modify
add: memberUid
memberUid: {{name}}
`,
		"deletion_ldif": `dn: ` + ldaptest.PosixGroup + `
changetype: modify
delete: memberUid
memberUid: {{name}}
-

dn: {{dn}}
changetype: modify
replace: homeDirectory
homeDirectory: /nonexistent
`,
	}
	grant := k.grant(values)
	grant.For = providers.NameParts{App: "payments", Env: "production", Secret: "shell", Account: "ada"}
	made, err := k.Create(t.Context(), grant)
	if err != nil {
		t.Fatal(err)
	}
	k.bind(made)
	dn := k.dn(grant.Name)
	if got := k.read(dn, "title"); !slices.Equal(got, []string{"ada of payments/production/shell"}) {
		t.Errorf("title is %q", got)
	}
	if got := k.read(dn, "homeDirectory"); !slices.Equal(got, []string{"/home/" + string(grant.Name)}) {
		t.Errorf("homeDirectory is %q", got)
	}
	if got := k.read(dn, "sn"); !slices.Equal(got, []string{string(grant.Name)}) {
		t.Errorf("sn is %q", got)
	}
	records := []string{"made for " + grant.LeaseID + " of " + clusterID + " below " + ldaptest.UserBase, "broker cluster=" + clusterID + " lease=" + grant.LeaseID}
	if got := k.read(dn, "description"); !slices.Equal(got, records) {
		t.Errorf("description is %q, want %q", got, records)
	}
	for range 2 { // also when all of it is gone
		k.mustRevoke(grant.Login)
		if slices.Contains(k.read(ldaptest.PosixGroup, "memberUid"), string(grant.Name)) || k.read(dn, "cn") != nil {
			t.Error("something is left")
		}
	}
}

// A template that the directory refuses leaves nothing, and the ledger's revoke and confirmation go through.
func TestRefusedTemplate(t *testing.T) {
	k := open(t, nil)
	grant := k.grant(map[string]any{"creation_ldif": "dn: {{dn}}\nobjectClass: inetOrgPerson\nfavouriteDrink: tea\n"})
	_, err := k.Create(t.Context(), grant)
	if kindOf(t, err) != providers.KindRejected {
		t.Errorf("got %v, want rejected", err)
	}
	k.mustRevoke(grant.Login)
	if err := k.ConfirmAbsent(t.Context(), []providers.Login{grant.Login}, time.Now().Add(-time.Second))[grant.Name]; err != nil {
		t.Errorf("confirming absence: %v", err)
	}
}

// A connection that is open when its lease ends stays bound, which no LDAP server can be told to end. It loses what its
// groups gave.
func TestOpenSession(t *testing.T) {
	k := open(t, nil)
	login, values := k.create(nil)
	session := k.bind(values)
	reads := func() int {
		t.Helper()
		found, err := session.Search(goldap.NewSearchRequest(ldaptest.DataBase, goldap.ScopeBaseObject, goldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", nil, nil))
		if goldap.IsErrorWithCode(err, goldap.LDAPResultNoSuchObject) {
			return 0
		}
		if err != nil {
			t.Fatal(err)
		}
		return len(found.Entries)
	}
	if reads() != 1 {
		t.Fatal("a reader cannot read")
	}
	k.mustRevoke(login)
	if reads() != 0 {
		t.Error("an open connection still has the rights of its group")
	}
	// The page says so: if this ends one day, it may say better.
	if who, err := session.WhoAmI(nil); err != nil || !strings.Contains(who.AuthzID, string(login.Name)) {
		t.Errorf("the open connection is %v, %v; it was expected to stay bound", who, err)
	}
	// It cannot give itself a new life.
	if _, err := session.PasswordModify(goldap.NewPasswordModifyRequest(k.dn(login.Name), "", "another-password")); err == nil {
		t.Error("a revoked login set its password")
	}
}

// The server stands still while the entry is on its way, and takes it when the deadline has passed.
func TestLateAddIsTakenBack(t *testing.T) {
	k := open(t, map[string]any{"max_connections": 1})
	if _, err := k.Check(t.Context()); err != nil { // the connection stands
		t.Fatal(err)
	}
	grant := k.grant(nil)
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	for answers := true; answers; { // a process stops a moment after it was told to
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		conn, err := server.Admin(ctx)
		if answers = err == nil; answers {
			conn.Close()
		}
		cancel()
	}
	grant.Deadline = time.Now().Add(200 * time.Millisecond)
	done := make(chan error, 1)
	go func() { _, err := k.Create(t.Context(), grant); done <- err }()
	<-time.After(time.Until(grant.Deadline) + 10*time.Millisecond)
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; kindOf(t, err) != providers.KindRejected || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("got %v, want rejected because of the deadline", err)
	}
	if k.read(k.dn(grant.Name), "cn") != nil {
		t.Error("the entry is there")
	}
}

// Names that no broker makes still hurt nobody.
func TestHostileNames(t *testing.T) {
	k := open(t, nil)
	for _, tail := range []string{`a,b`, `"quoted"`, `back\slash`, `plus+ou=x`, `ünï`, `<a;b>`, ` lead`, `#hash`, `star*(uid=*)`, `eq=1`} {
		grant := k.grant(nil)
		grant.Name = providers.LoginName(k.prefix + tail)
		made, err := k.Create(t.Context(), grant)
		if err != nil {
			t.Errorf("%q: %v", tail, err)
			continue
		}
		if err := k.server.LogIn(t.Context(), map[string]string{"dn": made["dn"].Reveal(), "password": made["password"].Reveal()}); err != nil {
			t.Errorf("%q: %v", tail, err)
		}
		var found []providers.LoginName
		for one, err := range k.List(t.Context(), k.prefix) {
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, one.Name)
		}
		if !slices.Equal(found, []providers.LoginName{grant.Name}) {
			t.Errorf("%q: listed %q", tail, found)
		}
		k.mustRevoke(grant.Login)
		if slices.ContainsFunc(k.read(ldaptest.ReadGroup, "member"), func(dn string) bool { return dn != "cn=nobody,"+ldaptest.Suffix }) {
			t.Errorf("%q: the group still has it", tail)
		}
	}
	for _, tail := range []string{"nul\x00", "line\nbreak", "\xff", strings.Repeat("x", 64)} {
		grant := k.grant(nil)
		grant.Name = providers.LoginName(k.prefix + tail)
		if _, err := k.Create(t.Context(), grant); kindOf(t, err) != providers.KindRejected {
			t.Errorf("%q: got %v, want rejected", tail, err)
		}
	}
}

// More logins than one answer holds, and entries that are not ours.
func TestListReadsOn(t *testing.T) {
	k := open(t, nil)
	var entries strings.Builder
	const many = 1100
	for range many {
		name := k.prefix + strings.ToLower(rand.Text())
		entries.WriteString("dn: uid=" + name + "," + ldaptest.UserBase + "\nchangetype: add\nobjectClass: account\nuid: " + name + "\ndescription: broker cluster=" + clusterID + "X lease=\n\n")
	}
	server.MustModify(t, entries.String())
	logins := map[providers.LoginName]bool{}
	for found, err := range k.List(t.Context(), k.prefix) {
		if err != nil {
			t.Fatal(err)
		}
		if found.Ours {
			t.Fatalf("%s is of another cluster and listed as ours", found.Name)
		}
		logins[found.Name] = true
	}
	if len(logins) != many {
		t.Errorf("listed %d, want %d", len(logins), many)
	}
	var batch []providers.Login
	for name := range logins {
		batch = append(batch, providers.Login{Name: name})
	}
	k.mustRevoke(batch...)
}

// Neither passwords nor the root credential are in what the server writes down.
func TestServerLogHoldsNoSecret(t *testing.T) {
	k := open(t, nil)
	login, made := k.create(nil)
	if err := providers.LogIn(t.Context(), k.Backend, made); err != nil {
		t.Error(err)
	}
	k.mustRevoke(login)
	log, err := os.ReadFile(server.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), string(login.Name)) {
		t.Fatal("the log does not show the login at all")
	}
	for _, secret := range []string{made["password"].Reveal(), k.settings.String("bind_password"), server.AdminPassword} {
		if strings.Contains(string(log), secret) {
			t.Error("the server's log holds a secret")
		}
	}
}
