package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

// completion is what cobra calls to complete arguments and flags.
type completion = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective)

// complete makes a completion of names from the broker. Whatever goes wrong, it completes nothing:
// a shell is no place for errors.
func (a *app) complete(names func(context.Context, *client.Client) ([]string, error)) completion {
	return func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		c, err := a.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		found, err := names(ctx, c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var out []string
		for _, one := range found {
			if strings.HasPrefix(one, typed) {
				out = append(out, one)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlag is complete for a flag, which does not depend on the arguments.
func (a *app) completeFlag(cmd *cobra.Command, flag string, names func(context.Context, *client.Client) ([]string, error)) {
	complete := a.complete(names)
	err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return complete(cmd, nil, typed)
	})
	if err != nil {
		panic(err) // the flag does not exist: a programming error
	}
}

// manyNames is enough for a menu.
func manyNames() client.ListOptions { return client.ListOptions{Limit: 1000} }

func environmentNames(ctx context.Context, c *client.Client) ([]string, error) {
	page, err := c.ListEnvironments(ctx, manyNames(), client.WithConsistency(types.Stale))
	return namesOf(page.Items, func(e types.Environment) string { return e.Name }), err
}

func connectionNames(ctx context.Context, c *client.Client) ([]string, error) {
	page, err := c.ListConnections(ctx, manyNames(), client.WithConsistency(types.Stale))
	return namesOf(page.Items, func(one types.Connection) string { return one.Name }), err
}

func secretNames(ctx context.Context, c *client.Client) ([]string, error) {
	page, err := c.ListSecrets(ctx, "", manyNames(), client.WithConsistency(types.Stale))
	return namesOf(page.Items, func(s types.Secret) string { return s.FullName }), err
}

func providerNames(ctx context.Context, c *client.Client) ([]string, error) {
	page, err := c.ListProviders(ctx, client.WithConsistency(types.Stale))
	return namesOf(page.Items, func(p types.Provider) string { return p.Name }), err
}

// leaseIDs completes the leases in the states, every one when none is named.
func leaseIDs(states ...string) func(context.Context, *client.Client) ([]string, error) {
	return func(ctx context.Context, c *client.Client) ([]string, error) {
		page, err := c.ListLeases(ctx, client.LeaseSelector{States: states}, manyNames(), client.WithConsistency(types.Stale))
		return namesOf(page.Items, func(l types.Lease) string { return l.ID + "\t" + l.Name + " of " + l.Secret }), err
	}
}

func namesOf[T any](items []T, name func(T) string) []string {
	out := make([]string, 0, len(items))
	for _, one := range items {
		out = append(out, name(one))
	}
	return out
}

// completeSettings completes the names of --set and --unset: the provider's fields, told by the flag or the argument that
// names it, a connection or a secret.
func (a *app) completeSettings(cmd *cobra.Command, fields func(ctx context.Context, c *client.Client, cmd *cobra.Command, args []string) ([]types.Field, error)) {
	for flag, end := range map[string]string{"set": "=", "unset": ""} {
		if cmd.Flags().Lookup(flag) == nil {
			continue
		}
		err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			names := func(ctx context.Context, c *client.Client) ([]string, error) {
				found, err := fields(ctx, c, cmd, args)
				return namesOf(found, func(f types.Field) string { return f.Name + end + "\t" + f.Help }), err
			}
			out, directive := a.complete(names)(cmd, nil, typed)
			return out, directive | cobra.ShellCompDirectiveNoSpace
		})
		if err != nil {
			panic(err) // the flag does not exist: a programming error
		}
	}
}

// settingsOf are the fields of the connection that the arguments name, or of the provider that a flag names.
func settingsOf(ctx context.Context, c *client.Client, cmd *cobra.Command, args []string) ([]types.Field, error) {
	name := ""
	if flag := cmd.Flags().Lookup("provider"); flag != nil {
		name = flag.Value.String()
	} else if len(args) == 1 {
		found, err := c.GetConnection(ctx, args[0], client.WithConsistency(types.Stale))
		if err != nil {
			return nil, err
		}
		name = found.Provider
	}
	p, err := c.GetProvider(ctx, name, client.WithConsistency(types.Stale))
	return p.Connection, err
}

// optionsOf are the options of the secret that the arguments name, or of one on the connection that a flag names.
func optionsOf(ctx context.Context, c *client.Client, cmd *cobra.Command, args []string) ([]types.Field, error) {
	name := ""
	if flag := cmd.Flags().Lookup("connection"); flag != nil {
		name = flag.Value.String()
	} else if len(args) == 1 {
		found, err := c.GetSecret(ctx, args[0], client.WithConsistency(types.Stale))
		if err != nil {
			return nil, err
		}
		name = found.Connection
	}
	p, err := providerOf(ctx, c, name, settingFlags{})
	return p.Options, err
}
