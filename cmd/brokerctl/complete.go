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
