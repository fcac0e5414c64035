package x509_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/x509"
	"broker/providers/x509/x509test"
)

// server is the one TLS server of this package's tests.
var server *x509test.Server

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if server, err = x509test.Run(context.Background(), x509test.Config{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Close()
	return m.Run()
}

// complete returns the settings of a connection whose authority is made or given.
func complete(t *testing.T, given map[string]any) providers.Settings {
	t.Helper()
	settings, problems := x509.Provider{}.Describe().ValidateConnection(given)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	completed, err := x509.Provider{}.Complete(settings)
	if err != nil {
		t.Fatal(err)
	}
	return completed
}

// publish has the server take what a connection publishes.
func publish(t *testing.T, systems ...providers.PublishedSystem) {
	t.Helper()
	if err := take(systems); err != nil {
		t.Fatal(err)
	}
}

func take(systems []providers.PublishedSystem) error {
	for document, take := range map[string]func([]byte) error{"ca.pem": server.Trust, "crl.pem": server.Refuse} {
		content, err := x509.Provider{}.Publish(document, systems, time.Now())
		if err == nil {
			err = take(content)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ledger is the provider with what the broker's ledger does besides: from the beginning of a revoke the login is among
// those that the connection publishes, and the server takes that at once.
type ledger struct {
	x509.Provider
	settings providers.Settings

	mu    sync.Mutex
	ended []providers.EndedLogin
}

func (l *ledger) publish(ended ...providers.Login) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, login := range ended {
		l.ended = append(l.ended, providers.EndedLogin{Name: login.Name, At: time.Now()})
	}
	return take([]providers.PublishedSystem{{Settings: l.settings, Ended: l.ended}})
}

func (l *ledger) Open(settings providers.Settings, env providers.Env) (providers.Backend, error) {
	b, err := l.Provider.Open(settings, env)
	return recorded{b, l}, err
}

type recorded struct {
	providers.Backend
	ledger *ledger
}

func (r recorded) LogIn(ctx context.Context, values providers.Values) error {
	return providers.LogIn(ctx, r.Backend, values)
}

func (r recorded) Revoke(ctx context.Context, logins []providers.Login) map[providers.LoginName]error {
	answers := r.Backend.Revoke(ctx, logins)
	for _, login := range logins {
		if answers[login.Name] == nil {
			if err := r.ledger.publish(login); err != nil {
				answers[login.Name] = err
			}
		}
	}
	return answers
}

// issue makes a certificate as the broker does.
func issue(t *testing.T, settings providers.Settings, options map[string]any, change func(*providers.Grant)) (providers.Grant, providers.Values, error) {
	t.Helper()
	validated, problems := x509.Provider{}.Describe().ValidateOptions(options)
	if len(problems) == 0 {
		problems = x509.Provider{}.ValidateOptions(validated)
	}
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b, err := x509.Provider{}.Open(settings, providers.Env{Prefix: "brk_test_"})
	if err != nil {
		t.Fatal(err)
	}
	b = providers.Redacting(b, x509.Provider{}.Describe().Secrets(settings)...)
	t.Cleanup(func() { _ = b.Close() })
	unique, err := providers.NewUnique(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	grant := providers.Grant{
		Login:    providers.Login{Name: providers.LoginName("brk_test_" + unique), ExpiresAt: time.Now().Add(time.Hour), Options: validated},
		Deadline: time.Now().Add(time.Minute),
		For:      providers.NameParts{App: "payments", Env: "production", Secret: "clients", Account: "ada"},
	}
	if change != nil {
		change(&grant)
	}
	values, err := b.Create(t.Context(), grant)
	return grant, values, err
}

func mustIssue(t *testing.T, settings providers.Settings, options map[string]any, change func(*providers.Grant)) (providers.Grant, providers.Values) {
	t.Helper()
	grant, values, err := issue(t, settings, options, change)
	if err != nil {
		t.Fatal(err)
	}
	return grant, values
}

func reveal(values providers.Values) map[string]string {
	revealed := map[string]string{}
	for name, value := range values {
		revealed[name] = value.Reveal()
	}
	return revealed
}
