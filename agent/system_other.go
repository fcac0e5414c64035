//go:build !unix

package agent

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

var errNoUnix = errors.New("the agent is for Unix only")

func (f *File) owned(fs.FileInfo) bool { return true }

func lock(*os.File) (bool, error) { return false, errNoUnix }

func signalNamed(string) (os.Signal, error) { return nil, errNoUnix }

func apart() *syscall.SysProcAttr { return nil }

func killGroup(process *os.Process) error { return process.Kill() }
