package rabbitmqtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// What Prepare makes.
const (
	RootName = "broker"  // the root account
	VHost    = "/orders" // a virtual host
	Queue    = "orders"  // a queue in it
)

// RootCommands returns the commands by which somebody at a node makes the broker's root account. They are those of the
// provider's page; Prepare does the same through the API.
func RootCommands(name, password string) []string {
	return []string{
		fmt.Sprintf("rabbitmqctl add_user %s '%s'", name, password),
		fmt.Sprintf("rabbitmqctl set_user_tags %s administrator", name),
	}
}

// Prepare makes the root account, a virtual host and a queue, and returns the root account's password.
func (s *Server) Prepare(ctx context.Context) (rootPassword string, err error) {
	if s.rootPassword, err = s.NewRoot(ctx, RootName); err != nil {
		return "", err
	}
	vhost := url.PathEscape(VHost)
	for _, step := range []struct {
		path string
		body map[string]any
	}{
		{"vhosts/" + vhost, nil},
		{"permissions/" + vhost + "/" + AdminName, map[string]any{"configure": ".*", "write": ".*", "read": ".*"}},
		{"queues/" + vhost + "/" + Queue, map[string]any{"durable": true}},
	} {
		if step.body == nil {
			step.body = map[string]any{}
		}
		if _, err := s.Do(ctx, http.MethodPut, step.path, step.body); err != nil {
			return "", fmt.Errorf("preparing RabbitMQ: %w", err)
		}
	}
	return s.rootPassword, nil
}

// NewRoot makes a root account and returns its password.
func (s *Server) NewRoot(ctx context.Context, name string) (password string, err error) {
	password = rand.Text()
	if _, err := s.Do(ctx, http.MethodPut, "users/"+url.PathEscape(name), map[string]string{"password": password, "tags": "administrator"}); err != nil {
		return "", fmt.Errorf("making the root account: %w", err)
	}
	return password, nil
}

// MustPrepare is Prepare, or fails the test.
func (s *Server) MustPrepare(t testing.TB) (rootPassword string) {
	t.Helper()
	password, err := s.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return password
}

// Connection returns the settings of a connection to a prepared server. Nothing in a test stands still for long.
func (s *Server) Connection() map[string]any {
	connection := map[string]any{
		"host": Host, "port": s.Ports[1], "client_port": s.Port(), "username": RootName, "password": s.rootPassword,
		"tls": "off", "quarantine": "500ms",
	}
	if s.config.TLS {
		connection["tls"], connection["tls_ca"] = "verify", s.Authority
	}
	return connection
}

// Options returns options of a secret whose logins read what Prepare made.
func (s *Server) Options() map[string]any {
	return map[string]any{"permissions": []any{"vhost=" + VHost + " read=^" + Queue + "$"}}
}

// LogIn logs in over AMQP with a lease's values and looks at what Prepare made. Nil means that it could. What the server
// refuses it keeps waiting for three seconds over AMQP, so the management API is asked first whether it does.
func (s *Server) LogIn(ctx context.Context, values map[string]string) error {
	_, err := s.API(ctx, values["username"], values["password"], http.MethodGet, "whoami", nil)
	if err != nil && !strings.Contains(err.Error(), "Not management user") {
		return err
	}
	conn, err := s.Connect(ctx, values["username"], values["password"])
	if err != nil {
		return err
	}
	defer conn.Close()
	return Look(conn)
}

// Connect opens an AMQP connection as a user. The caller closes it.
func (s *Server) Connect(_ context.Context, username, password string) (*amqp.Connection, error) {
	conn, err := amqp.DialConfig("amqp://"+s.AMQP(), amqp.Config{SASL: []amqp.Authentication{&amqp.PlainAuth{Username: username, Password: password}}, Vhost: VHost})
	if err != nil {
		return nil, fmt.Errorf("logging in as %s: %w", username, err)
	}
	return conn, nil
}

// Look looks at the queue that Prepare made.
func Look(conn *amqp.Connection) error {
	channel, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("opening a channel: %w", err)
	}
	defer channel.Close()
	if _, _, err := channel.Get(Queue, true); err != nil {
		return fmt.Errorf("reading queue %s: %w", Queue, err)
	}
	return nil
}
