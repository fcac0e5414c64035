package agent

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/api/types"
)

func fileIn(t *testing.T) *File {
	t.Helper()
	return &File{Path: filepath.Join(t.TempDir(), "f"), Mode: 0o600, uid: -1, gid: -1}
}

func seen(t *testing.T, f *File) string {
	t.Helper()
	found, err := f.present()
	if err != nil {
		t.Error(err)
	}
	return found
}

// TestFileIsWhole: who reads while it is written sees one content or the other, and finds the permissions right.
func TestFileIsWhole(t *testing.T) {
	f := fileIn(t)
	contents := []string{strings.Repeat("a", 100_000), strings.Repeat("b", 50_000)}
	if err := f.write([]byte(contents[0])); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	done := make(chan struct{})
	reading.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			text, err := os.ReadFile(f.Path)
			if err != nil || string(text) != contents[0] && string(text) != contents[1] {
				t.Errorf("read %d bytes, %v", len(text), err)
				return
			}
			names, err := filepath.Glob(filepath.Join(filepath.Dir(f.Path), ".*"))
			if err != nil {
				t.Error(err)
			}
			for _, name := range names {
				if info, err := os.Stat(name); err == nil && info.Mode().Perm() != 0o600 {
					t.Errorf("%s has %s", name, info.Mode())
				}
			}
		}
	})
	for i := range 20 {
		if err := f.write([]byte(contents[i%2])); err != nil {
			t.Error(err)
		}
	}
	close(done)
	reading.Wait()
	if left, _ := os.ReadDir(filepath.Dir(f.Path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// TestFilePresent: what has another content, other permissions or is no file is not what was written.
func TestFilePresent(t *testing.T) {
	f := fileIn(t)
	if seen(t, f) != "" {
		t.Error("there is nothing")
	}
	if err := f.write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if seen(t, f) != digest([]byte("x")) {
		t.Error("it is not seen")
	}
	if err := os.Chmod(f.Path, 0o644); err != nil {
		t.Fatal(err)
	}
	if seen(t, f) != "" {
		t.Error("everybody may read it")
	}
	elsewhere := filepath.Join(filepath.Dir(f.Path), "elsewhere")
	if err := os.Rename(f.Path, elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, f.Path); err != nil {
		t.Fatal(err)
	}
	if seen(t, f) != "" {
		t.Error("it is a link")
	}
	// A link is replaced, not followed.
	if err := f.write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(elsewhere); string(text) != "x" {
		t.Error("the link was followed")
	}
}

// TestFileWithoutDirectory: the error says what to do.
func TestFileWithoutDirectory(t *testing.T) {
	f := fileIn(t)
	f.Path = filepath.Join(filepath.Dir(f.Path), "d", "f")
	if err := f.write(nil); err == nil || !strings.Contains(err.Error(), "create_directory") {
		t.Errorf("got %v", err)
	}
	f.CreateDirectory = true
	if err := f.write(nil); err != nil {
		t.Error(err)
	}
}

// TestRender has each format, with values that are hard on them.
func TestRender(t *testing.T) {
	hard := types.Values{{Key: "A", Value: `p&"'$x`}, {Key: "B", Value: "two\nlines"}}
	one := given{{"one", hard}}
	both := given{{"one", hard}, {"two", types.Values{{Key: "C", Value: "c"}}}}
	for _, test := range []struct {
		file  File
		given given
		want  string
	}{
		{File{Format: "env"}, one, "A=\"p&\\\"'\\$x\"\nB=\"two\\nlines\"\n"},
		{File{Format: "shell"}, one, "export A='p&\"'\\''$x'\nexport B='two\nlines'\n"},
		{File{Format: "json"}, both, "{\n  \"A\": \"p&\\\"'$x\",\n  \"B\": \"two\\nlines\",\n  \"C\": \"c\"\n}\n"},
		{File{Format: "value", Key: "B"}, one, "two\nlines"},
		{File{Format: "template", Template: "{{ .A | urlencode }} {{ .B | json }} {{ .A | base64 }}"}, one, `p%26%22%27%24x "two\nlines" cCYiJyR4`},
		{File{Format: "template", Template: "{{ .one.A | shellquote }} {{ .two.C }}"}, both, `'p&"'\''$x' c`},
	} {
		got, err := test.file.render(test.given)
		if err != nil || string(got) != test.want {
			t.Errorf("%s %s: got %q, %v; want %q", test.file.Format, test.file.Template, got, err, test.want)
		}
	}
	for _, wrong := range []File{
		{Format: "value", Key: "X"},
		{Format: "template", Template: "{{ .X }}"},
	} {
		if got, err := wrong.render(one); err == nil {
			t.Errorf("%+v made %q", wrong, got)
		}
	}
	if _, err := (&File{Format: "env"}).render(given{{"one", hard}, {"two", hard}}); err == nil || !strings.Contains(err.Error(), "the key A") {
		t.Errorf("keys that collide came to %v", err)
	}
}

// TestReload: a command has its time, not more, and ends with all that it started; its output is hidden where it is a value.
func TestReload(t *testing.T) {
	began := time.Now()
	r := &Reload{Shell: "echo the canary; sleep 300 & sleep 300", Timeout: duration(200 * time.Millisecond)}
	said, err := r.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "took longer") || time.Since(began) > 30*time.Second {
		t.Fatalf("got %v after %s", err, time.Since(began))
	}
	if got := redact(said, []types.Values{{{Key: "K", Value: "canary"}, {Key: "E", Value: ""}}}); got != "the [redacted]" {
		t.Errorf("got %s", got)
	}
	pidfile := filepath.Join(t.TempDir(), "pid")
	s := &Signal{Pidfile: pidfile, Signal: "HUP"}
	for _, text := range []string{"", "0", "-1", "1", "x"} {
		if err := os.WriteFile(pidfile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.send(); err == nil {
			t.Errorf("it signalled %q", text)
		}
	}
}

// TestRedact: a value is hidden in each form in which it may stand in a target.
func TestRedact(t *testing.T) {
	hard := types.Values{{Key: "K", Value: "p&\"'$x+/=é"}, {Key: "L", Value: "first-line\nsecond"}}
	object := &Object{Templates: map[string]string{"k": "{{ .K }}"}}
	data, err := object.render(given{{"one", hard}})
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(data["k"])}
	for _, file := range []File{
		{Format: "env"}, {Format: "shell"}, {Format: "json"}, {Format: "value", Key: "K"},
		{Format: "template", Template: "{{ .K | urlencode }} {{ .K | base64 }} {{ .K | json }} {{ .K | shellquote }} {{ .L | base64 }}"},
	} {
		text, err := file.render(given{{"one", hard}})
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	for _, text := range texts {
		got := redact("it said "+text+" and ended", []types.Values{hard})
		for _, part := range []string{"p&", "$x", "%26", "cCYi", "first", "second"} {
			if strings.Contains(got, part) || !strings.HasPrefix(got, "it said ") {
				t.Errorf("%q became %q", text, got)
			}
		}
	}
}

// TestReloadTail: of what a command says only the end is kept.
func TestReloadTail(t *testing.T) {
	r := &Reload{Shell: "head -c 10000000 /dev/zero | tr '\\0' x; echo the end; exit 1", Timeout: duration(time.Minute)}
	said, err := r.run(t.Context())
	if err == nil || !strings.HasSuffix(said, "the end") || len(said) > 64*lastOutput {
		t.Errorf("%d bytes, %v", len(said), err)
	}
}
