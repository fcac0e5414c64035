package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// minimalInodes is too little to start with; less than a twentieth is worth a warning, as with bytes.
const minimalInodes = 100

// unfitFileSystems are those where a log is not safe, or not fast.
var unfitFileSystems = map[int64]string{
	unix.TMPFS_MAGIC:           "tmpfs: everything is lost when the machine restarts",
	unix.RAMFS_MAGIC:           "ramfs: everything is lost when the machine restarts",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay: everything is lost with the container; mount a volume there",
	unix.NFS_SUPER_MAGIC:       "NFS: a network that is away stops the node; use a local disk",
	unix.SMB2_SUPER_MAGIC:      "SMB: a network that is away stops the node; use a local disk",
	unix.CIFS_SUPER_MAGIC:      "CIFS: a network that is away stops the node; use a local disk",
	unix.FUSE_SUPER_MAGIC:      "FUSE: whether it keeps what was flushed depends on what is behind it; use a local disk",
}

// checkDisk looks at the file system and how fast it flushes.
func (r *report) checkDisk(dir string) {
	dir = existing(dir)
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		r.fail("disk space", "looking at the file system of %s: %v", dir, err)
		return
	}
	if says := unfitFileSystems[int64(s.Type)]; says != "" {
		r.warn("file system", "%s is on %s", dir, says)
	} else {
		r.ok("file system", "local, as far as can be seen")
	}
	free, size := uint64(s.Bavail)*uint64(s.Bsize), uint64(s.Blocks)*uint64(s.Bsize)
	says := fmt.Sprintf("%d MiB of %d MiB free", free>>20, size>>20)
	switch {
	case free < minimalBytes:
		r.fail("disk space", "%s: make room, a node needs %d MiB to begin with", says, minimalBytes>>20)
	case s.Files > 0 && s.Ffree < minimalInodes:
		r.fail("disk space", "%d inodes free: remove files that nobody needs", s.Ffree)
	case free < warnedBytes || free < size/20:
		r.warn("disk space", "%s: a node whose disk is full stops, so make room", says)
	case s.Files > 0 && s.Ffree < s.Files/20:
		r.warn("disk space", "%d of %d inodes free: a node that can make no files stops", s.Ffree, s.Files)
	default:
		r.ok("disk space", "%s", says)
	}
	r.checkFlushes(dir)
}

// freeBytes returns how much room a directory has, if that is known.
func freeBytes(dir string) (free uint64, known bool, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false, fmt.Errorf("looking at the file system of %s: %w", dir, err)
	}
	return uint64(s.Bavail) * uint64(s.Bsize), true, nil
}

const (
	flushes = 50
	// flushesTimeout is after how long no further flush is measured.
	flushesTimeout = 2 * time.Second
	slowFlush      = 10 * time.Millisecond
	slowestFlush   = 100 * time.Millisecond
)

// checkFlushes measures what a flush takes: every change waits for one.
func (r *report) checkFlushes(dir string) {
	const check = "disk speed"
	took, err := measureFlushes(dir)
	if err != nil {
		r.fail(check, "writing a file to %s: %v", dir, err)
		return
	}
	slices.Sort(took)
	median, p99 := took[len(took)/2], took[len(took)*99/100]
	says := fmt.Sprintf("a flush takes %s, one in a hundred %s", median.Round(10*time.Microsecond), p99.Round(10*time.Microsecond))
	if median > slowFlush || p99 > slowestFlush {
		r.warn(check, "%s: every change waits for flushes at most nodes, so use a disk that takes less than %s", says, slowFlush)
		return
	}
	r.ok(check, "%s", says)
}

func measureFlushes(dir string) (took []time.Duration, err error) {
	f, err := os.CreateTemp(dir, "check-*.tmp")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 4096)
	// As in the log, blocks are there before they are written again.
	if _, err := f.Write(make([]byte, flushes*len(block))); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	for began, i := time.Now(), 0; i < flushes && (i < 3 || time.Since(began) < flushesTimeout); i++ {
		at := time.Now()
		if _, err := f.WriteAt(block, int64(i*len(block))); err != nil {
			return nil, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return nil, os.NewSyscallError("fdatasync", err)
		}
		took = append(took, time.Since(at))
	}
	return took, nil
}
