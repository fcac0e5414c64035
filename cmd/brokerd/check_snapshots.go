package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkSnapshotDir looks at where scheduled snapshots are to be put.
func (r *report) checkSnapshotDir(c config) {
	const check = "snapshots"
	dir := c.SnapshotDir
	switch {
	case dir == "":
		return
	case c.SnapshotInterval == 0:
		r.warn(check, "none are made in %s: say how often with --snapshot-interval", dir)
		return
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		above := existing(dir)
		if err := unix.Access(above, unix.W_OK|unix.X_OK); err != nil {
			r.fail(check, "%s is not there and cannot be made: %s does not let this user write (%v); make it, and give it to the user that brokerd runs as", dir, above, err)
			return
		}
		dir = above
	case err != nil:
		r.fail(check, "%v: name a directory", err)
		return
	case !info.IsDir():
		r.fail(check, "snapshot_dir: %s is a file: name a directory", dir)
		return
	default:
		if err := unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
			r.fail(check, "this user may not write to %s (%v): run chown on it, or check as the user that brokerd runs as", dir, err)
			return
		}
		if info.Mode().Perm()&0o077 != 0 {
			r.warn(check, "others may look into %s or write to it (mode %04o), and snapshots tell names: run chmod go= %s", dir, info.Mode().Perm(), dir)
			return
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
			r.warn(check, "%s belongs to user %d, and this is user %d: its owner may replace what this one makes there", dir, stat.Uid, os.Geteuid())
			return
		}
	}
	free, known, err := freeBytes(dir)
	switch {
	case err != nil:
		r.fail(check, "%v", err)
	case known && free < minimalBytes:
		r.fail(check, "%d MiB free in %s: make room, or snapshots fail", free>>20, dir)
	case known && free < warnedBytes:
		r.warn(check, "%d MiB free in %s, and %d snapshots are kept: see that they have room", free>>20, dir, c.SnapshotKeep)
	case info == nil:
		r.ok(check, "%s is not there yet; it will be made", c.SnapshotDir)
	default:
		r.ok(check, "%s, every %s", dir, c.SnapshotInterval)
	}
}
