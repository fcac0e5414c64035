package x509_test

import (
	"context"
	"testing"

	"broker/providers"
	"broker/providers/providertest"
)

func TestContract(t *testing.T) {
	for _, kind := range []string{"ecdsa", "ed25519"} {
		t.Run(kind, func(t *testing.T) {
			l := &ledger{settings: complete(t, map[string]any{"allowed_names": []any{"{{account}}"}})}
			if err := l.publish(); err != nil {
				t.Fatal(err)
			}
			options := server.Options()
			options["key_type"] = kind
			providertest.Run(t, func(*testing.T) providertest.Fixture {
				return providertest.Fixture{
					Provider: l, Connection: l.settings, Options: options, Unlisted: true, Unrecorded: true,
					LogIn: func(ctx context.Context, values providers.Values) error { return server.LogIn(ctx, reveal(values)) },
				}
			})
		})
	}
}
