package main

import (
	"context"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) accountDisable() *cobra.Command {
	var change changeFlags
	var wait, deleteMade bool
	cmd := &cobra.Command{
		Use:   "disable NAME",
		Short: "Refuse an account's tokens and client secrets at once, and revoke its leases",
		Long: `Refuse an account's tokens and client secrets at once, and revoke its leases. Tokens that it made for others
stay good and are shown: whoever had the account may have given them to himself. --delete-made-tokens
deletes them in the same step.`,
		Example:           "  brokerctl account disable alice --delete-made-tokens --wait",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			off := true
			wanted := types.AccountChange{Disabled: &off, DeleteMadeTokens: deleteMade}
			if err := a.mayDisable(cmd.Context(), c, args[0], wanted, &change); err != nil {
				return err
			}
			changed, err := c.UpdateAccount(cmd.Context(), args[0], wanted, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "disabled", "account "+changed.Name)
			if n := uint64(len(changed.MadeTokens)); n > 0 && deleteMade {
				change.done(a, "deleted", amount(n, "token")+" that it made for others")
			} else if n > 0 {
				a.note("hint: %s that it made for others stay good: look at them, or repeat this with --delete-made-tokens", amount(n, "token"))
			}
			if op := changed.Operation; op != nil && wait && !change.dryRun {
				done, err := a.await(cmd.Context(), c, *op)
				if err != nil {
					return err
				}
				changed.Operation = &done
			}
			return a.changed(changed, changed.Name, changed.Warnings)
		},
	}
	cmd.Flags().BoolVar(&deleteMade, "delete-made-tokens", false, "delete the tokens that it made for others")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until its leases are revoked")
	change.addTo(cmd, true)
	a.answers(cmd, types.Account{})
	return cmd
}

// mayDisable shows what disabling an account would do, and asks.
func (a *app) mayDisable(ctx context.Context, c *client.Client, name string, wanted types.AccountChange, change *changeFlags) error {
	would, err := c.UpdateAccount(ctx, name, wanted, client.DryRun())
	if err != nil {
		return err
	}
	for _, k := range would.MadeTokens {
		a.note("it made token %s for account %s, %s", k.Accessor, k.Account, first(k.Description, "without a description"))
	}
	if change.dryRun {
		return nil
	}
	question := "Disabling account " + would.Name + " and revoking " + amount(would.LiveLeases, "lease")
	if wanted.DeleteMadeTokens && len(would.MadeTokens) > 0 {
		question += " and deleting " + amount(uint64(len(would.MadeTokens)), "token") + " that it made for others"
	}
	return a.confirm(question)
}

func (a *app) accountEnable() *cobra.Command {
	var change changeFlags
	cmd := &cobra.Command{
		Use:               "enable NAME",
		Short:             "Let an account in again; its tokens are good again until they expire",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			off := false
			changed, err := c.UpdateAccount(cmd.Context(), args[0], types.AccountChange{Disabled: &off}, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "enabled", "account "+changed.Name)
			return a.changed(changed, changed.Name, changed.Warnings)
		},
	}
	change.addTo(cmd, true)
	a.answers(cmd, types.Account{})
	return cmd
}
