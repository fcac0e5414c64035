package e2e

import (
	"context"
	"testing"

	"broker/providers/awsclient/awstest"
	"broker/providers/mysql/mysqltest"
	"broker/providers/redis/redistest"
)

// kit is what every provider's test server has.
type kit interface {
	Prepare(ctx context.Context) (rootPassword string, err error)
	Connection() map[string]any
	Options() map[string]any
	LogIn(ctx context.Context, values map[string]string) error
	Logins(ctx context.Context, prefix string) ([]string, error)
}

// foreigners starts the systems: one that ends nothing by itself, one at which creating overwrites, and one that is
// reached over HTTP and remembers more about a login than its name.
func foreigners(t *testing.T) []*foreign {
	t.Helper()
	var systems []*foreign
	for _, one := range []struct {
		provider string
		kit      kit
	}{
		{"mysql", mysqltest.Start(t)},
		{"redis", redistest.Start(t)},
		{"aws-iam", awstest.Start(t)},
	} {
		if _, err := one.kit.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		systems = append(systems, &foreign{name: one.provider, provider: one.provider, kit: one.kit})
	}
	return systems
}
