package awssts_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/awsclient/awstest"
	"broker/providers/awssts"
)

// kit is a Backend with a prefix of its own at a fake with the role reader.
type kit struct {
	providers.Backend
	t      *testing.T
	fake   *awstest.Fake
	role   string
	prefix string
}

func open(t *testing.T, policies ...string) *kit {
	t.Helper()
	fake := awstest.StartFake(t)
	k := &kit{t: t, fake: fake, prefix: providers.Prefix("brk_", providers.Cluster4(rand.Text())),
		role: fake.PutRole("reader", "arn:aws:iam::123456789012:user/*", "agreed", awstest.ReadPolicy)}
	k.Backend = k.with(fake.NewRoot("broker", append(policies, awstest.STSRootPolicy)...), "")
	return k
}

func (k *kit) with(key awstest.Key, identity providers.SystemID) providers.Backend {
	k.t.Helper()
	return backendAt(k.t, k.fake.Connection(key), providers.Env{ClusterID: "01J0AWSSTSTESTCLUSTER00000", Prefix: k.prefix, Identity: identity})
}

func backendAt(t *testing.T, connection map[string]any, env providers.Env) providers.Backend {
	t.Helper()
	d := awssts.Provider{}.Describe()
	settings, problems := d.ValidateConnection(connection)
	if len(problems) > 0 {
		t.Fatalf("validating the connection: %v", problems)
	}
	b, err := awssts.Provider{}.Open(settings, env)
	if err != nil {
		t.Fatal(err)
	}
	b = providers.Redacting(b, d.Secrets(settings)...)
	t.Cleanup(func() { b.Close() })
	return b
}

// grant orders a session that lasts so long.
func (k *kit) grant(ttl time.Duration, overrides map[string]any) providers.Grant {
	k.t.Helper()
	values := map[string]any{"role_arn": k.role, "external_id": "agreed"}
	for name, value := range overrides {
		values[name] = value
	}
	options, problems := awssts.Provider{}.Describe().ValidateOptions(values)
	problems = append(problems, awssts.Provider{}.ValidateOptions(options)...)
	if len(problems) > 0 {
		k.t.Fatalf("validating options: %v", problems)
	}
	unique, err := providers.NewUnique(rand.Reader)
	if err != nil {
		k.t.Fatal(err)
	}
	return providers.Grant{
		Login:   providers.Login{Name: providers.LoginName(k.prefix + unique), ExpiresAt: time.Now().Add(ttl), Options: options},
		LeaseID: "x", Deadline: time.Now().Add(time.Minute),
	}
}

func (k *kit) create(ttl time.Duration, overrides map[string]any) (providers.Login, providers.Values) {
	k.t.Helper()
	grant := k.grant(ttl, overrides)
	values, err := k.Create(k.ctx(), grant)
	if err != nil {
		k.t.Fatalf("creating: %v", err)
	}
	return grant.Login, values
}

func (k *kit) ctx() context.Context {
	ctx, cancel := context.WithTimeout(k.t.Context(), 20*time.Second)
	k.t.Cleanup(cancel)
	return ctx
}

func (k *kit) revoke(login providers.Login) error {
	return k.Revoke(k.ctx(), []providers.Login{login})[login.Name]
}

func (k *kit) logIn(values providers.Values) error { return k.fake.LogIn(k.ctx(), plain(values)) }

func classified(t *testing.T, err error, kind providers.Kind) *providers.Error {
	t.Helper()
	var e *providers.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("got %v, want an error of kind %s", err, kind)
	}
	return e
}
