package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"broker/api/client/contexts"
	"broker/api/types"
)

// signInFlags say how a login gets its token. Without any the token is given.
type signInFlags struct {
	user, passwordFile         string
	clientID, clientSecretFile string
	wrappedSecretFile          string
}

func (f *signInFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.user, "user", "", "sign in as this account, with its password")
	cmd.Flags().StringVar(&f.passwordFile, "password-file", "", "with --user: read the password from this file")
	cmd.Flags().StringVar(&f.clientID, "client-id", "", "sign in as this account, with a client secret")
	cmd.Flags().StringVar(&f.clientSecretFile, "client-secret-file", "", "with --client-id: read the client secret from this file")
	cmd.Flags().StringVar(&f.wrappedSecretFile, "wrapped-secret-file", "", "with --client-id: take the client secret with the wrapping token in this file")
}

func (f *signInFlags) check() error {
	switch {
	case f.user != "" && f.clientID != "":
		return usage("--user and --client-id exclude each other")
	case f.passwordFile != "" && f.user == "":
		return usage("--password-file goes with --user")
	case f.clientSecretFile != "" && f.clientID == "":
		return usage("--client-secret-file goes with --client-id")
	case f.wrappedSecretFile != "" && f.clientID == "":
		return usage("--wrapped-secret-file goes with --client-id")
	case f.wrappedSecretFile != "" && f.clientSecretFile != "":
		return usage("--client-secret-file and --wrapped-secret-file exclude each other")
	}
	return nil
}

// tokenToUse returns the token to log in with: by signing in, or as it is given.
func (a *app) tokenToUse(ctx context.Context, where target, as signInFlags) (string, error) {
	if as.user == "" && as.clientID == "" {
		return a.typedToken()
	}
	c, err := a.clientFor(where)
	if err != nil {
		return "", err
	}
	var got types.Token
	if as.user != "" {
		password, err := a.secretFrom(as.passwordFile, "password")
		if err != nil {
			return "", err
		}
		got, err = c.SignInPassword(ctx, types.PasswordSignIn{Username: as.user, Password: password})
		if err != nil {
			return "", err
		}
	} else {
		var secret string
		if as.wrappedSecretFile != "" {
			secret, err = a.wrappedSecret(ctx, c, as.clientID, as.wrappedSecretFile)
		} else {
			secret, err = a.secretFrom(as.clientSecretFile, "client secret")
		}
		if err != nil {
			return "", err
		}
		got, err = c.SignInClient(ctx, types.ClientSignIn{ClientID: as.clientID, ClientSecret: secret})
		if err != nil {
			return "", err
		}
	}
	a.note("signed in as %s; the token %s is valid until %s", got.Account, got.Accessor, endText(a, got.ExpiresAt))
	return got.Token, nil
}

func (a *app) logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "Delete the token of the context in use, with those made with it",
		Long: `Delete the token of the context in use at the broker, with those that were made with it, and forget it here. The
context stays: "brokerctl login" gives it another token.`,
		Example: "  brokerctl logout --context production",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, path, err := a.contextsFile()
			if err != nil {
				return err
			}
			chosen, ok, err := a.chosenContext()
			switch {
			case err != nil:
				return err
			case !ok:
				return errNoAddress
			}
			known := file.Contexts[chosen.name]
			if known.Token == "" {
				return &usageError{err: errors.New("context " + chosen.name + " holds no token"), hint: "\"brokerctl token delete\" deletes others"}
			}
			return a.logOut(cmd.Context(), file, path, chosen.name, known)
		},
	}
}

// logOut deletes a context's token: first at the broker, so that it is not forgotten while it is good.
func (a *app) logOut(ctx context.Context, file *contexts.File, path, name string, known contexts.Context) error {
	where := target{addresses: known.All(), token: known.Token, context: name}
	var err error
	if known.CACert != "" {
		if where.caCert, err = os.ReadFile(known.CACert); err != nil {
			return fmt.Errorf("reading the CA file: %w", err)
		}
	}
	c, err := a.clientFor(where)
	if err != nil {
		return err
	}
	_, err = c.DeleteToken(ctx, "self")
	var problem *types.Problem
	switch {
	case errors.As(err, &problem) && problem.Code == "unauthenticated":
		a.note("the token was not valid any more")
	case err != nil:
		return err
	}
	known.Token = ""
	file.Contexts[name] = known
	if err := file.Save(path); err != nil {
		return err
	}
	a.note("logged out; context %s has no token any more", name)
	a.used.context = "" // there is no token to learn anything with
	return nil
}
