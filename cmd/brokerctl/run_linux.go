package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"broker/api/types"
)

// forwarded are the signals that the command gets.
func forwarded() []os.Signal {
	return []os.Signal{
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH,
	}
}

// fromTerminal reports whether a terminal sends the signal to all processes in its foreground.
func fromTerminal(sig os.Signal) bool {
	switch sig {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH, syscall.SIGHUP:
		return true
	}
	return false
}

// shared reports whether the command is in our process group: at a terminal it has to be, so as to be in the foreground
// and stopped and continued with us. Elsewhere it has one of its own, so that whoever signals our group does not signal
// the command twice.
var shared = sync.OnceValue(func() bool {
	terminal, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	terminal.Close()
	return true
})

// childAttributes has the command end, in an orderly way, when this program is killed: its leases end soon after.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: !shared(), Pdeathsig: syscall.SIGTERM}
}

// kill ends the command, and in a process group of its own what it started.
func (s *supervisor) kill() {
	pid := s.started.Process.Pid
	if !shared() {
		pid = -pid
	}
	_ = syscall.Kill(pid, syscall.SIGKILL) // one that has ended needs none
}

func signalNamed(name string) (os.Signal, error) {
	found := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG"))
	if found == 0 {
		return nil, fmt.Errorf("has no signal %q: there is HUP, USR1, USR2 and so on", name)
	}
	return found, nil
}

// liveValues hold the values in memory that the command can read as a file.
type liveValues struct{ file *os.File }

func newLiveValues(values types.Values) (*liveValues, error) {
	descriptor, err := unix.MemfdCreate("broker-values", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making memory for values: %w", err)
	}
	l := &liveValues{os.NewFile(uintptr(descriptor), "broker-values")}
	if err := l.file.Chmod(0o600); err != nil {
		l.close()
		return nil, fmt.Errorf("making memory for values: %w", err)
	}
	return l, l.write(values)
}

// path is what the command finds its nth file beyond the standard ones under.
func (l *liveValues) path(n int) string { return fmt.Sprintf("/proc/self/fd/%d", 2+n) }

// write puts other values there. Whoever reads at this very moment may get a part of them: they are to be read when the
// signal comes.
func (l *liveValues) write(values types.Values) error {
	text, err := json.Marshal(values)
	if err == nil {
		err = l.file.Truncate(0)
	}
	if err == nil {
		_, err = l.file.WriteAt(text, 0)
	}
	if err != nil {
		return fmt.Errorf("handing new values to the command: %w", err)
	}
	return nil
}

func (l *liveValues) close() { _ = l.file.Close() }
