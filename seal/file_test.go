package seal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A file that nobody can make again is not lost with the power: its name is made durable after the file is there, and
// those of its directories.
func TestNewFilesAreDurable(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a", "b", "keyring.json")
	var synced []string
	sync := func(dir string) error {
		if _, err := os.Stat(path); dir == filepath.Dir(path) && err != nil {
			t.Errorf("the directory was flushed before the file was there: %v", err)
		}
		synced = append(synced, dir)
		return nil
	}
	if err := writeNew(path, []byte("key"), sync); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{filepath.Join(root, "a"), root, filepath.Join(root, "a", "b")}, synced); d != "" {
		t.Errorf("flushed (-want +got):\n%s", d)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "key" {
		t.Errorf("%q, %v", data, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := WriteNew(path, []byte("other")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file was overwritten: %v", err)
	}
	broken := func(string) error { return errors.New("the disk is gone") }
	if err := writeNew(filepath.Join(root, "other"), nil, broken); err == nil {
		t.Error("a flush that failed was not told")
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
