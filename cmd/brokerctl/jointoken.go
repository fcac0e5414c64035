package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) joinTokenCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "join-token",
		Aliases: []string{"join-tokens"},
		Short:   "Join tokens: what lets nodes into the cluster",
		Args:    a.noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	noun.AddCommand(a.joinTokenCreate(), a.joinTokenList(), a.joinTokenDelete())
	return noun
}

func (a *app) joinTokenCreate() *cobra.Command {
	var change changeFlags
	var spec types.JoinTokenSpec
	ttlText := ""
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token that lets nodes in, and print how",
		Long: `Make a token that lets nodes in, and print the command by which they join. The token holds the
fingerprint of the cluster's authority, so that the new node knows whom it talks to, and is worth as
much as the cluster's keys while it is valid.`,
		Example: "  brokerctl cluster join-token create --uses 2 --ttl 30m\n  brokerctl cluster join-token create -q > join-token",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if spec.TTL, err = ttl("ttl", ttlText); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			made, err := c.CreateJoinToken(cmd.Context(), spec, change.options()...)
			if err != nil {
				return err
			}
			if a.quiet && !change.dryRun {
				_, err := fmt.Fprintln(a.out, made.Token)
				return err
			}
			if a.format != "table" || a.field != "" || change.dryRun {
				change.done(a, "made", "a join token")
				return a.changed(made, made.ID, nil)
			}
			view, err := c.GetCluster(cmd.Context())
			if err != nil {
				return err
			}
			var members []string
			for _, m := range view.Members {
				if m.ClusterAddress != "" {
					members = append(members, m.ClusterAddress)
				}
			}
			a.note("join token %s lets %s in until %s; it is shown this once", made.ID, amount(uint64(made.MaxUses), "node"), a.full(made.ExpiresAt))
			_, err = fmt.Fprintf(a.out, "BROKERD_JOIN_TOKEN=%s brokerd server --join %s\n", made.Token, strings.Join(members, ","))
			return err
		},
	}
	cmd.Flags().IntVar(&spec.Uses, "uses", 1, "how many nodes it lets in")
	cmd.Flags().StringVar(&ttlText, "ttl", "1h", "how long it is valid")
	cmd.Flags().StringVar(&spec.Description, "description", "", "what it is for")
	change.addTo(cmd, false)
	a.answers(cmd, types.JoinToken{})
	return cmd
}

func (a *app) joinTokenList() *cobra.Command {
	var flags listFlags
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List join tokens, oldest first",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.JoinToken, string, error) {
				page, err := c.ListJoinTokens(cmd.Context(), o)
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return list(a, found, func(k types.JoinToken) string { return k.ID },
				[]string{"ID", "STATE", "USES", "EXPIRES", "BY", "DESCRIPTION"},
				func(k types.JoinToken) []string {
					return []string{k.ID, k.State, fmt.Sprintf("%d/%d", k.Uses, k.MaxUses), a.when(k.ExpiresAt), k.By, k.Description}
				})
		},
	}
	flags.addTo(cmd)
	return cmd
}

func (a *app) joinTokenDelete() *cobra.Command {
	var change changeFlags
	cmd := &cobra.Command{
		Use:     "delete ID",
		Aliases: []string{"rm"},
		Short:   "Make a join token useless",
		Args:    exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := c.DeleteJoinToken(cmd.Context(), args[0], change.options()...); err != nil {
				return err
			}
			change.done(a, "deleted", "join token "+args[0])
			return nil
		},
	}
	change.addTo(cmd, true)
	return cmd
}
