package rabbitmqtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"broker/internal/testserver"
)

// Host is the address that every server listens on.
const Host = testserver.Host

// AdminName is the name of the server's administrator.
const AdminName = "admin"

// Config says how to run a server.
type Config struct {
	// Dir holds the server's data and log; it is made, and must not exist. Empty means a temporary directory. When the
	// server's user cannot reach Dir a temporary directory is used as well.
	Dir string

	// Detached lets the server outlive this process. Otherwise it dies with it.
	Detached bool

	// TLS lets the management API speak TLS, with a certificate for Host.
	TLS bool
}

// Server is a running RabbitMQ server. Its methods are safe for concurrent use, except that only one of Stop, Start,
// Pause and Resume may run at a time.
type Server struct {
	*testserver.Server
	AdminPassword string
	Authority     string // of the management API's certificate, in PEM, when it speaks TLS

	config       Config
	epmd         *testserver.Server // every Erlang node needs one; this one's serves nobody else
	rootPassword string             // once prepared
	http         *http.Client
}

// Run makes a directory and starts a server in it, which takes some seconds. The caller calls Close.
func Run(ctx context.Context, config Config) (*Server, error) {
	script, err := binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{AdminPassword: rand.Text(), config: config, http: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}}
	s.epmd, err = testserver.Run(ctx, testserver.Config{
		Name: "epmd", Detached: config.Detached, Users: []string{"rabbitmq"},
		Command: func(epmd *testserver.Server) *exec.Cmd {
			return exec.Command("epmd", "-address", Host, "-port", fmt.Sprint(epmd.Port()))
		},
		Ready: func(ctx context.Context, epmd *testserver.Server) error {
			return listens(ctx, epmd.Address())
		},
	})
	if err != nil {
		return nil, err
	}
	s.Server, err = testserver.Run(ctx, testserver.Config{
		Name: "RabbitMQ", Dir: config.Dir, Ports: 3, Detached: config.Detached, Users: []string{"rabbitmq"},
		// It takes its time to end by itself, and loses nothing when it is killed.
		StopSignal: syscall.SIGKILL,
		Setup: func(_ context.Context, server *testserver.Server) error {
			s.Server = server
			return s.configure()
		},
		Command: func(server *testserver.Server) *exec.Cmd { s.Server = server; return s.command(script) },
		Ready: func(ctx context.Context, server *testserver.Server) error {
			s.Server = server
			// The port for clients opens last.
			_, err := s.API(ctx, AdminName, s.AdminPassword, http.MethodGet, "whoami", nil)
			return errors.Join(err, listens(ctx, s.AMQP()))
		},
	})
	if err != nil {
		return nil, errors.Join(err, s.epmd.Close())
	}
	return s, nil
}

func listens(ctx context.Context, address string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// binaries returns the script that becomes the server. That of the search path would change who it runs as.
func binaries() (script string, err error) {
	if _, err := exec.LookPath("epmd"); err != nil {
		return "", errors.New("looking for epmd: Erlang is not installed (Debian's package is rabbitmq-server)")
	}
	const place = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	if _, err := os.Stat(place); err != nil {
		return "", fmt.Errorf("looking for RabbitMQ: %w (Debian's package is rabbitmq-server)", err)
	}
	return place, nil
}

// Start runs a server for one test and closes it when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartWith(t, Config{})
}

// StartWith is Start with a configuration.
func StartWith(t testing.TB, config Config) *Server {
	t.Helper()
	s, err := Run(t.Context(), config)
	if err != nil {
		t.Fatalf("starting RabbitMQ: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing RabbitMQ: %v", err)
		}
	})
	return s
}

// Close ends the server and its port mapper, and removes their directories.
func (s *Server) Close() error {
	return errors.Join(s.Server.Close(), s.epmd.Close())
}

// AMQP returns "host:port" of the port for clients.
func (s *Server) AMQP() string { return s.Address() }

// Management returns "host:port" of the management API.
func (s *Server) Management() string { return fmt.Sprintf("%s:%d", Host, s.Ports[1]) }

func (s *Server) configure() error {
	lines := []string{
		"default_user = " + AdminName, "default_pass = " + s.AdminPassword,
		"log.console = true", "log.file = false", "management_agent.disable_metrics_collector = false",
	}
	files := map[string]string{"enabled_plugins": "[rabbitmq_management].\n"}
	if s.config.TLS {
		made, err := testserver.NewCertificates(Host)
		if err != nil {
			return err
		}
		s.Authority = made.Authority
		files["server.crt"], files["server.key"] = made.Certificate, made.Key
	}
	files["rabbitmq.conf"] = strings.Join(lines, "\n") + "\n"
	for name, content := range files {
		if _, err := s.Write(name, []byte(content)); err != nil {
			return err
		}
	}
	return nil
}

// command runs the server with nothing of it outside its directory and no port but on loopback.
func (s *Server) command(script string) *exec.Cmd {
	in := func(name string) string { return filepath.Join(s.Dir, name) }
	// Erlang terms, without blanks since a shell divides them there.
	listener := fmt.Sprintf(`{port,%d},{ip,"%s"}`, s.Ports[1], Host)
	if s.config.TLS {
		listener += fmt.Sprintf(`,{ssl,true},{ssl_opts,[{certfile,"%s"},{keyfile,"%s"}]}`, in("server.crt"), in("server.key"))
	}
	cmd := exec.Command("/bin/sh", script)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + s.Dir,
		"ERL_EPMD_ADDRESS=" + Host, fmt.Sprintf("ERL_EPMD_PORT=%d", s.epmd.Port()),
		"RABBITMQ_NODENAME=test@localhost", fmt.Sprintf("RABBITMQ_DIST_PORT=%d", s.Ports[2]),
		"RABBITMQ_NODE_IP_ADDRESS=" + Host, fmt.Sprintf("RABBITMQ_NODE_PORT=%d", s.Port()),
		"RABBITMQ_MNESIA_BASE=" + in("mnesia"), "RABBITMQ_LOG_BASE=" + in("log"), "RABBITMQ_PID_FILE=" + in("pid"),
		"RABBITMQ_CONFIG_FILE=" + in("rabbitmq.conf"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + in("enabled_plugins"), "RABBITMQ_CONF_ENV_FILE=" + in("none"),
		"ERL_CRASH_DUMP=" + in("crash.dump"), "ERL_CRASH_DUMP_SECONDS=0",
		"RUNNING_UNDER_SYSTEMD=true", // the script becomes the server, so that signals reach it
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} -rabbitmq_management tcp_config [" + listener + "]",
	}
	return cmd
}
