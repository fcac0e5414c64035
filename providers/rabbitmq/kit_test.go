package rabbitmq_test

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/rabbitmq"
)

const clusterID = "01J0RABBITTESTCLUSTER00000"

// kit is a Backend with a prefix of its own at the package's server.
type kit struct {
	providers.Backend
	t        *testing.T
	settings providers.Settings
	prefix   string
}

// open opens a Backend; overrides replace connection fields.
func open(t *testing.T, overrides map[string]any) *kit {
	t.Helper()
	connection := server.Connection()
	maps.Copy(connection, overrides)
	settings, problems := rabbitmq.Provider{}.Describe().ValidateConnection(connection)
	if len(problems) > 0 {
		t.Fatalf("validating the connection: %v", problems)
	}
	k := &kit{t: t, settings: settings, prefix: providers.Prefix("brk_", providers.Cluster4(rand.Text()))}
	k.Backend = k.with(providers.Env{ClusterID: clusterID})
	return k
}

// with opens another Backend of the same connection.
func (k *kit) with(env providers.Env) providers.Backend {
	k.t.Helper()
	env.Term, env.Prefix = 1, k.prefix
	b, err := rabbitmq.Provider{}.Open(k.settings, env)
	if err != nil {
		k.t.Fatalf("opening the backend: %v", err)
	}
	b = providers.Redacting(b, rabbitmq.Provider{}.Describe().Secrets(k.settings)...)
	k.t.Cleanup(func() { b.Close() })
	return b
}

// options validates options as the broker does.
func options(t *testing.T, values map[string]any) providers.Options {
	t.Helper()
	validated, problems := rabbitmq.Provider{}.Describe().ValidateOptions(values)
	if len(problems) == 0 {
		problems = rabbitmq.Provider{}.ValidateOptions(validated)
	}
	if len(problems) > 0 {
		t.Fatalf("validating options: %v", problems)
	}
	return validated
}

// grant orders a login; nil means the options of the server's kit.
func (k *kit) grant(values map[string]any) providers.Grant {
	k.t.Helper()
	if values == nil {
		values = server.Options()
	}
	unique, err := providers.NewUnique(rand.Reader)
	if err != nil {
		k.t.Fatal(err)
	}
	return providers.Grant{
		Login:    providers.Login{Name: providers.LoginName(k.prefix + "test_" + unique), ExpiresAt: time.Now().Add(time.Hour), Options: options(k.t, values)},
		LeaseID:  "01J0RABBITTESTLEASE0000000",
		Deadline: time.Now().Add(time.Minute),
	}
}

func (k *kit) create(values map[string]any) (providers.Login, providers.Values) {
	k.t.Helper()
	grant := k.grant(values)
	made, err := k.Create(k.t.Context(), grant)
	if err != nil {
		k.t.Fatalf("creating login: %v", err)
	}
	return grant.Login, made
}

func (k *kit) mustRevoke(logins ...providers.Login) {
	k.t.Helper()
	answers := k.Revoke(k.t.Context(), logins)
	for _, login := range logins {
		if err, answered := answers[login.Name]; err != nil || !answered {
			k.t.Errorf("revoking %s: answered %v, %v", login.Name, answered, err)
		}
	}
}

// wantError checks an error's kind, whether it was sent, and a part of its text or hint.
func wantError(t *testing.T, what string, err error, kind providers.Kind, notSent bool, text string) {
	t.Helper()
	var e *providers.Error
	if !errors.As(err, &e) {
		t.Errorf("%s: got %T (%v), want *providers.Error", what, err, err)
		return
	}
	if e.Kind != kind || e.NotSent != notSent || !strings.Contains(err.Error()+e.Hint, text) {
		t.Errorf("%s: got %s, not sent %v, %q, hint %q; want %s, %v, %q", what, e.Kind, e.NotSent, err, e.Hint, kind, notSent, text)
	}
}

// eventually polls until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
