package redis_test

import (
	"context"
	"crypto/rand"
	"maps"
	"testing"

	"broker/providers"
	"broker/providers/providertest"
	"broker/providers/redis"
	"broker/providers/redis/redistest"
)

func TestContract(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providertest.Fixture { return fixture(server) })
}

// The same where users are saved in the configuration, and over TLS.
func TestContractOfOtherServers(t *testing.T) {
	for name, config := range map[string]redistest.Config{
		"config": {Persist: "config"},
		"TLS":    {TLS: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.StartWith(t, config)
			s.MustPrepare(t)
			providertest.Run(t, func(t *testing.T) providertest.Fixture { return fixture(s) })
		})
	}
}

func fixture(server *redistest.Server) providertest.Fixture {
	return providertest.Fixture{
		Provider:      redis.Provider{},
		Connection:    server.Connection(),
		Options:       server.Options(),
		BrokenOptions: map[string]any{"rules": []any{"~orders:*", "+no_such_command"}},
		Canaries:      []providers.Secret{providers.NewSecret(server.AdminPassword)},
		LogIn: func(ctx context.Context, v providers.Values) error {
			return server.LogIn(ctx, map[string]string{"username": v["username"].Reveal(), "password": v["password"].Reveal()})
		},
		OpenSession: func(ctx context.Context, v providers.Values) (*providertest.Session, error) {
			client := server.Client(v["username"].Reveal(), v["password"].Reveal())
			conn := client.Conn()
			alive := func(ctx context.Context) error { return conn.Get(ctx, "orders:1").Err() }
			return &providertest.Session{Alive: alive, Close: func() { conn.Close(); client.Close() }}, alive(ctx)
		},
		Outage: &providertest.Outage{Stop: server.Stop, Start: func(ctx context.Context) error {
			if err := server.Start(ctx); err != nil {
				return err
			}
			_, err := server.Do(ctx, "SET", "orders:1", "Ada") // data are not saved, users are
			return err
		}, Pause: server.Pause, Resume: server.Resume},
		WrongRoot: map[string]any{"password": "canary-wrong"},
		Rotation: func(t *testing.T) map[string]any {
			name := "root_" + rand.Text()[:8]
			password, err := server.NewRoot(t.Context(), name, rand.Text())
			if err != nil {
				t.Fatal(err)
			}
			connection := maps.Clone(server.Connection())
			connection["username"], connection["password"] = name, password
			return connection
		},
	}
}
