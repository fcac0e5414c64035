package ldap_test

import (
	"testing"

	"broker/providers"
	"broker/providers/ldap/ldaptest"
)

// exchange rotates at a directory and returns Backends with the old and the new root credential.
func exchange(t *testing.T, k *kit) (before, after *kit) {
	t.Helper()
	plan, err := providers.PlanRotation(t.Context(), k.Backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := providers.Rotate(t.Context(), k.Backend, plan)
	if err != nil {
		t.Fatal(err)
	}
	old := map[string]any{"bind_dn": k.settings["bind_dn"], "bind_password": k.settings["bind_password"]}
	return openAt(t, k.server, old), openAt(t, k.server, map[string]any{"bind_dn": k.settings["bind_dn"], "bind_password": changed["bind_password"]})
}

// Until the old password is retired both are good, so that whoever still has the old one goes on.
func TestRotationOverlaps(t *testing.T) {
	before, after := exchange(t, open(t, anotherRoot(t)))
	for _, k := range []*kit{before, after} {
		if _, err := k.Check(t.Context()); err != nil {
			t.Errorf("before the old one is retired: %v", err)
		}
	}
	if err := providers.Retire(t.Context(), after.Backend, before.settings); err != nil {
		t.Fatal(err)
	}
	if got := after.read(after.settings.String("bind_dn"), "userPassword"); len(got) != 1 {
		t.Errorf("the root account has %d passwords, want one", len(got))
	}
	// What is the present password is not retired.
	if err := providers.Retire(t.Context(), after.Backend, after.settings); err != nil {
		t.Fatal(err)
	}
	if _, err := after.again(providers.Env{}).Check(t.Context()); err != nil {
		t.Errorf("after retiring the present password: %v", err)
	}
}

// A directory that takes one password only is left with the new one.
func TestRotationWithoutOverlap(t *testing.T) {
	before, after := exchange(t, openAt(t, withOverlay(t, "constraint"), nil))
	if _, err := before.Check(t.Context()); kindOf(t, err) != providers.KindRejected {
		t.Errorf("checking with the old password: got %v, want rejected", err)
	}
	if _, err := after.Check(t.Context()); err != nil {
		t.Errorf("checking with the new password: %v", err)
	}
	if err := providers.Retire(t.Context(), after.Backend, before.settings); err != nil {
		t.Error(err)
	}
}

// Calls of a process that stood still come late, after another rotation: they do no harm.
func TestLateRotationsAreHarmless(t *testing.T) {
	for _, overlays := range [][]string{nil, {"constraint"}} {
		k := openAt(t, withOverlay(t, overlays...), nil)
		first, second := exchange(t, k)
		if err := providers.Retire(t.Context(), second.Backend, first.settings); err != nil {
			t.Fatal(err)
		}
		_, third := exchange(t, second)
		if err := providers.Retire(t.Context(), third.Backend, second.settings); err != nil {
			t.Fatal(err)
		}
		// The connections of k and of second were opened with passwords that are no longer good.
		_, _ = providers.Rotate(t.Context(), k.Backend, providers.Settings{"bind_password": "a-plan-that-comes-late"})
		_ = providers.Retire(t.Context(), second.Backend, providers.Settings{"bind_password": first.settings["bind_password"]})
		if _, err := third.again(providers.Env{}).Check(t.Context()); err != nil {
			t.Errorf("%v: the present password is no longer good: %v", overlays, err)
		}
	}
}

// Whoever may not change its own password is told so before anything is recorded.
func TestPlanRotationRefuses(t *testing.T) {
	_, err := providers.PlanRotation(t.Context(), openAt(t, server, map[string]any{"bind_dn": ldaptest.AdminDN, "bind_password": server.AdminPassword}).Backend, nil)
	if kindOf(t, err) != providers.KindRejected {
		t.Errorf("an account without an entry: got %v, want rejected", err)
	}
	dn := "cn=fixed,ou=services," + ldaptest.Suffix
	server.MustModify(t, "dn: "+dn+"\nchangetype: add\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: fixed\nuserPassword: fixed-password\n")
	if err := server.Modify(t.Context(), "cn=config", "dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nadd: olcAccess\nolcAccess: {0}to dn.exact=\""+dn+"\" attrs=userPassword by anonymous auth by * none\n"); err != nil {
		t.Fatal(err)
	}
	k := open(t, map[string]any{"bind_dn": dn, "bind_password": "fixed-password"})
	if _, err := providers.PlanRotation(t.Context(), k.Backend, nil); kindOf(t, err) != providers.KindRejected {
		t.Errorf("an account without the right: got %v, want rejected", err)
	}
	if _, err := providers.Rotate(t.Context(), k.Backend, providers.Settings{"bind_password": "a-password-that-is-refused"}); kindOf(t, err) != providers.KindRejected {
		t.Errorf("rotating without the right: got %v, want rejected", err)
	}
	// Neither password is good: that says nothing about the rotation.
	neither := open(t, map[string]any{"bind_password": "not-the-password"})
	if _, err := providers.Rotate(t.Context(), neither.Backend, providers.Settings{"bind_password": "a-password-that-is-refused"}); kindOf(t, err) != providers.KindUnavailable {
		t.Errorf("rotating with neither password: got %v, want unavailable", err)
	}
}
