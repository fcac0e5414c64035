package awsiam_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/awsclient/awstest"
	"broker/providers/awsiam"
	"broker/providers/providertest"
)

// settle is the time between two looks in tests, whose systems are not eventually consistent unless they say so.
const settle = 20 * time.Millisecond

// unknown is how long a new user is unknown where that is shown.
const unknown = 20 * time.Millisecond

const noPolicy = "arn:aws:iam::123456789012:policy/no_such_policy"

func TestContractMoto(t *testing.T) {
	t.Parallel()
	var roots int
	providertest.Run(t, func(*testing.T) providertest.Fixture {
		return providertest.Fixture{
			Provider:      awsiam.Hasty(settle),
			Connection:    server.Connection(),
			Options:       server.Options(),
			BrokenOptions: map[string]any{"groups": awstest.Group, "policy_arns": noPolicy},
			LogIn:         func(ctx context.Context, v providers.Values) error { return server.LogIn(ctx, plain(v)) },
			WrongRoot:     map[string]any{"secret_access_key": "wrongwrongwrongwrong"},
			Rotation: func(t *testing.T) map[string]any {
				roots++
				name := fmt.Sprintf("root%d", roots)
				key, err := server.NewRoot(t.Context(), name, awstest.RootPolicy)
				if err != nil {
					t.Fatal(err)
				}
				connection := server.Connection()
				connection["access_key_id"], connection["secret_access_key"] = key.ID, key.Secret
				return connection
			},
		}
	})
}

// At the fake one of everything that moto does not do is shown to be no trouble either.
func TestContractFake(t *testing.T) {
	t.Parallel()
	providertest.Run(t, func(t *testing.T) providertest.Fixture {
		fake := awstest.StartFake(t)
		fake.Behave(func(b *awstest.Behaviour) { b.PageSize, b.Unknown = 2, unknown })
		root := fake.NewRoot("broker", awstest.RootPolicy)
		boundary := fake.PutPolicy("leased", awstest.ReadPolicy)
		return providertest.Fixture{
			Provider:   awsiam.Hasty(4 * unknown),
			Connection: fake.Connection(root),
			Options: map[string]any{
				"groups": "arn:aws:iam::123456789012:group/" + awstest.Group, "iam_path": "/broker/", "permission_boundary_arn": boundary,
				"inline_policy": awstest.ReadPolicy, "tags": []any{"team=payments"},
			},
			BrokenOptions: map[string]any{"groups": awstest.Group, "policy_arns": noPolicy},
			LogIn:         func(ctx context.Context, v providers.Values) error { return fake.LogIn(ctx, plain(v)) },
			WrongRoot:     map[string]any{"access_key_id": "AKIA0000000000000000"},
			Outage:        &providertest.Outage{Stop: fake.Stop, Start: fake.Start, Pause: fake.Pause, Resume: fake.Resume},
			Stick: func(_ *testing.T, name providers.LoginName) func() {
				fake.Protect(string(name))
				return func() { fake.Protect("") }
			},
			Rotation: func(*testing.T) map[string]any {
				return fake.Connection(fake.NewRoot("rotated", awstest.RootPolicy))
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
