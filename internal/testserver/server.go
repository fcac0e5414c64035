package testserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Host is the address that every server listens on.
const Host = "127.0.0.1"

// Config says how to run a server.
type Config struct {
	Name string // as people write it, for messages: "PostgreSQL"

	// Dir holds the server's files; it is made, and must not exist. Empty means a temporary directory. When the
	// server's user cannot reach Dir a temporary directory is used as well.
	Dir string

	// Users are whom to run the server as when we are root: the first that the machine has, else nobody.
	Users []string

	// AsOurselves runs the server as who we are, root too.
	AsOurselves bool

	// Ports is how many ports the server listens on; 0 means one. Port fixes the first; 0 means a free one.
	Ports, Port int

	// Detached lets the server outlive this process. Otherwise it dies with it.
	Detached bool

	// Setup writes what the server needs into its directory, once, before the first start. May be nil.
	Setup func(ctx context.Context, s *Server) error

	// Command returns what to run; it is asked at each start, since ports may change until the first one succeeded.
	Command func(s *Server) *exec.Cmd

	// Ready asks whether the server serves: nil, or why not yet.
	Ready func(ctx context.Context, s *Server) error

	// StopSignal ends the server at once; the zero value is SIGTERM. One that does not end in ten seconds is killed.
	StopSignal syscall.Signal

	// ReadyTimeout bounds one start; 0 means a minute.
	ReadyTimeout time.Duration
}

// Server is a running server. Its methods are safe for concurrent use, except that only one of Stop, Start, Pause and
// Resume may run at a time.
type Server struct {
	Ports []int
	Dir   string // what Close removes

	config     Config
	credential *syscall.Credential

	mu      sync.Mutex
	process *os.Process
	exited  chan struct{} // closed when process is gone
}

// Run makes the directory, sets the server up and starts it. The caller calls Close.
func Run(ctx context.Context, config Config) (*Server, error) {
	s, err := New(config)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Server, error) { return nil, errors.Join(err, s.Close()) }
	if config.Setup != nil {
		if err := config.Setup(ctx, s); err != nil {
			return fail(fmt.Errorf("setting %s up: %w", config.Name, err))
		}
	}
	// The ports that were free a moment ago may be taken meanwhile.
	for try := 0; ; try++ {
		if err = s.Start(ctx); err == nil {
			return s, nil
		}
		if config.Port != 0 || try == 3 || ctx.Err() != nil {
			return fail(err)
		}
		if err := s.choosePorts(); err != nil {
			return fail(err)
		}
	}
}

// New makes the directory of a server that is set up and started by its kit, with ports chosen. The caller calls Close.
func New(config Config) (*Server, error) {
	s := &Server{config: config}
	if !config.AsOurselves {
		var err error
		if s.credential, err = credential(config.Name, config.Users); err != nil {
			return nil, err
		}
	}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	if err := s.choosePorts(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.Dir))
	}
	return s, nil
}

func (s *Server) choosePorts() error {
	s.Ports = s.Ports[:0]
	if s.config.Port != 0 {
		s.Ports = append(s.Ports, s.config.Port)
	}
	for len(s.Ports) < max(s.config.Ports, 1) {
		listener, err := net.Listen("tcp", Host+":0")
		if err != nil {
			return fmt.Errorf("looking for a free port: %w", err)
		}
		defer listener.Close() // all are held until all are found
		s.Ports = append(s.Ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return nil
}

// Port returns the first of the server's ports.
func (s *Server) Port() int { return s.Ports[0] }

// Address returns "host:port" of the first of the server's ports.
func (s *Server) Address() string { return fmt.Sprintf("%s:%d", Host, s.Port()) }

// LogFile returns the file that takes what the server prints.
func (s *Server) LogFile() string { return filepath.Join(s.Dir, "server.log") }

func (s *Server) makeDir() error {
	if s.config.Dir != "" && (s.credential == nil || reachable(s.config.Dir)) {
		s.Dir = s.config.Dir
		if err := os.Mkdir(s.Dir, 0o700); err != nil {
			return fmt.Errorf("making the directory of %s: %w", s.config.Name, err)
		}
	} else {
		dir, err := os.MkdirTemp("", "server-")
		if err != nil {
			return fmt.Errorf("making the directory of %s: %w", s.config.Name, err)
		}
		s.Dir = dir
	}
	return s.Own(s.Dir)
}

// Own gives a path to the server's user.
func (s *Server) Own(path string) error {
	if s.credential == nil {
		return nil
	}
	if err := os.Chown(path, int(s.credential.Uid), int(s.credential.Gid)); err != nil {
		return fmt.Errorf("giving %s to the server's user: %w", path, err)
	}
	return nil
}

// Write writes a file into the server's directory, for its user's eyes, and returns its path. name may lie in a
// directory below, which is made.
func (s *Server) Write(name string, content []byte) (path string, err error) {
	path = filepath.Join(s.Dir, name)
	if dir := filepath.Dir(path); dir != s.Dir {
		if err := s.Mkdir(filepath.Dir(name)); err != nil {
			return "", err
		}
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return "", fmt.Errorf("writing %s: %w", path, err)
	}
	return path, s.Own(path)
}

// Mkdir makes a directory below the server's, for its user. One that exists is fine.
func (s *Server) Mkdir(name string) error {
	path := filepath.Join(s.Dir, name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	return s.Own(path)
}

// Exec runs a helper of the server, as its user and in its directory, and returns what it printed. env is added to
// ours.
func (s *Server) Exec(ctx context.Context, env []string, name string, args ...string) (string, error) {
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.Dir, append(os.Environ(), env...), &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential}
	if err := cmd.Run(); err != nil {
		return output.String(), fmt.Errorf("running %s for %s: %w: %s", filepath.Base(name), s.config.Name, err, output.String())
	}
	return output.String(), nil
}

// Start starts a server that was stopped, on the same ports and files, and waits until it serves.
func (s *Server) Start(ctx context.Context) error {
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the server's log: %w", err)
	}
	defer log.Close()
	cmd := s.config.Command(s)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential}
	if s.config.Detached {
		cmd.SysProcAttr.Setsid = true
	} else {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	started := make(chan error)
	exited := make(chan struct{})
	go func() {
		// The kernel takes the death of the thread that forked for the death of the parent, so that
		// thread stays.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
		close(exited)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting %s: %w", s.config.Name, err)
	}
	s.mu.Lock()
	s.process, s.exited = cmd.Process, exited
	s.mu.Unlock()
	return s.waitReady(ctx, exited)
}

func (s *Server) waitReady(ctx context.Context, exited <-chan struct{}) error {
	timeout := s.config.ReadyTimeout
	if timeout == 0 {
		timeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.config.Ready(ctx, s)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("starting %s: it ended at once: %s", s.config.Name, s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to serve: %w: %s", s.config.Name, err, s.logTail())
		case <-tick.C:
		}
	}
}

func (s *Server) logTail() string {
	content, _ := os.ReadFile(s.LogFile())
	return string(content[max(0, len(content)-2000):])
}
