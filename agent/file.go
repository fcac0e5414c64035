package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// digest tells contents apart without telling them: values are long and random.
func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// present returns the digest of what is there, empty when there is nothing or it has other permissions.
func (f *File) present() string {
	info, err := os.Lstat(f.Path)
	if err != nil || info.Mode() != fs.FileMode(f.Mode) || !f.owned(info) {
		return ""
	}
	content, err := os.ReadFile(f.Path)
	if err != nil {
		return ""
	}
	return digest(content)
}

// write puts the content in place: whoever opens the path reads the content before or this one, whole, and nobody else
// than its readers can open it at any time.
func (f *File) write(content []byte) (err error) {
	dir := filepath.Dir(f.Path)
	if f.CreateDirectory {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return fmt.Errorf("making the directory of %s: %w", f.Path, err)
		}
	}
	temp, err := os.CreateTemp(dir, ".broker-agent-*") // 0600 from the start
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing %s: its directory is not there; make it, or say create_directory: true", f.Path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.Path, err)
	}
	defer func() {
		_ = temp.Close() // everything that matters was synced
		if err != nil {
			_ = os.Remove(temp.Name())
		}
	}()
	if f.uid >= 0 || f.gid >= 0 {
		if err := temp.Chown(f.uid, f.gid); err != nil {
			return fmt.Errorf("giving %s its owner: %w", f.Path, err)
		}
	}
	if _, err = temp.Write(content); err == nil {
		if err = temp.Chmod(fs.FileMode(f.Mode)); err == nil {
			err = temp.Sync()
		}
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.Path, err)
	}
	if err = os.Rename(temp.Name(), f.Path); err != nil {
		return fmt.Errorf("putting %s in place: %w", f.Path, err)
	}
	return syncDirectory(dir)
}

// syncDirectory makes a rename last.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("syncing %s: %w", path, err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", path, err)
	}
	return nil
}

// remove takes the file away.
func (f *File) remove() error {
	if err := os.Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing %s: %w", f.Path, err)
	}
	return nil
}
