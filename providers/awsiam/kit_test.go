package awsiam_test

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/awsclient/awstest"
	"broker/providers/awsiam"
)

const clusterID = "01J0AWSIAMTESTCLUSTER00000"

// kit is a Backend with a prefix of its own at a fake of its own.
type kit struct {
	providers.Backend
	t      *testing.T
	fake   *awstest.Fake
	root   awstest.Key
	prefix string
}

// open opens a Backend at a new fake, as a root account with the page's policy.
func open(t *testing.T) *kit {
	t.Helper()
	fake := awstest.StartFake(t)
	k := &kit{t: t, fake: fake, root: fake.NewRoot("broker", awstest.RootPolicy), prefix: providers.Prefix("brk_", providers.Cluster4(rand.Text()))}
	k.Backend = k.with(k.root, "")
	return k
}

// again opens another Backend of the same connection, as another leader does.
func (k *kit) again() providers.Backend { return k.with(k.root, "") }

// with opens a Backend that signs with a key and knows which account is meant.
func (k *kit) with(key awstest.Key, identity providers.SystemID) providers.Backend {
	k.t.Helper()
	d := awsiam.Provider{}.Describe()
	settings, problems := d.ValidateConnection(k.fake.Connection(key))
	if len(problems) > 0 {
		k.t.Fatalf("validating the connection: %v", problems)
	}
	b, err := awsiam.Hasty(settle).Open(settings, providers.Env{ClusterID: clusterID, Term: 1, Prefix: k.prefix, Identity: identity})
	if err != nil {
		k.t.Fatalf("opening the backend: %v", err)
	}
	b = providers.Redacting(b, d.Secrets(settings)...)
	k.t.Cleanup(func() { b.Close() })
	return b
}

func (k *kit) grant(overrides map[string]any) providers.Grant {
	k.t.Helper()
	values := map[string]any{"groups": awstest.Group, "wait_ready": false}
	for name, value := range overrides {
		values[name] = value
	}
	options, problems := awsiam.Provider{}.Describe().ValidateOptions(values)
	problems = append(problems, awsiam.Provider{}.ValidateOptions(options)...)
	if len(problems) > 0 {
		k.t.Fatalf("validating options: %v", problems)
	}
	unique, err := providers.NewUnique(rand.Reader)
	if err != nil {
		k.t.Fatal(err)
	}
	return providers.Grant{
		Login:   providers.Login{Name: providers.LoginName(k.prefix + "test_" + unique), ExpiresAt: time.Now().Add(time.Hour), Options: options},
		LeaseID: "01J0AWSIAMTESTLEASE0000000", Deadline: time.Now().Add(time.Minute),
	}
}

// create makes a login that reads the object.
func (k *kit) create(overrides map[string]any) (providers.Login, providers.Values) {
	k.t.Helper()
	grant := k.grant(overrides)
	values, err := k.Create(k.ctx(), grant)
	if err != nil {
		k.t.Fatalf("creating: %v", err)
	}
	if err := k.fake.LogIn(k.ctx(), plain(values)); err != nil {
		k.t.Fatalf("logging in: %v", err)
	}
	return grant.Login, values
}

func (k *kit) ctx() context.Context {
	ctx, cancel := context.WithTimeout(k.t.Context(), time.Minute)
	k.t.Cleanup(cancel)
	return ctx
}

func (k *kit) revoke(b providers.Backend, login providers.Login) error {
	return b.Revoke(k.ctx(), []providers.Login{login})[login.Name]
}

// want checks which users of ours there are.
func (k *kit) want(names ...string) {
	k.t.Helper()
	got, err := k.fake.Logins(k.ctx(), k.prefix)
	if err != nil || !slices.Equal(got, names) {
		k.t.Errorf("users: got %v, %v, want %v", got, err, names)
	}
}

// classified returns the broker's error in err, and fails when it is of another kind.
func classified(t *testing.T, err error, kind providers.Kind) *providers.Error {
	t.Helper()
	var e *providers.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an error of kind %s", err, kind)
	}
	if e.Kind != kind {
		t.Errorf("got kind %s, want %s: %v", e.Kind, kind, err)
	}
	return e
}
