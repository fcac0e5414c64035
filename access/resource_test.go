package access

import (
	"strings"
	"testing"

	"broker/fsm"
)

func TestResourcesAreRead(t *testing.T) {
	for text, want := range map[string]Resource{
		"payments/production/orders-ro":      {Kind: KindSecret, Environment: "payments/production", Secret: "orders-ro"},
		"payments/production":                {Kind: KindEnvironment, Environment: "payments/production"},
		"payments/*":                         {Kind: KindEnvironment, Environment: "payments/*"},
		"*":                                  {Kind: KindEnvironment, Environment: "*"},
		"connection/orders-db":               {Kind: KindConnection, Name: "orders-db"},
		"connection/orders-db@payments/*":    {Kind: KindConnection, Name: "orders-db", Environment: "payments/*"},
		"connection":                         {Kind: KindConnection},
		"account/ci":                         {Kind: KindAccount, Name: "ci", Owner: "ci"},
		"lease/01JZ0000000000000000000000":   {Kind: KindLease, Name: "01JZ0000000000000000000000"},
		"policy/short-leases":                {Kind: KindPolicy, Name: "short-leases"},
		"cluster":                            {Kind: KindCluster},
		"environment":                        {Kind: KindEnvironment},
		"secret":                             {Kind: KindSecret},
		"lease":                              {Kind: KindLease},
		"environment/account/production":     {Kind: KindEnvironment, Environment: "account/production"},
		"secret/account/production/orders":   {Kind: KindSecret, Environment: "account/production", Secret: "orders"},
		"environment/environment/production": {Kind: KindEnvironment, Environment: "environment/production"},
		"secret/payments/production/orders-ro-10": {Kind: KindSecret, Environment: "payments/production", Secret: "orders-ro-10"},
	} {
		if got, err := ParseResource(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                        "no resource is given",
		"payments":                `"payments" is no resource: want a secret app/env/name`,
		"payments/":               "is no environment",
		"payments/production/":    "is no secret",
		"payments/*/orders":       "is no secret",
		"*/production":            "is no environment",
		"Payments/production":     "is no environment",
		"a/b/c/d":                 "is no secret",
		"connection/":             "names no connection",
		"connection/orders@":      "names no environment after the @",
		"connection/orders db":    "names no connection",
		"account/a/b":             "names no account",
		"lease/\x00":              "names no lease",
		"environment/payments":    "is no environment",
		"secret/payments/staging": "is no secret",
	} {
		if got, err := ParseResource(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %+v, %v; want an error with %q", text, got, err, want)
		}
	}
}

// FuzzResource: what is read is written as it was meant, and lies in the cluster whatever it is.
func FuzzResource(f *testing.F) {
	for _, text := range []string{"payments/production/orders", "*", "a/*", "connection/x@a/b", "lease/L1", "cluster", "secret/account/b/c", "environment/lock/b", "account"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		on, err := ParseResource(text)
		if err != nil {
			return
		}
		if again, err := ParseResource(on.String()); err != nil || again != on {
			t.Errorf("%q is %+v, written %q, which is %+v, %v", text, on, on.String(), again, err)
		}
		chain := on.chain(nil)
		if len(chain) == 0 || len(chain) > maxChain || chain[len(chain)-1] != uid(typeCluster, clusterID) {
			t.Errorf("%q is in %v", text, chain)
		}
		if !fsm.ValidScope(string(on.scope())) {
			t.Errorf("%q has scope %q", text, on.scope())
		}
	})
}
