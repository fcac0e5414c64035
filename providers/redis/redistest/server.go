package redistest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"broker/internal/testserver"
)

// Host is the address that every server listens on.
const Host = testserver.Host

// AdminName is the name of the server's administrator.
const AdminName = "admin"

// Config says how to run a server.
type Config struct {
	// Dir holds the server's data, users and log; it is made, and must not exist. Empty means a temporary directory. When
	// the server's user cannot reach Dir a temporary directory is used as well.
	Dir string

	// Port to listen on. Zero means a free one.
	Port int

	// Detached lets the server outlive this process. Otherwise it dies with it.
	Detached bool

	// Persist is where the server keeps its users: "" or "aclfile", "config", or "none".
	Persist string

	// TLS lets the server speak nothing else, with a certificate for Host.
	TLS bool

	// Settings are further lines of its configuration.
	Settings []string
}

// Server is a running Redis server. Its methods are safe for concurrent use, except that only one of Stop, Start, Pause
// and Resume may run at a time.
type Server struct {
	*testserver.Server
	AdminPassword string
	Authority     string // of its certificate, in PEM, when it speaks TLS

	config       Config
	rootPassword string // once prepared
}

// Run makes a directory and starts a server in it. The caller calls Close.
func Run(ctx context.Context, config Config) (*Server, error) {
	binary, err := binary()
	if err != nil {
		return nil, err
	}
	s := &Server{AdminPassword: rand.Text(), config: config}
	s.Server, err = testserver.Run(ctx, testserver.Config{
		Name: "Redis", Dir: config.Dir, Port: config.Port, Detached: config.Detached, Users: []string{"redis"},
		Setup: func(_ context.Context, server *testserver.Server) error {
			s.Server = server
			return s.configure()
		},
		Command: func(server *testserver.Server) *exec.Cmd {
			listen := []string{"--port", fmt.Sprint(server.Port())}
			if config.TLS {
				listen = []string{"--port", "0", "--tls-port", fmt.Sprint(server.Port())}
			}
			if config.Persist == "none" {
				return exec.Command(binary, append(s.arguments(), listen...)...)
			}
			return exec.Command(binary, append([]string{filepath.Join(server.Dir, "redis.conf")}, listen...)...)
		},
		Ready: func(ctx context.Context, server *testserver.Server) error {
			s.Server = server
			return s.LogInAs(ctx, AdminName, s.AdminPassword)
		},
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func binary() (string, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("looking for redis-server: it is not installed (Debian's package is redis-server)")
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
		t.Fatalf("starting Redis: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing Redis: %v", err)
		}
	})
	return s
}

// lines are the server's configuration but for where it listens, each a name and a value.
func (s *Server) lines() []string {
	lines := []string{"bind " + Host, "dir " + s.Dir, "save \"\"", "enable-debug-command local"}
	if s.config.TLS {
		lines = append(lines, "tls-cert-file "+filepath.Join(s.Dir, "server.crt"), "tls-key-file "+filepath.Join(s.Dir, "server.key"), "tls-auth-clients no")
	}
	if s.config.Persist == "" || s.config.Persist == "aclfile" {
		lines = append(lines, "aclfile "+filepath.Join(s.Dir, "users.acl"))
	} else {
		lines = append(lines, s.users()...)
	}
	return append(lines, s.config.Settings...)
}

// users are those that the server begins with: nobody but its administrator.
func (s *Server) users() []string {
	return []string{"user default off", "user " + AdminName + " on >" + s.AdminPassword + " ~* &* +@all"}
}

// arguments are lines for a server without a configuration file.
func (s *Server) arguments() []string {
	var arguments []string
	for _, line := range s.lines() {
		name, value, _ := strings.Cut(line, " ")
		arguments = append(arguments, "--"+name)
		if name == "user" {
			arguments = append(arguments, strings.Fields(value)...)
		} else {
			arguments = append(arguments, strings.Trim(value, `"`))
		}
	}
	return arguments
}

func (s *Server) configure() error {
	files := map[string]string{"redis.conf": strings.Join(s.lines(), "\n") + "\n", "users.acl": strings.Join(s.users(), "\n") + "\n"}
	if s.config.TLS {
		made, err := testserver.NewCertificates(Host)
		if err != nil {
			return err
		}
		s.Authority = made.Authority
		files["server.crt"], files["server.key"] = made.Certificate, made.Key
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if _, err := s.Write(name, []byte(files[name])); err != nil {
			return err
		}
	}
	return nil
}

// Client connects as a user would, with one connection. The caller closes it.
func (s *Server) Client(username, password string) *redis.Client {
	options := &redis.Options{
		Addr: s.Address(), Username: username, Password: password, Protocol: 2, PoolSize: 1, PipelinePoolSize: -1, MaxRetries: -1, DialerRetries: 1,
		ContextTimeoutEnabled: true, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if s.config.TLS {
		options.TLSConfig = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: Host, MinVersion: tls.VersionTLS12}
		options.TLSConfig.RootCAs.AppendCertsFromPEM([]byte(s.Authority))
	}
	return redis.NewClient(options)
}

// Admin connects as the administrator. The caller closes it.
func (s *Server) Admin() *redis.Client { return s.Client(AdminName, s.AdminPassword) }

// Do gives one command as the administrator.
func (s *Server) Do(ctx context.Context, command ...any) (any, error) {
	admin := s.Admin()
	defer admin.Close()
	answer, err := admin.Do(ctx, command...).Result()
	if err != nil {
		return nil, fmt.Errorf("giving Redis the command %v: %w", command[0], err)
	}
	return answer, nil
}

// MustDo is Do, or fails the test.
func (s *Server) MustDo(t testing.TB, command ...any) any {
	t.Helper()
	answer, err := s.Do(t.Context(), command...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// LogInAs logs in and out again. Nil means that the log-in was accepted.
func (s *Server) LogInAs(ctx context.Context, username, password string) error {
	client := s.Client(username, password)
	defer client.Close()
	err := client.Ping(ctx).Err()
	if err != nil && !strings.HasPrefix(err.Error(), "NOPERM") {
		return fmt.Errorf("logging in to Redis: %w", err)
	}
	return nil
}
