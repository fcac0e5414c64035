package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// checkAudit looks at where the audit log is to be written: a node that cannot write it refuses requests.
func (r *report) checkAudit(c config) {
	const check = "audit log"
	if _, err := c.syslogCA(); err != nil {
		r.fail(check, "%v", err)
		return
	}
	path, dir := c.AuditFile, filepath.Dir(c.AuditFile)
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		r.fail(check, "audit_file: %s is no file: name one", path)
		return
	case err == nil:
		if err := unix.Access(path, unix.R_OK|unix.W_OK); err != nil {
			r.fail(check, "this user may not write to %s (%v): run chown on it, or check as the user that brokerd runs as", path, err)
			return
		}
	case !errors.Is(err, fs.ErrNotExist):
		r.fail(check, "%v: name a file in a directory", err)
		return
	}
	there := existing(dir)
	if err := unix.Access(there, unix.W_OK|unix.X_OK); err != nil {
		r.fail(check, "%s cannot be written: %s does not let this user write (%v); make %s, and give it to the user that brokerd runs as", path, there, err, dir)
		return
	}
	free, known, err := freeBytes(there)
	room := c.auditMaxSize() * int64(c.AuditKeep+1)
	switch {
	case err != nil:
		r.fail(check, "%v", err)
	case known && free < minimalBytes:
		r.fail(check, "%d MiB free in %s: make room, or requests are refused", free>>20, there)
	case info != nil && info.Mode().Perm()&0o077 != 0:
		r.warn(check, "others can read or change %s (mode %04o): run chmod go= %s", path, info.Mode().Perm(), path)
	case known && uint64(free) < uint64(room):
		r.warn(check, "%d MiB free in %s, and %d files of %s may be kept, %d MiB: give it room, or keep less", free>>20, there, c.AuditKeep+1, c.AuditMaxSize, room>>20)
	default:
		r.ok(check, "%s, %d files of %s are kept", path, c.AuditKeep, c.AuditMaxSize)
	}
}
