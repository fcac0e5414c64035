package ldap_test

import (
	"testing"

	"broker/providers"
)

// exchange rotates at a directory and returns Backends with the old and the new root credential.
func exchange(t *testing.T, k *kit) (before, after *kit) {
	t.Helper()
	plan, err := providers.PlanRotation(t.Context(), k.Backend)
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
