package contexts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"broker/api/client/contexts"
)

func TestRememberAndChoose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "contexts.yaml")
	for _, name := range []string{"prod", "dev"} {
		if err := contexts.Remember(path, name, contexts.Context{Addresses: []string{"https://" + name}, Token: "brk_" + name}); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".contexts-*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	for _, row := range []struct {
		current, named, want string
		ok                   bool
	}{
		{"", "", "dev", true},
		{"prod", "", "prod", true},
		{"prod", "dev", "dev", true},
		{"", "nowhere", "", false},
		{"gone", "", "", false},
	} {
		file, err := contexts.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		file.Current = row.current
		name, context, ok, err := file.Chosen(row.named)
		if name != row.want || ok != row.ok || (err == nil) != row.ok {
			t.Errorf("%+v: got %q %v %v", row, name, ok, err)
		}
		if ok && context.Token != "brk_"+row.want {
			t.Errorf("%+v: wrong context", row)
		}
		if strings.Contains(fmt.Sprintf("%+v %#v", context, context), "brk_") {
			t.Error("printing a context shows its token")
		}
	}
}

func TestMissingAndBroken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "contexts.yaml")
	file, err := contexts.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok, err := file.Chosen(""); ok || err != nil {
		t.Errorf("an empty file has a context: %v %v", ok, err)
	}
	if err := os.WriteFile(path, []byte("contexts: {x: brk_canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := contexts.Load(path); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a broken file: %v", err)
	}
}

func TestTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("brk_x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := (contexts.Context{TokenFile: path}).ReadToken(); err != nil || got != "brk_x" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestPath(t *testing.T) {
	for want, env := range map[string]map[string]string{
		"/x/broker/contexts.yaml":         {"XDG_CONFIG_HOME": "/x", "HOME": "/h"},
		"/h/.config/broker/contexts.yaml": {"HOME": "/h"},
		"":                                {},
	} {
		got, err := contexts.Path(func(name string) string { return env[name] })
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%v: got %q, %v", env, got, err)
		}
	}
}
