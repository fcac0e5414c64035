package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// harden keeps what is in this process's memory, keys among it, out of files and from other processes of its user. It
// comes before any key is read. The limit alone is not enough: where cores go to a program (a pipe in core_pattern) the
// kernel does not mind it. What is not dumpable is not traced either, but by root.
func harden() error {
	var err error
	if e := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); e != nil {
		err = fmt.Errorf("turning core dumps off: %w", e)
	}
	if e := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); e != nil {
		err = errors.Join(err, fmt.Errorf("keeping the memory from other processes: %w", e))
	}
	return err
}
