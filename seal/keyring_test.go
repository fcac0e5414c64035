package seal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"broker/seal"
)

func mustKeyring(t *testing.T) (*seal.Keyring, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys", "keyring.json")
	if err := seal.Create(path); err != nil {
		t.Fatal(err)
	}
	k, err := seal.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return k, path
}

func TestSealedValueOpensForItsRecordOnly(t *testing.T) {
	k, path := mustKeyring(t)
	sealed, err := k.Seal([]byte("canary"), "connection:orders-db")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("canary")) {
		t.Error("the sealed value holds the plain one")
	}
	again, err := seal.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := again.Open(sealed, "connection:orders-db"); err != nil || string(plain) != "canary" {
		t.Errorf("opened %q, %v", plain, err)
	}
	if _, err := again.Open(sealed, "connection:other"); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("opening for another record: %v, want ErrOpen", err)
	}
	other, _ := mustKeyring(t)
	if _, err := other.Open(sealed, "connection:orders-db"); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("opening with another keyring: %v, want ErrOpen", err)
	}
}

func TestOwnedValueNeedsTheSecretToo(t *testing.T) {
	k, _ := mustKeyring(t)
	sealed, err := k.SealFor("key-1", []byte("canary"), "lease:1")
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := k.OpenFor("key-1", sealed, "lease:1"); err != nil || string(plain) != "canary" {
		t.Errorf("opened %q, %v", plain, err)
	}
	if _, err := k.OpenFor("key-2", sealed, "lease:1"); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("opening with another secret: %v, want ErrOpen", err)
	}
	if _, err := k.OpenFor("key-1", sealed, "lease:2"); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("opening for another record: %v, want ErrOpen", err)
	}
}

func TestHashIsKeyed(t *testing.T) {
	a, path := mustKeyring(t)
	b, _ := mustKeyring(t)
	same, err := seal.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	hash := func(k *seal.Keyring, purpose, value string) string {
		h, err := k.Hash(purpose, value)
		if err != nil {
			t.Fatal(err)
		}
		return string(h)
	}
	if hash(a, "token", "x") != hash(same, "token", "x") {
		t.Error("the same keyring hashes differently")
	}
	for _, other := range []string{hash(b, "token", "x"), hash(a, "other", "x"), hash(a, "token", "y")} {
		if hash(a, "token", "x") == other {
			t.Error("keyring, purpose or value does not count")
		}
	}
}

func TestKeyFileIsGuarded(t *testing.T) {
	_, path := mustKeyring(t)
	if err := seal.Create(path); err == nil {
		t.Error("Create overwrote a key file")
	}
	for name, c := range map[string]struct {
		spoil func() string
		want  string
	}{
		"readable by others": {func() string { _ = os.Chmod(path, 0o644); return path }, "chmod 600"},
		"missing":            {func() string { return path + "x" }, "no key file"},
		"something else": {func() string {
			p := filepath.Join(t.TempDir(), "k")
			_ = os.WriteFile(p, []byte("hello"), 0o600)
			return p
		}, "not a key file"},
	} {
		if _, err := seal.Load(c.spoil()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a sentence with %q", name, err, c.want)
		}
	}
}
