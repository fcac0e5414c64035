package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// secretFile is a file on its way: it appears at its path complete or not at all, readable by its
// owner only.
type secretFile struct {
	path  string
	force bool
	temp  *os.File
}

// newSecretFile makes sure that the file can be written before there is something to write.
func newSecretFile(path string, force bool) (*secretFile, error) {
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.IsDir():
		return nil, usage("%s is a directory", path)
	case err == nil && !force:
		return nil, &usageError{err: fmt.Errorf("%s exists", path), hint: "--force overwrites it"}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("looking for %s: %w", path, err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".lease-*") // 0600 from the start
	if err != nil {
		return nil, fmt.Errorf("making %s: %w", path, err)
	}
	return &secretFile{path: path, force: force, temp: temp}, nil
}

// commit writes the content and puts the file in its place.
func (f *secretFile) commit(content []byte) error {
	_, err := f.temp.Write(content)
	if err == nil {
		err = f.temp.Sync()
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.path, err)
	}
	if f.force {
		err = os.Rename(f.temp.Name(), f.path)
	} else {
		// A link fails where a rename would replace a file that came meanwhile.
		err = os.Link(f.temp.Name(), f.path)
	}
	if err != nil {
		return fmt.Errorf("putting %s in place: %w", f.path, err)
	}
	return nil
}

// abandon removes what commit has not put in place. After a commit it removes the second name.
func (f *secretFile) abandon() {
	_ = f.temp.Close()           // everything that matters was synced
	_ = os.Remove(f.temp.Name()) // after a rename it is gone already
}
