// Command vaultapi uses the broker through the Go client of Vault, as programs do: it signs in, keeps a lease for as
// long as its input is open, and a new one whenever that comes to its end, and mints others beside.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/hashicorp/vault/api"
)

// said is a line of what happened.
type said struct {
	What string `json:"what"` // leased, renewed, over, minted, revoked
	ID   string `json:"id"`
	Left int    `json:"left"` // seconds
}

var mu sync.Mutex

func say(what string, s *api.Secret) {
	mu.Lock()
	defer mu.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(said{what, s.LeaseID, s.LeaseDuration}) // whoever listens has gone
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run is told by the environment: VAULT_ADDR, ROLE_ID and SECRET_ID; KEEP is what it keeps a lease of, MINT what it
// mints leases of, one after the other.
func run() error {
	client, err := api.NewClient(api.DefaultConfig())
	if err != nil {
		return err
	}
	login, err := client.Logical().Write("auth/approle/login", map[string]any{"role_id": os.Getenv("ROLE_ID"), "secret_id": os.Getenv("SECRET_ID")})
	if err != nil {
		return fmt.Errorf("signing in: %w", err)
	}
	client.SetToken(login.Auth.ClientToken)
	self, err := client.Auth().Token().LookupSelf()
	if err != nil {
		return fmt.Errorf("looking the token up: %w", err)
	}
	if id, err := self.TokenID(); err != nil || id != client.Token() {
		return fmt.Errorf("the token is told as another one: %v", err)
	}
	if health, err := client.Sys().Health(); err != nil || !health.Initialized || health.Sealed {
		return fmt.Errorf("asking for health: %+v, %w", health, err)
	}

	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is what counts
		close(over)
	}()
	minted := make(chan error, 1)
	go func() { minted <- mint(client, over) }()
	if err := keep(client, over); err != nil {
		return err
	}
	if err := <-minted; err != nil {
		return err
	}
	return client.Auth().Token().RevokeSelf("")
}

func keep(client *api.Client, over <-chan struct{}) error {
	for {
		secret, err := client.Logical().Read(os.Getenv("KEEP"))
		if err != nil || secret == nil {
			return fmt.Errorf("leasing (there: %t): %w", secret != nil, err)
		}
		say("leased", secret)
		watcher, err := client.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: secret})
		if err != nil {
			return err
		}
		go watcher.Start()
		for alive := true; alive; {
			select {
			case renewal := <-watcher.RenewCh():
				say("renewed", renewal.Secret)
			case err := <-watcher.DoneCh(): // an error where the lease ended before it could be renewed
				if err != nil {
					fmt.Fprintln(os.Stderr, "watching:", err)
				}
				say("over", secret)
				alive = false
			case <-over:
				watcher.Stop()
				if err := client.Sys().Revoke(secret.LeaseID); err != nil {
					return fmt.Errorf("revoking: %w", err)
				}
				say("revoked", secret)
				return nil
			}
		}
	}
}

func mint(client *api.Client, over <-chan struct{}) error {
	for {
		select {
		case <-over:
			return nil
		default:
		}
		secret, err := client.Logical().Read(os.Getenv("MINT"))
		if err != nil || secret == nil {
			return fmt.Errorf("minting (there: %t): %w", secret != nil, err)
		}
		say("minted", secret)
		if err := client.Sys().Revoke(secret.LeaseID); err != nil {
			return fmt.Errorf("revoking what was minted: %w", err)
		}
	}
}
