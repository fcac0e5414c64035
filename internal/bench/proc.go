package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU time in /proc; the kernel's interface fixes it.
const tick = 10 * time.Millisecond

// stat returns the fields of /proc/PID/stat from the third on: state, parent…
func stat(pid int) ([]string, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, fmt.Errorf("reading what process %d used: %w", pid, err)
	}
	// The second field, the name in parentheses, may hold anything.
	fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
	if len(fields) < 15 {
		return nil, fmt.Errorf("reading what process %d used: %q", pid, content)
	}
	return fields, nil
}

func ticks(fields ...string) (sum time.Duration) {
	for _, f := range fields {
		n, _ := strconv.ParseInt(f, 10, 64) // the kernel writes numbers
		sum += time.Duration(n) * tick
	}
	return sum
}

// cpuOf returns the CPU time that a process has used, 0 when it is gone.
func cpuOf(pid int) time.Duration {
	fields, err := stat(pid)
	if err != nil {
		return 0
	}
	return ticks(fields[11], fields[12])
}

// cpuOfTree returns the CPU time of a process, its children and those it has buried.
func cpuOfTree(pid int) (sum time.Duration) {
	if fields, err := stat(pid); err == nil {
		sum = ticks(fields[11:15]...)
	}
	paths, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	for _, path := range paths {
		child, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		if fields, err := stat(child); err == nil && fields[1] == strconv.Itoa(pid) {
			sum += ticks(fields[11], fields[12])
		}
	}
	return sum
}

// busy returns the CPU time that the whole machine has spent on anything.
func busy() time.Duration {
	content, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(content), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return 0
	}
	// user, nice, system, irq, softirq, steal; not idle and iowait
	return ticks(fields[1], fields[2], fields[3], fields[6], fields[7], fields[8])
}

// status returns a size in bytes from /proc/PID/status, such as RssAnon.
func status(pid int, field string) (uint64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("reading the memory of process %d: it has no %s", pid, field)
}
