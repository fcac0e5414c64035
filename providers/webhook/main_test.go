package webhook_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"broker/providers"
	"broker/providers/providertest"
	"broker/providers/webhook"
	"broker/providers/webhook/webhooktest"
)

// server is the example, as people run it.
var server *webhooktest.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if server, err = webhooktest.Run(context.Background(), webhooktest.Config{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := server.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Every Backend is closed by now: nothing of it may go on.
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestContract(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providertest.Fixture {
		return providertest.Fixture{
			Provider:      webhook.Provider{},
			Connection:    server.Connection(),
			Options:       server.Options(),
			BrokenOptions: map[string]any{"service_options": `{"role": "astronaut"}`},
			LogIn: func(ctx context.Context, v providers.Values) error {
				return server.LogIn(ctx, map[string]string{"username": v["username"].Reveal(), "password": v["password"].Reveal()})
			},
			Outage:    &providertest.Outage{Stop: server.Stop, Start: server.Start, Pause: server.Pause, Resume: server.Resume},
			WrongRoot: map[string]any{"secret": "not-the-secret-not-the-secret-not-the-secret"},
		}
	})
}
