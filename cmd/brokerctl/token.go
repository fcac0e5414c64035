package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) tokenCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "token",
		Aliases: []string{"tokens"},
		Short:   "Tokens: what every request shows",
		Long: `Tokens are what every request shows. One is got by signing in ("brokerctl login"), or made with another: for the same
account within the bounds of that one, and gone with it; for other accounts by who may. A token is shown once; its
accessor names it without giving access.`,
	}
	noun.AddCommand(a.tokenCreate(), a.tokenList(), a.tokenGet(), a.tokenDelete())
	return noun
}

func (a *app) tokenCreate() *cobra.Command {
	var change changeFlags
	var spec types.TokenSpec
	var life, idle string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token, which is shown this once",
		Example: `  brokerctl token create --ttl 1h --uses 1
  brokerctl token create --account ci --ttl 24h --cidr 10.1.0.0/16 --description 'runner 7' -o json`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if spec.TTL, err = ttl("ttl", life); err != nil {
				return err
			}
			if spec.IdleTTL, err = ttl("idle-ttl", idle); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			made, err := c.CreateToken(cmd.Context(), spec, change.options()...)
			if err != nil {
				return err
			}
			if change.dryRun {
				change.done(a, "made", "a token of account "+made.Account)
				return a.changed(made, made.Accessor, nil)
			}
			a.note("token %s of account %s is valid until %s; it is shown this once", made.Accessor, made.Account, endText(a, made.ExpiresAt))
			return a.showOnce(made, made.Accessor, made.Token)
		},
	}
	cmd.Flags().StringVar(&spec.Account, "account", "", "whose it is (default: your own)")
	cmd.Flags().StringVar(&life, "ttl", "", "how long it is valid (default: 12h for people, 24h for services)")
	cmd.Flags().StringVar(&idle, "idle-ttl", "", "end it when it was not renewed for so long (default: it need not be renewed)")
	cmd.Flags().IntVar(&spec.Uses, "uses", 0, "requests that it is good for; 0: any number")
	cmd.Flags().StringSliceVar(&spec.CIDRs, "cidr", nil, "network that it is good from; repeatable (default: any)")
	cmd.Flags().StringVar(&spec.Description, "description", "", "what it is for")
	a.completeFlag(cmd, "account", accountNames)
	change.addTo(cmd, false)
	a.answers(cmd, types.Token{})
	return cmd
}

func (a *app) tokenList() *cobra.Command {
	var flags listFlags
	var account string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the tokens that you may see, oldest first",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.Token, string, error) {
				page, err := c.ListTokens(cmd.Context(), account, o)
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return list(a, found, func(k types.Token) string { return k.Accessor },
				[]string{"ACCESSOR", "ACCOUNT", "STATE", "METHOD", "USES", "EXPIRES", "FROM", "BY", "DESCRIPTION"},
				func(k types.Token) []string {
					return []string{k.Accessor, k.Account, k.State, k.Method, usesText(k.Uses, k.MaxUses), endText(a, k.ExpiresAt), fromText(k.CIDRs), k.MadeBy, k.Description}
				})
		},
	}
	cmd.Flags().StringVar(&account, "account", "", "of this account only")
	a.completeFlag(cmd, "account", accountNames)
	flags.addTo(cmd)
	return cmd
}

func (a *app) tokenGet() *cobra.Command {
	return &cobra.Command{
		Use:   "get [ACCESSOR]",
		Short: "Show a token, or the one that you use; never the secret itself",
		Args:  atMostOne("ACCESSOR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.GetToken(cmd.Context(), first(append(args, "self")...))
			if err != nil {
				return err
			}
			return a.show(found, found.Accessor, []row{
				{"Accessor", found.Accessor},
				{"Account", found.Account},
				{"Description", found.Description},
				{"State", found.State},
				{"Method", found.Method},
				{"Made by", found.MadeBy},
				{"Made with", found.Parent},
				{"Uses", usesText(found.Uses, found.MaxUses)},
				{"Good from", fromText(found.CIDRs)},
				{"Groups", strings.Join(found.Groups, " ")},
				{"Created", a.full(found.CreatedAt)},
				{"Expires", endText(a, found.ExpiresAt)},
				{"Ends when idle", idleText(a, found)},
			})
		},
	}
}

func (a *app) tokenDelete() *cobra.Command {
	var change changeFlags
	cmd := &cobra.Command{
		Use:     "delete ACCESSOR",
		Aliases: []string{"rm"},
		Short:   "Delete a token, and those that were made with it",
		Args:    exactly("ACCESSOR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			gone, err := c.DeleteToken(cmd.Context(), args[0], change.options()...)
			if err != nil {
				return err
			}
			for _, k := range gone {
				change.done(a, "deleted", "token "+k.Accessor+" of account "+k.Account)
			}
			return nil
		},
	}
	change.addTo(cmd, true)
	return cmd
}

// idleText tells when a token ends that is not renewed, where it has to be.
func idleText(a *app, k types.Token) string {
	if k.IdleEndsAt == nil {
		return ""
	}
	return a.when(*k.IdleEndsAt) + ", unless renewed (" + k.IdleTTL.String() + ")"
}

// endText tells an end that not everything has.
func endText(a *app, at *time.Time) string {
	if at == nil {
		return "never"
	}
	return a.when(*at)
}
