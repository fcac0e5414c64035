//go:build !linux

package main

import (
	"errors"
	"os"
)

// errLocked is returned when another process holds the lock.
var errLocked = errors.New("another process holds the lock")

// lock does nothing here: the log's own lock keeps a second process out, though only after the state file.
func lock(*os.File) error { return nil }

// locked knows nothing here.
func locked(*os.File) (bool, error) { return false, nil }
