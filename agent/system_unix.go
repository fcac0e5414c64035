//go:build unix

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// owned reports whether the file belongs to whom it should.
func (f *File) owned(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (f.uid < 0 || uint32(f.uid) == stat.Uid) && (f.gid < 0 || uint32(f.gid) == stat.Gid)
}

// lock takes a lock that nobody holds; the system gives it back when this process ends, however that is.
func lock(file *os.File) (bool, error) {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func signalNamed(name string) (os.Signal, error) {
	found := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG"))
	if found == 0 {
		return nil, fmt.Errorf("there is no signal %q: there is HUP, USR1, USR2 and so on", name)
	}
	return found, nil
}

// apart has a command be killed with all that it started.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func killGroup(process *os.Process) error { return syscall.Kill(-process.Pid, syscall.SIGKILL) }
