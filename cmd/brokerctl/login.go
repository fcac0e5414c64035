package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/client/contexts"
	"broker/api/types"
)

func (a *app) loginCommand() *cobra.Command {
	var fingerprint, name string
	var as signInFlags
	cmd := &cobra.Command{
		Use:   "login URL[,URL…]",
		Short: "Remember a broker and the token for it",
		Long: `Remember a broker and the token for it, as a context that is used from now on. One node's URL is enough:
the others are learnt from it.

A broker has a certificate authority of its own. Its fingerprint, which the broker printed when it began and
"brokerctl cluster ca list" tells, shows that one speaks to the right one; at a terminal it may be left out and is
asked about. The token is asked for at a terminal, else read from standard input, --token-file or BROKER_TOKEN.

With --user the token is got by a password, which is asked for at a terminal, else read from --password-file or
standard input; with --client-id by a client secret, or with --wrapped-secret-file by one that waits to be taken, which is
taken and not kept. "brokerctl logout" deletes the token again.`,
		Example: `  brokerctl login https://broker.example:8420 --ca-fingerprint sha256:3f5a…
  brokerctl login https://broker.example:8420 --user alice
  brokerctl login https://broker.example:8420 --client-id ci --client-secret-file /run/secrets/ci
  brokerctl login https://broker.example:8420 --client-id ci --wrapped-secret-file /run/secrets/ci-wrapped`,
		Args: exactly("URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := as.check(); err != nil {
				return err
			}
			return a.logIn(cmd.Context(), strings.Split(args[0], ","), fingerprint, name, as)
		},
	}
	cmd.Flags().StringVar(&fingerprint, "ca-fingerprint", "", "of the broker's certificate authority: sha256:…")
	cmd.Flags().StringVar(&name, "name", "", "of the context (default: the host's)")
	as.addTo(cmd)
	return cmd
}

func (a *app) logIn(ctx context.Context, addresses []string, fingerprint, name string, as signInFlags) error {
	where := target{}
	for _, one := range addresses {
		if !strings.Contains(one, "://") {
			one = "https://" + one
		}
		address, err := client.NormalAddress(one)
		if err != nil {
			return &usageError{err: err}
		}
		where.addresses = append(where.addresses, address)
	}
	first, err := url.Parse(where.addresses[0])
	if err != nil {
		return &usageError{err: err}
	}
	if name == "" {
		name = first.Hostname()
	}
	if first.Scheme == "https" {
		if where.caCert, err = a.authorityOf(ctx, where.addresses[0], fingerprint); err != nil {
			return err
		}
	} else if fingerprint != "" {
		return usage("--ca-fingerprint is for https://")
	}
	if where.token, err = a.tokenToUse(ctx, where, as); err != nil {
		return err
	}
	c, err := a.clientFor(where)
	if err != nil {
		return err
	}
	view, err := c.GetCluster(ctx)
	if err != nil {
		return err
	}
	return a.rememberLogin(name, where, view)
}

// learntFrom returns the addresses of nodes that an answer names, as far as they are of use here.
func learntFrom(asked string, view types.Cluster) (list []string) {
	for _, member := range view.Members {
		address, err := client.LearntAddress(asked, member.APIAddress)
		if err == nil && !slices.Contains(list, address) {
			list = append(list, address)
		}
	}
	return list
}

// How often a context learns which nodes there are, and how long that may hold up the end of a command.
const (
	learnInterval = time.Minute
	learnPatience = time.Second
)

// learnNodes has the context in use remember the cluster's nodes, so that any of them will do when the one that
// somebody named is gone. What goes wrong is of no interest to the command that is done.
func (a *app) learnNodes(ctx context.Context) {
	name := a.used.context
	path, err := contexts.Path(a.getenv)
	if name == "" || err != nil {
		return
	}
	file, err := contexts.Load(path)
	if err != nil {
		return
	}
	known, ok := file.Contexts[name]
	if !ok || a.now().Sub(known.LearntAt).Abs() < learnInterval {
		return
	}
	c, err := a.clientFor(a.used)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, learnPatience)
	defer cancel()
	view, err := c.GetCluster(ctx)
	if err != nil || len(view.Members) == 0 {
		return
	}
	known.Learnt, known.LearntAt = learntFrom(known.Addresses[0], view), a.now().UTC().Truncate(time.Second)
	file.Contexts[name] = known
	_ = file.Save(path) // the next command tries again
}

// authorityOf returns the certificate authority to trust; nil: this machine trusts the broker without it.
func (a *app) authorityOf(ctx context.Context, address, fingerprint string) ([]byte, error) {
	if path := first(a.caCert, a.getenv("BROKER_CACERT")); path != "" && fingerprint == "" {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading the CA file: %w", err)
		}
		return content, nil
	}
	found, err := client.FetchAuthority(ctx, address, fingerprint)
	switch {
	case errors.Is(err, client.ErrAuthority):
		return nil, &hintedError{err: err, hint: "is it the right address? Somebody may stand in between. \"brokerctl cluster ca list\" where you are logged in, or \"brokerd admin-token\" on a node, tells the right fingerprint"}
	case err != nil:
		return nil, err
	case found.Trusted:
		return nil, nil
	case fingerprint != "":
		return found.PEM, nil
	case !a.interactive:
		return nil, &usageError{err: errors.New("this machine does not know the broker's certificate authority"), hint: "give its fingerprint with --ca-fingerprint, or its certificate with --ca-cert"}
	}
	fmt.Fprintf(a.err, "This machine does not know the certificate authority of %s. Its fingerprint is\n  %s\nwhich the broker printed when it began. Is it the same? [y/N] ", address, found.Fingerprint)
	answer, _ := bufio.NewReader(a.in).ReadString('\n') // no answer is a no
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return nil, usage("not confirmed; nothing was done")
	}
	return found.PEM, nil
}

// typedToken returns the token to log in with.
func (a *app) typedToken() (string, error) {
	token, err := a.token()
	if token != "" || err != nil {
		return token, err
	}
	if a.secretly != nil {
		token, err = a.secretly("token: ")
	} else {
		var content []byte
		content, err = io.ReadAll(io.LimitReader(a.in, 1<<16))
		token = string(content)
	}
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	if token = strings.TrimSpace(token); token == "" {
		return "", &usageError{err: errors.New("there is no token"), hint: "type it, or give it by standard input, --token-file or BROKER_TOKEN"}
	}
	return token, nil
}

func (a *app) rememberLogin(name string, where target, view types.Cluster) error {
	path, err := contexts.Path(a.getenv)
	if err != nil {
		return err
	}
	made := contexts.Context{Addresses: where.addresses, Learnt: learntFrom(where.addresses[0], view), Token: where.token}
	if len(where.caCert) > 0 {
		// A name of its own for each certificate: the file that a context uses is never written again.
		sum := sha256.Sum256(where.caCert)
		made.CACert = filepath.Join(filepath.Dir(path), fmt.Sprintf("%s-%x.pem", fileName(name), sum[:8]))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("making the directory of contexts: %w", err)
		}
		if err := os.WriteFile(made.CACert, where.caCert, 0o600); err != nil {
			return fmt.Errorf("writing the authority's certificate: %w", err)
		}
	}
	file, err := contexts.Load(path)
	if err != nil {
		return err
	}
	file.Contexts[name], file.Current = made, name
	if err := file.Save(path); err != nil {
		return err
	}
	a.note("logged in to cluster %s at %s; context %s is in use", view.ID, strings.Join(made.All(), ", "), name)
	return nil
}

// fileName makes a name usable as that of a file.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", r) {
			return r
		}
		return '_'
	}, name)
}
