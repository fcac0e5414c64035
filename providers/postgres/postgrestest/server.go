package postgrestest

import (
	"bytes"
	"context"
	"crypto/rand"
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

	"github.com/jackc/pgx/v5"
)

// Host is the address that every server listens on.
const Host = "127.0.0.1"

// SuperuserName is the name of the server's superuser.
const SuperuserName = "postgres"

// Config says how to run a server.
type Config struct {
	// Dir holds the server's data and log; it is made, and must not exist. Empty means a temporary
	// directory. When the server's user cannot reach Dir a temporary directory is used as well.
	Dir string

	// Port to listen on. Zero means a free one.
	Port int

	// Detached lets the server outlive this process. Otherwise it dies with it.
	Detached bool
}

// Server is a running PostgreSQL server. Its methods are safe for concurrent use, except that only
// one of Stop, Start, Pause and Resume may run at a time.
type Server struct {
	Port              int
	Dir               string // what Close removes
	Bin               string // the directory of the server's and psql's binaries
	SuperuserPassword string

	config     Config
	credential *syscall.Credential

	mu      sync.Mutex
	process *os.Process
	exited  chan struct{} // closed when process is gone
}

// Run makes a data directory and starts a server on it. The caller calls Close.
func Run(ctx context.Context, config Config) (*Server, error) {
	bin, err := Binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{Port: config.Port, Bin: bin, SuperuserPassword: rand.Text(), config: config}
	if s.credential, err = credential(); err != nil {
		return nil, err
	}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	if err := s.initialise(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.Dir))
	}
	// The port that was free a moment ago may be taken meanwhile.
	for try := 0; ; try++ {
		if config.Port == 0 {
			if s.Port, err = freePort(); err != nil {
				return nil, errors.Join(err, os.RemoveAll(s.Dir))
			}
		}
		if err = s.Start(ctx); err == nil {
			return s, nil
		}
		if config.Port != 0 || try == 3 || ctx.Err() != nil {
			return nil, errors.Join(err, os.RemoveAll(s.Dir))
		}
	}
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", Host+":0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func (s *Server) makeDir() error {
	if s.config.Dir != "" && (s.credential == nil || reachable(s.config.Dir)) {
		s.Dir = s.config.Dir
		if err := os.Mkdir(s.Dir, 0o700); err != nil {
			return fmt.Errorf("making the server's directory: %w", err)
		}
	} else {
		dir, err := os.MkdirTemp("", "postgres-")
		if err != nil {
			return fmt.Errorf("making the server's directory: %w", err)
		}
		s.Dir = dir
	}
	return s.own(s.Dir)
}

// own gives a path to the server's user.
func (s *Server) own(path string) error {
	if s.credential == nil {
		return nil
	}
	if err := os.Chown(path, int(s.credential.Uid), int(s.credential.Gid)); err != nil {
		return fmt.Errorf("giving %s to the server's user: %w", path, err)
	}
	return nil
}

// Data returns the server's data directory.
func (s *Server) Data() string { return filepath.Join(s.Dir, "data") }

// LogFile returns the file that the server writes its log to, every statement included.
func (s *Server) LogFile() string { return filepath.Join(s.Dir, "server.log") }

func (s *Server) initialise(ctx context.Context) error {
	passwordFile := filepath.Join(s.Dir, "superuser")
	if err := os.WriteFile(passwordFile, []byte(s.SuperuserPassword+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing the superuser's password: %w", err)
	}
	if err := s.own(passwordFile); err != nil {
		return err
	}
	var output bytes.Buffer
	initdb := exec.CommandContext(ctx, filepath.Join(s.Bin, "initdb"), "--pgdata", s.Data(), "--no-sync", "--encoding=UTF8", "--locale=C",
		"--username="+SuperuserName, "--pwfile="+passwordFile, "--auth=scram-sha-256")
	initdb.Dir, initdb.Stdout, initdb.Stderr = s.Dir, &output, &output
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential}
	if err := initdb.Run(); err != nil {
		return fmt.Errorf("making a PostgreSQL data directory: %w: %s", err, output.String())
	}
	if err := os.Remove(passwordFile); err != nil {
		return fmt.Errorf("removing the superuser's password file: %w", err)
	}
	const settings = `
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
fsync = off
full_page_writes = off
log_statement = 'all'
log_connections = on
log_disconnections = on
log_line_prefix = '%m [%p] %q%u@%d %a '
`
	file, err := os.OpenFile(filepath.Join(s.Data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("configuring PostgreSQL: %w", err)
	}
	_, err = file.WriteString(settings)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("configuring PostgreSQL: %w", err)
	}
	return nil
}

// Start starts a server that was stopped, on the same port and data, and waits until it serves.
func (s *Server) Start(ctx context.Context) error {
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the server's log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(s.Bin, "postgres"), "-D", s.Data(), "-p", fmt.Sprint(s.Port))
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
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	s.mu.Lock()
	s.process, s.exited = cmd.Process, exited
	s.mu.Unlock()
	return s.waitReady(ctx, exited)
}

func (s *Server) waitReady(ctx context.Context, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := s.Superuser(ctx, "postgres")
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-exited:
			tail, _ := os.ReadFile(s.LogFile())
			return fmt.Errorf("starting PostgreSQL: it ended at once: %s", tail[max(0, len(tail)-2000):])
		case <-ctx.Done():
			return fmt.Errorf("waiting for PostgreSQL to serve: %w", err)
		case <-tick.C:
		}
	}
}

// Superuser connects to a database as the superuser. The caller closes the connection.
func (s *Server) Superuser(ctx context.Context, database string) (*pgx.Conn, error) {
	return s.Connect(ctx, SuperuserName, s.SuperuserPassword, database)
}

// Connect logs in as a user would. The caller closes the connection.
func (s *Server) Connect(ctx context.Context, username, password, database string) (*pgx.Conn, error) {
	config, err := s.connConfig(username, password, database)
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, config)
}

func (s *Server) connConfig(username, password, database string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d user=unset password=unset dbname=unset sslmode=disable connect_timeout=10", Host, s.Port))
	if err != nil {
		return nil, fmt.Errorf("preparing a connection: %w", err)
	}
	config.User, config.Password, config.Database = username, password, database
	return config, nil
}

// LogIn logs in and out again. Nil means that the log-in was accepted.
func (s *Server) LogIn(ctx context.Context, username, password, database string) error {
	conn, err := s.Connect(ctx, username, password, database)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// Exec runs statements in a database as the superuser, one after the other.
func (s *Server) Exec(ctx context.Context, database string, statements ...string) error {
	conn, err := s.Superuser(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("running %q: %w", sql, err)
		}
	}
	return nil
}
