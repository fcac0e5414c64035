package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteNew makes a file that only its owner can read, and its directory if need be. The file appears whole or not at
// all, and once it returns neither file nor directory is lost when the power is. It is an error wrapping
// fs.ErrExist when the file exists.
func WriteNew(path string, data []byte) error { return writeNew(path, data, syncDir) }

func writeNew(path string, data []byte, sync func(dir string) error) error {
	dir := filepath.Dir(path)
	if err := makeDir(dir, sync); err != nil {
		return fmt.Errorf("making the directory of %s: %w", path, err)
	}
	// One name for each file, so that a try that was cut short leaves no second copy of a key for ever.
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("making %s: %w", path, err)
	}
	f, err := os.OpenFile(next, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	defer func() { _ = os.Remove(next) }()
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	// Whole or not at all, and never over another one.
	if err := os.Link(next, path); err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	if err := sync(dir); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// makeDir makes a directory and those above it, and makes durable the names of those that were not there.
func makeDir(dir string, sync func(dir string) error) error {
	var changed []string // where names are new
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			break
		}
		changed = append(changed, filepath.Dir(at))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, above := range changed {
		if err := sync(above); err != nil {
			return err
		}
	}
	return nil
}

// syncDir makes names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// replaceFile puts other content into a file that is there. Whenever the power fails, the file has the old content or
// the new one, whole, and once it returns the new one is not lost.
func replaceFile(path string, data []byte) error { return replace(path, data, syncDir) }

func replace(path string, data []byte, sync func(dir string) error) error {
	if err := os.Remove(path + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replacing %s: %w", path, err)
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("replacing %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("replacing %s: %w", path, errors.Join(err, discard(path+".new")))
	}
	if err := sync(filepath.Dir(path)); err != nil {
		return fmt.Errorf("replacing %s: %w", path, err)
	}
	return nil
}

// discard removes a file that may not be there.
func discard(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
