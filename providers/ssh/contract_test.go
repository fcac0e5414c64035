package ssh_test

import (
	"context"
	"testing"

	"broker/providers"
	"broker/providers/providertest"
)

func TestContract(t *testing.T) {
	for _, kind := range []string{"ed25519", "ecdsa"} {
		t.Run(kind, func(t *testing.T) {
			settings := complete(t, map[string]any{"ca_key_type": kind, "allowed_principals": []string{server.User}})
			options := server.Options()
			options["key_type"] = kind
			ledger := newLedger(t, server, settings)
			providertest.Run(t, func(*testing.T) providertest.Fixture {
				return providertest.Fixture{
					Provider: ledger, Connection: settings, Options: options, Unlisted: true, Unrecorded: true,
					LogIn: func(ctx context.Context, values providers.Values) error { return server.LogIn(ctx, reveal(values)) },
				}
			})
		})
	}
}
