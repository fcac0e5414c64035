package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lastOutput is how much of a command's output a failure tells.
const lastOutput = 2048

// tail keeps the end of what is written to it: much more than is told, so that what is cut at its beginning is not.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	*t = (*t)[max(0, len(*t)-32*lastOutput):]
	return len(p), nil
}

// run tells the readers of what was written, and returns the end of what a command said besides, and so perhaps values.
func (r *Reload) run(ctx context.Context) (said string, err error) {
	if r.Signal != nil {
		return "", r.Signal.send()
	}
	argv := r.Exec
	if r.Shell != "" {
		argv = []string{"/bin/sh", "-c", r.Shell}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.Timeout))
	defer cancel()
	var output tail
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = withoutOurs(os.Environ())
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = apart()
	cmd.Cancel = func() error { return killGroup(cmd.Process) }
	cmd.WaitDelay = time.Second
	if err = cmd.Run(); err == nil {
		return "", nil
	}
	if ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("it took longer than %s and was killed", time.Duration(r.Timeout))
	}
	return strings.TrimSpace(string(output)), fmt.Errorf("%s: %w", r.name(), err)
}

// name is how the log calls it. Arguments are the configuration's own and hold no values.
func (r *Reload) name() string {
	switch {
	case r.Signal != nil:
		return r.Signal.Signal + " to the process of " + r.Signal.Pidfile
	case r.Shell != "":
		return "shell: " + r.Shell
	}
	return strings.Join(r.Exec, " ")
}

// withoutOurs drops what this program signs in with, and what only its own service manager's socket is for.
func withoutOurs(env []string) []string {
	hidden := []string{"BROKER_TOKEN", "BROKER_CLIENT_SECRET", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY"}
	return slices.DeleteFunc(slices.Clone(env), func(one string) bool {
		name, _, _ := strings.Cut(one, "=")
		return slices.Contains(hidden, name)
	})
}

func (s *Signal) send() error {
	text, err := os.ReadFile(s.Pidfile)
	if err != nil {
		return fmt.Errorf("sending %s: %w", s.Signal, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return fmt.Errorf("sending %s: %s holds no process id", s.Signal, s.Pidfile)
	}
	sig, err := signalNamed(s.Signal)
	if err != nil {
		return err
	}
	process, err := os.FindProcess(pid)
	if err == nil {
		err = process.Signal(sig)
	}
	if err != nil {
		return fmt.Errorf("sending %s to process %d of %s: %w", s.Signal, pid, s.Pidfile, err)
	}
	return nil
}
