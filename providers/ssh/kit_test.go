package ssh_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/ssh"
	"broker/providers/ssh/sshtest"
)

// server is the one sshd of this package's tests.
var server *sshtest.Server

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if server, err = sshtest.Run(context.Background(), sshtest.Config{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Close()
	return m.Run()
}

// complete returns the settings of a connection whose authority is made or given.
func complete(t *testing.T, given map[string]any) providers.Settings {
	t.Helper()
	settings, problems := ssh.Provider{}.Describe().ValidateConnection(given)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	completed, err := ssh.Provider{}.Complete(settings)
	if err != nil {
		t.Fatal(err)
	}
	return completed
}

// ledger is the provider with what the broker's ledger does besides: from the beginning of a revoke the login is among
// those that the connection publishes, and the host takes that at once.
type ledger struct {
	ssh.Provider
	host     *sshtest.Server
	settings providers.Settings

	mu    sync.Mutex
	ended []providers.EndedLogin
}

// newLedger has a host trust an authority.
func newLedger(t *testing.T, host *sshtest.Server, settings providers.Settings) *ledger {
	t.Helper()
	l := &ledger{host: host, settings: settings}
	if err := l.publish(); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *ledger) publish(ended ...providers.Login) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, login := range ended {
		l.ended = append(l.ended, providers.EndedLogin{Name: login.Name, At: time.Now()})
	}
	for document, take := range map[string]func([]byte) error{"ca.pub": l.host.Trust, "krl": l.host.Refuse} {
		content, err := l.Publish(document, []providers.PublishedSystem{{Settings: l.settings, Ended: l.ended}}, time.Now())
		if err == nil {
			err = take(content)
		}
		if err != nil {
			return err
		}
	}
	return nil
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

// issue makes a certificate as the broker does, with an end of its own.
func issue(t *testing.T, settings providers.Settings, options map[string]any, change func(*providers.Grant)) (providers.Grant, providers.Values, error) {
	t.Helper()
	validated, problems := ssh.Provider{}.Describe().ValidateOptions(options)
	if len(problems) == 0 {
		problems = ssh.Provider{}.ValidateOptions(validated)
	}
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b, err := ssh.Provider{}.Open(settings, providers.Env{Prefix: "brk_test_"})
	if err != nil {
		t.Fatal(err)
	}
	b = providers.Redacting(b, ssh.Provider{}.Describe().Secrets(settings)...)
	t.Cleanup(func() { _ = b.Close() })
	unique, err := providers.NewUnique(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	grant := providers.Grant{
		Login:    providers.Login{Name: providers.LoginName("brk_test_" + unique), ExpiresAt: time.Now().Add(time.Hour), Options: validated},
		Deadline: time.Now().Add(time.Minute),
		For:      providers.NameParts{App: "payments", Env: "production", Secret: "hosts", Account: "ada"},
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
