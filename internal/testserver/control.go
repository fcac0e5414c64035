package testserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Stop ends the server at once, with all its sessions. Start starts it again.
func (s *Server) Stop() error {
	signal := s.config.StopSignal
	if signal == 0 {
		signal = syscall.SIGTERM
	}
	return s.end(signal)
}

// Kill ends the server and its children as a power cut would.
func (s *Server) Kill() error {
	return errors.Join(s.SignalAll(syscall.SIGKILL), s.end(syscall.SIGKILL))
}

func (s *Server) end(signal syscall.Signal) error {
	s.mu.Lock()
	process, exited := s.process, s.exited
	s.process = nil
	s.mu.Unlock()
	if process == nil {
		return nil
	}
	if err := process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", s.config.Name, err)
	}
	select {
	case <-exited:
		return nil
	case <-time.After(10 * time.Second):
	}
	if err := process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing %s: %w", s.config.Name, err)
	}
	<-exited
	return nil
}

// Close ends the server and removes its directory.
func (s *Server) Close() error {
	// A process that is stopped takes no other signal.
	return errors.Join(s.Resume(), s.Stop(), os.RemoveAll(s.Dir))
}

// Pause stops every process of the server where it stands: connections stay open and nothing
// answers. Resume continues.
func (s *Server) Pause() error { return s.SignalAll(syscall.SIGSTOP) }

// Resume continues a server that was paused.
func (s *Server) Resume() error { return s.SignalAll(syscall.SIGCONT) }

// SignalAll signals the server's first process, so that it starts no more, and then all that descend from it, which
// may be process groups of their own. A server that does not run is signalled nothing.
func (s *Server) SignalAll(signal syscall.Signal) error {
	s.mu.Lock()
	process := s.process
	s.mu.Unlock()
	if process == nil {
		return nil
	}
	return signalTree(s.config.Name, process.Pid, signal)
}

func signalTree(name string, pid int, signal syscall.Signal) error {
	// A killed process has no children any more: they are looked up before.
	var children []int
	if signal == syscall.SIGKILL {
		children = childrenOf(pid)
	}
	if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signalling process %d of %s: %w", pid, name, err)
	}
	if signal != syscall.SIGKILL {
		children = childrenOf(pid)
	}
	for _, child := range children {
		if err := signalTree(name, child, signal); err != nil {
			return err
		}
	}
	return nil
}

func childrenOf(parent int) []int {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		panic(err) // the pattern is ours
	}
	var children []int
	for _, path := range stats {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		// pid (name) state parent …; the name may hold anything.
		text := string(content)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil {
			children = append(children, pid)
		}
	}
	return children
}
