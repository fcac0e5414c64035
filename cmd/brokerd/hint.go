package main

import (
	"errors"
	"io/fs"
	"syscall"

	"broker/cluster"
	"broker/cluster/trust"
	"broker/fsm"
)

// Exit codes of brokerd besides 0. A service manager should start it again after exitFailed only.
const (
	exitFailed = 1
	exitUsage  = 2 // the command line or the configuration is wrong
	exitMend   = 3 // starting again changes nothing before somebody has mended something
)

// mendError is an error that a person must mend before this node can start.
type mendError struct{ error }

func (e mendError) Unwrap() error { return e.error }

// exitCode is what an error ends the process with.
func exitCode(err error) int {
	if isUsage(err) {
		return exitUsage
	}
	var mend mendError
	if errors.As(err, &mend) {
		return exitMend
	}
	for _, e := range []error{
		cluster.ErrIdentity, cluster.ErrDamaged, cluster.ErrNotMember, cluster.ErrJoinRefused, cluster.ErrForeignCluster, cluster.ErrRemoved, cluster.ErrNewerData,
		trust.ErrFile, trust.ErrStranger, trust.ErrToken, fsm.ErrNewer,
	} {
		if errors.Is(err, e) {
			return exitMend
		}
	}
	return exitFailed
}

// hint says what would be right after an error of the system, whose text says only what is wrong.
func hint(err error) string {
	path := "it"
	var p *fs.PathError
	if errors.As(err, &p) {
		path = p.Path
	}
	for _, h := range []struct {
		errno syscall.Errno
		says  string
	}{
		{syscall.ENOSPC, "the disk of " + path + " is full: free space there, then start the node again"},
		{syscall.EDQUOT, "the quota of " + path + " is used up: raise it, then start the node again"},
		{syscall.EROFS, path + " is on a file system that is read-only: name another data_dir, or mount it for writing (a disk that failed is made read-only too)"},
		{syscall.EACCES, "the user that brokerd runs as may not use " + path + ": give it to that user (chown), with mode 0700 for directories and 0600 for files"},
		{syscall.EPERM, "the user that brokerd runs as may not use " + path + ": give it to that user (chown), with mode 0700 for directories and 0600 for files"},
		{syscall.ENOTDIR, "a part of " + path + " is a file: name a directory"},
		{syscall.EIO, "the disk of " + path + " fails: look into the system's log and replace it"},
		{syscall.EMFILE, "too many files are open: raise the limit (ulimit -n, LimitNOFILE=)"},
		{syscall.EADDRINUSE, "another process listens there (ss -ltnup tells which): stop it, or choose another port"},
		{syscall.EADDRNOTAVAIL, "no interface of this machine has that address: listen at one that it has (ip address), or at 0.0.0.0 with an advertised address"},
	} {
		if errors.Is(err, h.errno) {
			return h.says
		}
	}
	return ""
}
