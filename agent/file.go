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
func (f *File) present() (string, error) {
	info, err := os.Lstat(f.Path)
	if err == nil && (info.Mode() != fs.FileMode(f.Mode) || !f.owned(info)) {
		return "", nil
	}
	var content []byte
	if err == nil {
		content, err = os.ReadFile(f.Path)
	}
	switch {
	case err == nil:
		return digest(content), nil
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case errors.Is(err, fs.ErrPermission) && f.uid >= 0:
		return "", fmt.Errorf("looking whether it is as it was written: %w; an agent that gives files away needs CAP_DAC_READ_SEARCH, or a group and mode by which it may read them", err)
	}
	return "", fmt.Errorf("looking whether it is as it was written: %w", err)
}

// temp is where a content is until it is whole: one name, so that what a crash left there is found again.
func (f *File) temp() string {
	dir, base := filepath.Split(f.Path)
	return filepath.Join(dir, "."+base+".broker-agent")
}

// clean removes what a crash may have left beside the file.
func (f *File) clean() error {
	if err := os.Remove(f.temp()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing what was left of writing %s: %w", f.Path, err)
	}
	return nil
}

// write puts the content in place: whoever opens the path reads the content before or this one, whole, and nobody else
// than its readers can open it at any time.
func (f *File) write(content []byte) (err error) {
	dir := filepath.Dir(f.Path)
	if f.CreateDirectory {
		if err := f.makeDirectory(dir); err != nil {
			return fmt.Errorf("making the directory of %s: %w", f.Path, err)
		}
	}
	if err := f.clean(); err != nil {
		return err
	}
	temp, err := os.OpenFile(f.temp(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
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
	if err = f.fill(temp, content); err != nil {
		return fmt.Errorf("writing %s: %w", f.Path, err)
	}
	if err = os.Rename(temp.Name(), f.Path); err != nil {
		return fmt.Errorf("putting %s in place: %w", f.Path, err)
	}
	return syncDirectory(dir)
}

// fill has everything be in the file and as it should. Its owner comes last: what is another's only root may change.
func (f *File) fill(temp *os.File, content []byte) error {
	if f.gid >= 0 {
		if err := temp.Chown(-1, f.gid); err != nil {
			return err
		}
	}
	if _, err := temp.Write(content); err != nil {
		return err
	}
	if err := temp.Chmod(fs.FileMode(f.Mode)); err != nil {
		return err
	}
	if f.uid >= 0 {
		if err := temp.Chown(f.uid, -1); err != nil {
			return err
		}
	}
	return temp.Sync()
}

// makeDirectory makes directories that its group may enter, whatever the umask is.
func (f *File) makeDirectory(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := f.makeDirectory(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		return err
	}
	if f.gid >= 0 {
		if err := os.Chown(dir, -1, f.gid); err != nil {
			return err
		}
	}
	return os.Chmod(dir, 0o750)
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
