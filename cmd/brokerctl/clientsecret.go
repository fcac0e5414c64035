package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) clientSecretCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "client-secret",
		Aliases: []string{"client-secrets"},
		Short:   "Client secrets: what programs sign in with",
		Args:    a.noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	noun.AddCommand(a.clientSecretCreate(), a.clientSecretList(), a.clientSecretDelete())
	return noun
}

func (a *app) clientSecretCreate() *cobra.Command {
	var change changeFlags
	var spec types.ClientSecretSpec
	var life, tokenLife, wrap string
	cmd := &cobra.Command{
		Use:   "create ACCOUNT",
		Short: "Make a client secret, which is shown this once",
		Long: `Make a client secret, by which a program signs in as the account: its client id is the account's name. It is shown
this once. With --wrap-ttl a token is shown in its place, by which the client secret can be taken once, within that time
("brokerctl unwrap"): whoever passes it on does not see the secret, and a thief is noticed.`,
		Example: `  brokerctl account client-secret create payments-api --cidr 10.1.0.0/16 --token-ttl 1h
  brokerctl account client-secret create ci --uses 1 --ttl 10m --wrap-ttl 5m`,
		Args:              exactly("ACCOUNT"),
		ValidArgsFunction: a.complete(accountNames),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			for _, one := range []struct {
				flag, text string
				field      **types.Duration
			}{{"ttl", life, &spec.TTL}, {"token-ttl", tokenLife, &spec.TokenTTL}, {"wrap-ttl", wrap, &spec.WrapTTL}} {
				if *one.field, err = ttl(one.flag, one.text); err != nil {
					return err
				}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			made, err := c.CreateClientSecret(cmd.Context(), args[0], spec, change.options()...)
			if err != nil {
				return err
			}
			if change.dryRun {
				change.done(a, "made", "a client secret of account "+made.ClientID)
				return a.changed(made, made.ID, nil)
			}
			shown := made.ClientSecret
			if w := made.Wrapping; w != nil {
				shown = w.Token
				a.note("client secret %s of account %s can be taken once until %s, with the token below", made.ID, made.ClientID, a.full(w.ExpiresAt))
			} else {
				a.note("client secret %s of account %s is shown this once", made.ID, made.ClientID)
			}
			return a.showOnce(made, made.ID, shown)
		},
	}
	cmd.Flags().StringVar(&life, "ttl", "", "how long it is valid (default: for ever)")
	cmd.Flags().IntVar(&spec.Uses, "uses", 0, "sign-ins that it is good for; 0: any number")
	cmd.Flags().StringSliceVar(&spec.CIDRs, "cidr", nil, "network that it, and tokens by it, are good from; repeatable (default: any)")
	cmd.Flags().StringVar(&tokenLife, "token-ttl", "", "how long tokens by it live")
	cmd.Flags().StringVar(&wrap, "wrap-ttl", "", "show a token by which it can be taken once, in its place")
	cmd.Flags().StringVar(&spec.Description, "description", "", "what it is for")
	change.addTo(cmd, false)
	a.answers(cmd, types.ClientSecret{})
	return cmd
}

// showOnce prints a secret that was made: itself for people and with -q, the object for programs.
func (a *app) showOnce(object any, name, secret string) error {
	if a.field == "" && (a.format == "table" || a.quiet) {
		_, err := fmt.Fprintln(a.out, secret)
		return err
	}
	return a.changed(object, name, nil)
}

func (a *app) clientSecretList() *cobra.Command {
	var flags listFlags
	cmd := &cobra.Command{
		Use:               "list ACCOUNT",
		Aliases:           []string{"ls"},
		Short:             "List an account's client secrets, oldest first",
		Args:              exactly("ACCOUNT"),
		ValidArgsFunction: a.complete(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.ClientSecret, string, error) {
				page, err := c.ListClientSecrets(cmd.Context(), args[0], o)
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return list(a, found, func(s types.ClientSecret) string { return s.ID },
				[]string{"ID", "STATE", "USES", "EXPIRES", "FROM", "BY", "DESCRIPTION"},
				func(s types.ClientSecret) []string {
					return []string{s.ID, s.State, usesText(s.Uses, s.MaxUses), endText(a, s.ExpiresAt), fromText(s.CIDRs), s.MadeBy, s.Description}
				})
		},
	}
	flags.addTo(cmd)
	return cmd
}

func (a *app) clientSecretDelete() *cobra.Command {
	var change changeFlags
	cmd := &cobra.Command{
		Use:     "delete ACCOUNT ID",
		Aliases: []string{"rm"},
		Short:   "Make a client secret useless; tokens by it stay until they expire",
		Args:    exactly("ACCOUNT", "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := c.DeleteClientSecret(cmd.Context(), args[0], args[1], change.options()...); err != nil {
				return err
			}
			change.done(a, "deleted", "client secret "+args[1])
			return nil
		},
	}
	change.addTo(cmd, true)
	return cmd
}

// usesText tells how often something was used, where that is counted.
func usesText(used, most int) string {
	if most == 0 {
		return "any"
	}
	return fmt.Sprintf("%d/%d", used, most)
}

func fromText(cidrs []string) string { return first(strings.Join(cidrs, " "), "anywhere") }
