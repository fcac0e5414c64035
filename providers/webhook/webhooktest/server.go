package webhooktest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"broker/internal/testserver"
)

// example is the service's package.
const example = "broker/providers/webhook/example"

// Config says how to run a server.
type Config struct {
	// Dir holds the server's files; it is made, and must not exist. Empty means a temporary directory. When the
	// server's user cannot reach Dir a temporary directory is used as well.
	Dir string

	// Port to listen on. Zero means a free one.
	Port int

	// Detached lets the server outlive this process. Otherwise it dies with it.
	Detached bool
}

// Server is a running service. Its methods are safe for concurrent use, except that only one of Stop, Start, Pause and
// Resume may run at a time.
type Server struct {
	*testserver.Server
	Authority string // of the server's certificate, in PEM
	Secret    string // that signs calls

	client *http.Client
}

// Run builds the service and starts it. It needs the go command and this repository. The caller calls Close.
func Run(ctx context.Context, config Config) (*Server, error) {
	s := &Server{Secret: rand.Text() + rand.Text()}
	var err error
	s.Server, err = testserver.Run(ctx, testserver.Config{
		Name: "the webhook service", Dir: config.Dir, Port: config.Port, Detached: config.Detached,
		Setup: func(ctx context.Context, server *testserver.Server) error {
			s.Server = server
			return s.setUp(ctx)
		},
		Command: func(server *testserver.Server) *exec.Cmd {
			path := func(name string) string { return filepath.Join(server.Dir, name) }
			return exec.Command(path("example"), "-listen", server.Address(), "-cert", path("server.pem"), "-key", path("server.key"), "-secrets", path("secrets"), "-data", path("logins.json"))
		},
		Ready: func(ctx context.Context, server *testserver.Server) error {
			s.Server = server
			_, err := s.hello(ctx, "", "")
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) setUp(ctx context.Context) error {
	made, err := testserver.NewCertificates(testserver.Host, "localhost")
	if err != nil {
		return err
	}
	s.Authority = made.Authority
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(made.Authority))
	s.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
	}}
	for name, content := range map[string]string{"server.pem": made.Certificate, "server.key": made.Key, "secrets": s.Secret + "\n"} {
		if _, err := s.Write(name, []byte(content)); err != nil {
			return err
		}
	}
	binary := filepath.Join(s.Dir, "example")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-o", binary, example)
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as releases are built: little is compiled for this alone
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the example: %w: %s", err, output)
	}
	return s.Own(binary)
}

// Prepare returns the secret that calls are signed with; the service needs nothing else.
func (s *Server) Prepare(context.Context) (secret string, err error) { return s.Secret, nil }

// URL returns where the service takes the broker's calls.
func (s *Server) URL() string { return "https://" + s.Address() + "/broker" }

// Connection returns the settings of a connection to the service.
func (s *Server) Connection() map[string]any {
	return map[string]any{"url": s.URL(), "secret": s.Secret, "tls_ca": s.Authority}
}

// Options returns the options of a secret whose logins may read.
func (s *Server) Options() map[string]any {
	return map[string]any{"service_options": `{"role": "reader"}`}
}

// LogIn opens the service's page with a lease's values. Nil means that the log-in was accepted.
func (s *Server) LogIn(ctx context.Context, values map[string]string) error {
	status, err := s.hello(ctx, values["username"], values["password"])
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the service answers %d", status)
	}
	return err
}

func (s *Server) hello(ctx context.Context, username, password string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.Address()+"/hello", nil)
	if err != nil {
		return 0, err
	}
	request.SetBasicAuth(username, password)
	answer, err := s.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, err
}

// Logins returns the names of the logins that the service keeps and that begin with prefix, sorted.
func (s *Server) Logins(_ context.Context, prefix string) ([]string, error) {
	content, err := os.ReadFile(filepath.Join(s.Dir, "logins.json"))
	if err != nil {
		return nil, fmt.Errorf("reading the service's logins: %w", err)
	}
	var kept struct {
		Logins map[string]json.RawMessage `json:"logins"`
	}
	if err := json.Unmarshal(content, &kept); err != nil {
		return nil, fmt.Errorf("reading the service's logins: %w", err)
	}
	var names []string
	for name := range kept.Logins {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Start runs a server for one test and closes it when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := Run(t.Context(), Config{})
	if err != nil {
		t.Fatalf("starting the webhook service: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the webhook service: %v", err)
		}
	})
	return s
}
