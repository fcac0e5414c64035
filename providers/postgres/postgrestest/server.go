package postgrestest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"

	"broker/internal/testserver"
)

// Host is the address that every server listens on.
const Host = testserver.Host

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
// one of Stop, Start, Pause and Resume may run at a time. Its log holds every statement.
type Server struct {
	*testserver.Server
	Port              int
	Bin               string // the directory of the server's and psql's binaries
	SuperuserPassword string
}

// Run makes a data directory and starts a server on it. The caller calls Close.
func Run(ctx context.Context, config Config) (*Server, error) {
	s, c, err := prepared(config)
	if err != nil {
		return nil, err
	}
	s.SuperuserPassword = rand.Text()
	c.Setup = func(ctx context.Context, server *testserver.Server) error {
		s.Server = server
		return s.initialise(ctx)
	}
	if s.Server, err = testserver.Run(ctx, c); err != nil {
		return nil, err
	}
	s.Port = s.Server.Port()
	return s, nil
}

// prepared is a server that does not run yet, and how to run it.
func prepared(config Config) (*Server, testserver.Config, error) {
	s := &Server{}
	var err error
	if s.Bin, err = Binaries(); err != nil {
		return nil, testserver.Config{}, err
	}
	return s, testserver.Config{
		Name: "PostgreSQL", Dir: config.Dir, Port: config.Port, Detached: config.Detached, Users: []string{"postgres"},
		StopSignal: syscall.SIGQUIT,
		Command: func(server *testserver.Server) *exec.Cmd {
			s.Port = server.Port()
			return exec.Command(filepath.Join(s.Bin, "postgres"), "-D", filepath.Join(server.Dir, "data"), "-p", fmt.Sprint(server.Port()))
		},
		Ready: func(ctx context.Context, _ *testserver.Server) error {
			conn, err := s.Superuser(ctx, "postgres")
			if err != nil {
				return err
			}
			return conn.Close(ctx)
		},
	}, nil
}

// Data returns the server's data directory.
func (s *Server) Data() string { return filepath.Join(s.Dir, "data") }

func (s *Server) initialise(ctx context.Context) error {
	passwordFile, err := s.Write("superuser", []byte(s.SuperuserPassword+"\n"))
	if err != nil {
		return err
	}
	_, err = s.Exec(ctx, nil, filepath.Join(s.Bin, "initdb"), "--pgdata", s.Data(), "--no-sync", "--encoding=UTF8", "--locale=C",
		"--username="+SuperuserName, "--pwfile="+passwordFile, "--auth=scram-sha-256")
	if err != nil {
		return err
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

// SQL runs statements in a database as the superuser, one after the other.
func (s *Server) SQL(ctx context.Context, database string, statements ...string) error {
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
