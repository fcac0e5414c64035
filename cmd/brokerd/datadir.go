package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// lockFile says which process works in a data directory. The lock on it is what counts, the number in it is
// for people.
const lockFile = "lock"

// dataDir is a data directory that this process has for itself until it is released.
type dataDir struct{ lock *os.File }

// takeDataDir makes the directory if it is missing, refuses one that others can read, and keeps every other
// brokerd out of it: a second one would take the first one's files away before it found out.
func takeDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	open, err := openToOthers(path)
	if err != nil {
		return nil, err
	}
	if len(open) > 0 {
		return nil, mendError{fmt.Errorf("others can read %s: run chmod go= %s", strings.Join(open, " and "), strings.Join(open, " "))}
	}
	f, err := os.OpenFile(filepath.Join(path, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("taking the data directory: %w", err)
	}
	if err := lock(f); err != nil {
		holder := holderOf(path)
		_ = f.Close()
		if errors.Is(err, errLocked) {
			return nil, fmt.Errorf("%s works in data directory %s: stop it, or give this node a directory of its own", holder, path)
		}
		return nil, fmt.Errorf("taking the data directory: %w", err)
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("taking the data directory: %w", err), f.Close())
	}
	return &dataDir{f}, nil
}

// release lets other processes have the directory.
func (d *dataDir) release() error { return d.lock.Close() }

// holderOf names the process that works in a data directory.
func holderOf(path string) string {
	data, err := os.ReadFile(filepath.Join(path, lockFile))
	if pid, numErr := strconv.Atoi(strings.TrimSpace(string(data))); err == nil && numErr == nil {
		return fmt.Sprintf("another brokerd, process %d,", pid)
	}
	return "another brokerd"
}

// openToOthers returns the data directory and those files in it that others than their owner can read or
// write. What is deeper down the node closes by itself.
func openToOthers(path string) (open []string, err error) {
	check := func(path string, info fs.FileInfo) {
		if info.Mode().Perm()&0o077 != 0 {
			open = append(open, path)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("looking at the data directory: %w", err)
	}
	if !info.IsDir() {
		return nil, mendError{fmt.Errorf("data_dir: %s is a file: name a directory", path)}
	}
	check(path, info)
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("looking into the data directory: %w", err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone meanwhile
		case err != nil:
			return nil, fmt.Errorf("looking into the data directory: %w", err)
		case info.Mode().IsRegular():
			check(filepath.Join(path, entry.Name()), info)
		}
	}
	return open, nil
}
