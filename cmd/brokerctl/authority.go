package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"broker/api/types"
)

func (a *app) authorityCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:   "ca",
		Short: "The cluster's certificate authorities",
		Long: `The cluster's certificate authorities. One signs the certificates of nodes and of their API, older ones
are believed until they are retired. To replace one: rotate; have clients log in again or give them the
new certificate within the time that suits you, they go on meanwhile; then retire the old one.`,
		Args: a.noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	noun.AddCommand(a.authorityList(), a.authorityRotate(), a.authorityRetire())
	return noun
}

func (a *app) authorityList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List authorities, the one that signs first",
		Example: "  brokerctl cluster ca list\n  brokerctl cluster ca list --field certificate > ca.pem",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.ListAuthorities(cmd.Context())
			if err != nil {
				return err
			}
			return list(a, found.Items, func(one types.Authority) string { return number(one.Number) },
				[]string{"NUMBER", "STATE", "CREATED", "EXPIRES", "FINGERPRINT"},
				func(one types.Authority) []string {
					state := "believed"
					if one.Signs {
						state = "signs"
					}
					return []string{number(one.Number), state, a.when(one.CreatedAt), a.when(one.ExpiresAt), one.Fingerprint}
				})
		},
	}
}

func (a *app) authorityRotate() *cobra.Command {
	var change changeFlags
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new authority, which signs from now on",
		Long: `Make a new authority, which signs from now on: nodes renew their certificates at once. The present one vouches
for it, so clients that know only that one go on. Join tokens made before keep working until it is retired.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			made, err := c.RotateAuthority(cmd.Context(), change.options()...)
			if err != nil {
				return err
			}
			if change.dryRun {
				a.note("another authority would sign (dry run)")
			} else {
				a.note("authority %d signs from now on: %s", made.Number, made.Fingerprint)
			}
			return a.changed(made, number(made.Number), nil)
		},
	}
	change.addTo(cmd, false)
	a.answers(cmd, types.Authority{})
	return cmd
}

func (a *app) authorityRetire() *cobra.Command {
	var change changeFlags
	cmd := &cobra.Command{
		Use:   "retire NUMBER",
		Short: "Believe an authority no more that does not sign any more",
		Args:  exactly("NUMBER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return usage("%q is no number of an authority: see \"brokerctl cluster ca list\"", args[0])
			}
			if !change.dryRun {
				if err := a.confirm(fmt.Sprintf("Locking out clients that know only authority %d", n)); err != nil {
					return err
				}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := c.RetireAuthority(cmd.Context(), n, change.options()...); err != nil {
				return err
			}
			change.done(a, "retired", "authority "+args[0])
			return nil
		},
	}
	change.addTo(cmd, true)
	return cmd
}

func (a *app) gossipKeyCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:   "gossip-key",
		Short: "The key that encrypts gossip between nodes",
		Args:  a.noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var change changeFlags
	rotate := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new key, which is used from now on; the one before is still understood",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := c.RotateGossipKey(cmd.Context(), change.options()...); err != nil {
				return err
			}
			change.done(a, "rotated", "the key of gossip")
			return nil
		},
	}
	change.addTo(rotate, false)
	noun.AddCommand(rotate)
	return noun
}
