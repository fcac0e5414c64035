package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"broker/api/client"
)

// valuesVariable names the file that holds the values when they can change while the command runs.
const valuesVariable = "BROKER_VALUES_FILE"

// supervisor runs the command on leases that change: one process at a time.
type supervisor struct {
	app     *app
	run     runSpec
	signals chan os.Signal // that this program gets
	changed chan struct{}  // there are other values
	over    chan struct{}  // there will be none any more
	live    *liveValues    // nil: the command is told of no others
	started *exec.Cmd
	ended   chan error // of the process
}

func newSupervisor(a *app, run runSpec) *supervisor {
	s := &supervisor{app: a, run: run, signals: make(chan os.Signal, 64), changed: make(chan struct{}, 1), over: make(chan struct{}, 1)}
	// From the beginning on: what comes before there is a command is passed on when there is one.
	signal.Notify(s.signals, forwarded()...)
	return s
}

func (s *supervisor) close() {
	signal.Stop(s.signals)
	if s.live != nil {
		s.live.close()
	}
}

// tell hears what happens to a lease, and says what people have to know.
func (s *supervisor) tell(secret string, e client.KeepEvent) {
	switch e.Kind {
	case client.KeepReplaced:
		raise(s.changed)
	case client.KeepEnding:
		raise(s.over)
	case client.KeepDelayed:
		s.app.warn(fmt.Sprintf("lease %s of %s, which ends at %s: %s; it is tried again", e.Lease.ID, secret, e.Lease.ExpiresAt.UTC().Format(time.RFC3339), e.Err))
	case client.KeepLost:
		s.app.warn(fmt.Sprintf("lease %s of %s is over: %s", e.Lease.ID, secret, e.Err))
		if s.run.atMax == "exit" {
			raise(s.over)
		}
	case client.KeepRenewed:
	}
}

func raise(flag chan struct{}) {
	select {
	case flag <- struct{}{}:
	default: // it is up
	}
}

// supervise runs the command until it ends by itself.
func (s *supervisor) supervise(leases heldLeases) error {
	if err := s.start(leases); err != nil {
		return err
	}
	var (
		settled, late <-chan time.Time
		again, ending bool // it is being ended to be started again; or for good
	)
	for {
		select {
		case sig := <-s.signals:
			ending = ending || sig == syscall.SIGTERM || sig == os.Interrupt || sig == syscall.SIGQUIT
			s.pass(sig)
		case <-s.changed:
			if settled == nil {
				// Leases of several secrets are replaced at about the same time: the command is told once.
				settled = time.After(min(2*time.Second, s.run.overlap/4))
			}
		case <-settled:
			settled = nil
			if s.live != nil {
				if err := s.live.write(leases.values()); err != nil {
					s.app.warn(err.Error())
				}
				name := strings.TrimPrefix(s.run.atMax, "signal=")
				sig, _ := signalNamed(name) // it was checked
				s.app.note("there are new values; the command gets %s", name)
				s.signal(sig)
			} else if !again && !ending {
				s.app.note("there are new values; the command is started again")
				again = true
				s.signal(syscall.SIGTERM)
				late = time.After(s.run.stop)
			}
		case <-s.over:
			s.app.note("a lease cannot be renewed any more; the command is ended")
			ending = true
			s.signal(syscall.SIGTERM)
			late = time.After(s.run.stop)
		case <-late:
			s.kill()
		case err := <-s.ended:
			if !again || ending {
				return exitOf(err)
			}
			again, late = false, nil
			if err := s.start(leases); err != nil {
				return err
			}
		}
	}
}

// start starts the command with the values that the leases have now.
func (s *supervisor) start(leases heldLeases) error {
	env, err := leases.environment()
	if err != nil {
		return err
	}
	cmd := exec.Command(s.run.path)
	cmd.Args = s.run.command
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.app.in, s.app.out, s.app.err
	cmd.SysProcAttr = childAttributes()
	if strings.HasPrefix(s.run.atMax, "signal=") {
		if s.live, err = newLiveValues(leases.values()); err != nil {
			return err
		}
		cmd.ExtraFiles = []*os.File{s.live.file}
		env = append(env, valuesVariable+"="+s.live.path(len(cmd.ExtraFiles)))
	}
	cmd.Env = env
	ended, begun := make(chan error, 1), make(chan error)
	go func() {
		// Where the command is to end with us, "us" is the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		begun <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-begun; err != nil {
		code := exitNotExecutable
		if errors.Is(err, os.ErrNotExist) {
			code = exitNoCommand
		}
		return &runError{fmt.Errorf("executing %s: %w", s.run.command[0], err), code}
	}
	s.started, s.ended = cmd, ended
	return nil
}

// pass gives the command a signal that this program got, unless it got the same from the terminal.
func (s *supervisor) pass(sig os.Signal) {
	if !shared() || !fromTerminal(sig) {
		s.signal(sig)
	}
}

// signal sends the command a signal. One that has ended meanwhile needs none.
func (s *supervisor) signal(sig os.Signal) { _ = s.started.Process.Signal(sig) }

// exitOf says with what run ends when its command did.
func exitOf(err error) error {
	if err == nil {
		return nil
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("waiting for the command: %w", err)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return &childExit{128 + int(status.Signal())}
	}
	return &childExit{exit.ExitCode()}
}
