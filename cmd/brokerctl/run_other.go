//go:build !linux

package main

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/term"

	"broker/api/types"
)

// forwarded are the signals that the command gets.
func forwarded() []os.Signal {
	return []os.Signal{syscall.SIGTERM, os.Interrupt, syscall.SIGHUP, syscall.SIGQUIT}
}

// fromTerminal reports whether a terminal sends the signal to all processes in its foreground.
func fromTerminal(sig os.Signal) bool { return sig != syscall.SIGTERM }

// shared reports whether the terminal's signals reach the command without us.
func shared() bool { return term.IsTerminal(int(os.Stdin.Fd())) }

func childAttributes() *syscall.SysProcAttr { return nil }

func (s *supervisor) kill() { _ = s.started.Process.Kill() }

func signalNamed(string) (os.Signal, error) {
	return nil, errors.New("signal= is for Linux only: elsewhere it is restart or exit")
}

// liveValues are values that change while the command runs.
type liveValues struct{ file *os.File }

func newLiveValues(types.Values) (*liveValues, error) {
	_, err := signalNamed("")
	return nil, err
}

func (l *liveValues) path(int) string          { return "" }
func (l *liveValues) write(types.Values) error { return nil }
func (l *liveValues) close()                   {}
