package rabbitmq_test

import (
	"context"
	"crypto/rand"
	"maps"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/providertest"
	"broker/providers/rabbitmq"
	"broker/providers/rabbitmq/rabbitmqtest"
)

func TestContract(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providertest.Fixture {
		return providertest.Fixture{
			Provider:      rabbitmq.Provider{},
			Connection:    server.Connection(),
			Options:       server.Options(),
			BrokenOptions: map[string]any{"permissions": []any{"vhost=" + rabbitmqtest.VHost + " read=.*", "vhost=/no_such_host read=.*"}},
			Canaries:      []providers.Secret{providers.NewSecret(server.AdminPassword)},
			LogIn: func(ctx context.Context, v providers.Values) error {
				return server.LogIn(ctx, map[string]string{"username": v["username"].Reveal(), "password": v["password"].Reveal()})
			},
			// The clock's answers are whole seconds, and absence is believed half a second after its instant.
			Now: func() time.Time { return time.Now().Add(-2 * time.Second) },
			OpenSession: func(ctx context.Context, v providers.Values) (*providertest.Session, error) {
				conn, err := server.Connect(ctx, v["username"].Reveal(), v["password"].Reveal())
				if err != nil {
					return nil, err
				}
				alive := func(context.Context) error { return rabbitmqtest.Look(conn) }
				return &providertest.Session{Alive: alive, Close: func() { conn.Close() }}, alive(ctx)
			},
			Outage:    &providertest.Outage{Stop: server.Stop, Start: server.Start, Pause: server.Pause, Resume: server.Resume},
			WrongRoot: map[string]any{"password": "canary-wrong"},
			Rotation: func(t *testing.T) map[string]any {
				name := "root_" + rand.Text()[:8]
				password, err := server.NewRoot(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				connection := maps.Clone(server.Connection())
				connection["username"], connection["password"] = name, password
				return connection
			},
		}
	})
}
