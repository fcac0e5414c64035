package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// runIdentity says by which account run signs in.
type runIdentity struct {
	clientID, clientSecretFile string
	token                      bool // not with a client secret
}

// signIn returns a client that is signed in and stays so, and what signs it out. With a wait of zero it signs in when it is
// first used.
func (a *app) signIn(ctx context.Context, wait time.Duration, as runIdentity) (c *client.Client, signOut func(), err error) {
	where, err := a.find()
	if err != nil {
		return nil, nil, err
	}
	id, err := a.ownClientID(as)
	if err != nil {
		return nil, nil, err
	}
	if id == "" && as.clientSecretFile != "" {
		return nil, nil, usage("--client-secret-file goes with --client-id")
	}
	config := client.Config{Addresses: where.addresses, CACert: where.caCert, Timeout: a.timeout, UserAgent: "brokerctl/" + version()}
	a.used = where
	signOut = func() {}
	if id == "" {
		if config.Token, err = a.ownToken(where.token); err != nil {
			return nil, nil, err
		}
		// A file may be written anew; a variable that is refused stays so.
		config.Refresh = func(context.Context) (string, error) { return a.ownToken(where.token) }
		c, err = client.New(config)
	} else {
		door, failed := client.New(config)
		if failed != nil {
			return nil, nil, &usageError{err: failed}
		}
		config.Refresh = func(ctx context.Context) (string, error) {
			secret, err := a.ownClientSecret(as)
			if err != nil {
				return "", err
			}
			got, err := door.SignInClient(ctx, types.ClientSignIn{ClientID: id, ClientSecret: secret})
			return got.Token, err
		}
		if wait > 0 {
			err = patiently(ctx, time.Now().Add(wait), func() (err error) {
				config.Token, err = config.Refresh(ctx)
				return err
			})
		}
		if err != nil {
			return nil, nil, err
		}
		c, err = client.New(config)
		signOut = func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_, _ = c.DeleteToken(ctx, "self") // else it ends by itself
		}
	}
	if err != nil {
		return nil, nil, &usageError{err: err}
	}
	return c, signOut, nil
}

// credential reads one of the files that systemd gives to a service; empty when there is none.
func (a *app) credential(name string) (string, error) {
	dir := a.getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return "", nil
	}
	content, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the credential %s: %w", name, err)
	}
	return strings.TrimSpace(string(content)), nil
}

// ownClientID returns the account to sign in as with a client secret; empty when a token is used.
func (a *app) ownClientID(as runIdentity) (string, error) {
	if as.token {
		return "", nil
	}
	if id := first(as.clientID, a.getenv("BROKER_CLIENT_ID")); id != "" {
		return id, nil
	}
	if a.tokenFile != "" || a.context != "" || a.getenv("BROKER_TOKEN") != "" || a.getenv("BROKER_TOKEN_FILE") != "" {
		return "", nil // what was given to this very command comes before what its unit has
	}
	return a.credential("broker-client-id")
}

func (a *app) ownClientSecret(as runIdentity) (string, error) {
	path := as.clientSecretFile
	if path == "" {
		if secret := strings.TrimSpace(a.getenv("BROKER_CLIENT_SECRET")); secret != "" {
			return secret, nil
		}
		path = a.getenv("BROKER_CLIENT_SECRET_FILE")
	}
	if path != "" {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("reading the client secret: %w", err)
		}
		return strings.TrimSpace(string(content)), nil
	}
	secret, err := a.credential("broker-client-secret")
	if err == nil && secret == "" {
		return "", usage("there is no client secret: give it with --client-secret-file, BROKER_CLIENT_SECRET_FILE or $CREDENTIALS_DIRECTORY/broker-client-secret")
	}
	return secret, err
}

// ownToken returns the token as it is now: of flag or variables, of systemd's credentials, or of the context.
func (a *app) ownToken(ofContext string) (string, error) {
	token, err := a.token()
	if token != "" || err != nil {
		return token, err
	}
	if a.context == "" {
		if token, err = a.credential("broker-token"); token != "" || err != nil {
			return token, err
		}
	}
	return ofContext, nil
}
