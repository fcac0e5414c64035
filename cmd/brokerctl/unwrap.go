package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) unwrapCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unwrap",
		Short: "Take a value that waits to be taken once, such as a wrapped client secret",
		Long: `Take a value that waits to be taken once, such as a client secret that was made with --wrap-ttl. Its token is asked
for at a terminal, else read from standard input or --token-file; it is no argument, since others could see that. No other
token is needed. The client secret alone is printed, with -o json and yaml all there is, with --field one of id, client_id and
client_secret. It can be taken once: when it cannot be taken any more, though it should be, somebody else may have it.

"brokerctl login URL --client-id NAME --wrapped-secret-file FILE" takes a client secret and signs in with it.`,
		Example: `  brokerctl unwrap --token-file wrapped
  brokerctl unwrap < wrapped > client-secret
  brokerctl unwrap -o json < wrapped`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return &usageError{err: errors.New("the token is no argument: others could see it"), hint: "type it, or give it by standard input or --token-file", command: cmd.CommandPath()}
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Before it is taken: afterwards it would be lost.
			if a.field != "" && !slices.Contains(wrappedFields, a.field) {
				return noField(a.field, wrappedFields)
			}
			token, err := a.wrappingToken(a.tokenFile)
			if err != nil {
				return err
			}
			a.tokenFile = "" // it names no token of an account
			where, err := a.find()
			if err != nil {
				return err
			}
			where.token = "" // none is needed, and one that is bad must not be in the way
			c, err := a.clientFor(where)
			if err != nil {
				return err
			}
			got, err := c.Unwrap(cmd.Context(), token)
			if err != nil {
				return err
			}
			a.used.context = "" // without a token there is nothing to learn
			if err := a.showTaken(got); err != nil {
				return &hintedError{err: fmt.Errorf("what was taken could not be shown, and cannot be taken again: %w", err), hint: "make another, and delete this one: brokerctl account client-secret list tells its id"}
			}
			return nil
		},
	}
	return cmd
}

// wrappedFields are the values of a client secret that waited to be taken.
var wrappedFields = []string{"client_id", "client_secret", "id"}

// showTaken prints what was taken: the client secret itself for people, everything for programs.
func (a *app) showTaken(got types.Unwrapped) error {
	if a.field == "" && (a.format == "json" || a.format == "yaml") {
		return a.encode(got)
	}
	name := first(a.field, "client_secret")
	text, ok := got.Values.Get(name)
	if !ok {
		return fmt.Errorf("%s has no %s", got.About, name)
	}
	if a.field == "" {
		id, _ := got.Values.Get("id")
		owner, _ := got.Values.Get("client_id")
		a.note("client secret %s of account %s is shown this once", id, owner)
	}
	_, err := fmt.Fprintln(a.out, text)
	return err
}

// wrappingToken reads the token by which a value can be taken once.
func (a *app) wrappingToken(file string) (string, error) {
	var (
		content []byte
		text    string
		err     error
	)
	switch {
	case file != "":
		content, err = os.ReadFile(file)
		text = string(content)
	case a.secretly != nil:
		text, err = a.secretly("wrapping token: ")
	default:
		content, err = io.ReadAll(io.LimitReader(a.in, 1<<16))
		text = string(content)
	}
	if err != nil {
		return "", fmt.Errorf("reading the wrapping token: %w", err)
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", &usageError{err: errors.New("there is no wrapping token"), hint: "type it, or give it by standard input or a file; it begins with brkw_"}
	}
	// Whoever mixes up the kinds learns so before it goes anywhere.
	if !strings.HasPrefix(text, wrappingPrefix) {
		return "", &usageError{err: errors.New("this is no wrapping token, which begins with " + wrappingPrefix), hint: "\"brokerctl account client-secret create --wrap-ttl …\" shows one"}
	}
	return text, nil
}

// wrappingPrefix is what wrapping tokens begin with.
const wrappingPrefix = "brkw_"

// wrappedSecret takes the client secret that a file's wrapping token is for.
func (a *app) wrappedSecret(ctx context.Context, c *client.Client, clientID, file string) (string, error) {
	token, err := a.wrappingToken(file)
	if err != nil {
		return "", err
	}
	got, err := c.Unwrap(ctx, token)
	if err != nil {
		return "", err
	}
	if got.About != "client-secret" {
		return "", fmt.Errorf("what was taken is no client secret but %s", got.About)
	}
	id, _ := got.Values.Get("id")
	if owner, _ := got.Values.Get("client_id"); owner != clientID {
		return "", &hintedError{err: fmt.Errorf("the client secret that was taken is of account %s, not %s; it cannot be taken again", owner, clientID), hint: "delete it (\"brokerctl account client-secret delete " + owner + " " + id + "\") and make another"}
	}
	a.note("client secret %s of account %s taken; it cannot be taken again", id, clientID)
	secret, _ := got.Values.Get("client_secret")
	return secret, nil
}
