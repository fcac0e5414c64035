package awssts_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"broker/providers"
	"broker/providers/awsclient/awstest"
	"broker/providers/awssts"
	"broker/providers/providertest"
)

// server is the one moto of this package's tests.
var server *awstest.Server

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if server, err = awstest.Run(context.Background(), awstest.Config{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Close()
	if _, err = server.Prepare(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

const noRole = "arn:aws:iam::123456789012:role/no_such_role"

// The suite runs at the fake: moto knows neither session policies nor the conditions by which a session ends.
func TestContract(t *testing.T) {
	t.Parallel()
	providertest.Run(t, func(t *testing.T) providertest.Fixture {
		fake := awstest.StartFake(t)
		role := fake.PutRole("reader", "arn:aws:iam::123456789012:user/*", "", awstest.ReadPolicy)
		return providertest.Fixture{
			Provider:      awssts.Hasty(),
			Connection:    fake.Connection(fake.NewRoot("broker", awstest.STSRootPolicy, awstest.STSDenyPolicy)),
			Options:       map[string]any{"role_arn": role, "revocation": "deny", "tags": "team=payments"},
			BrokenOptions: map[string]any{"role_arn": noRole, "revocation": "deny"},
			LogIn:         func(ctx context.Context, v providers.Values) error { return fake.LogIn(ctx, plain(v)) },
			WrongRoot:     map[string]any{"secret_access_key": "wrongwrongwrongwrong"},
			Unlisted:      true,
			Outage:        &providertest.Outage{Stop: fake.Stop, Start: fake.Start, Pause: fake.Pause, Resume: fake.Resume},
			Rotation: func(*testing.T) map[string]any {
				return fake.Connection(fake.NewRoot("rotated", awstest.STSRootPolicy, awstest.STSDenyPolicy))
			},
		}
	})
}

func plain(values providers.Values) map[string]string {
	revealed := map[string]string{}
	for name, value := range values {
		revealed[name] = value.Reveal()
	}
	return revealed
}
