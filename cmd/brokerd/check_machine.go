package main

import (
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// clockWrong is from how far on a clock keeps a node from leading.
	clockWrong = 2 * time.Second
	// dateError is how inexact the time in an answer is.
	dateError = time.Second

	fewFiles     = 4096
	littleMemory = 256 << 20
	// addressSpace is what the state file is mapped into, and something for everything else.
	addressSpace = 80 << 30
)

// checkClock looks whether this machine's clock is kept right, and agrees with others'.
func (r *report) checkClock(peers []heard) {
	const check = "clock"
	for _, h := range peers {
		if h.err != nil || h.At.IsZero() {
			continue
		}
		// The answer tells whole seconds, cut off, of a moment within the round trip.
		off := h.at.Sub(h.At) - dateError/2 - h.after/2
		if inexact := dateError/2 + h.after/2; off.Abs()-inexact > clockWrong {
			r.fail(check, "this clock is %s from that of %s: set the wrong one right, and keep both right with NTP; a node whose clock is wrong does not lead", off.Abs().Round(time.Second), h.address)
			return
		}
	}
	r.checkSynchronised(check)
}

// checkLimits looks what this process may use.
func (r *report) checkLimits() {
	var files, space unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		r.warn("open files", "the limit cannot be read: %v", err)
	} else if files.Cur < fewFiles {
		r.warn("open files", "at most %d: allow %d or more (ulimit -n, LimitNOFILE=), each connection is one", files.Cur, fewFiles)
	} else {
		r.ok("open files", "at most %d", files.Cur)
	}
	if err := unix.Getrlimit(unix.RLIMIT_AS, &space); err != nil {
		r.warn("memory", "the limit of address space cannot be read: %v", err)
		return
	}
	most := memoryLimit()
	switch {
	case space.Cur < addressSpace:
		r.fail("memory", "the address space is limited to %d MiB: lift that (ulimit -v unlimited, no LimitAS=), the state file is mapped into %d GiB of it; limit memory instead (MemoryMax=)", space.Cur>>20, addressSpace>>30)
	case most < littleMemory:
		r.warn("memory", "at most %d MiB: allow %d MiB or more (MemoryMax=)", most>>20, littleMemory>>20)
	case most == math.MaxUint64:
		r.ok("memory", "not limited")
	default:
		r.ok("memory", "at most %d MiB", most>>20)
	}
}

// memoryLimit returns what the control group of this process allows it; the largest number when nothing is said.
func memoryLimit() uint64 {
	group, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return math.MaxUint64
	}
	for _, line := range strings.Split(string(group), "\n") {
		path, ok := strings.CutPrefix(line, "0::")
		if !ok {
			continue
		}
		data, err := os.ReadFile("/sys/fs/cgroup" + path + "/memory.max")
		if err != nil {
			continue
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64); err == nil {
			return n
		}
	}
	return math.MaxUint64
}
