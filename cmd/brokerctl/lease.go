package main

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) leaseCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "lease",
		Aliases: []string{"leases"},
		Short:   "Leases: credentials given to an account for a time",
	}
	noun.AddCommand(a.leaseIssue(), a.leaseList(), a.leaseGet(), a.leaseRenew(), a.leaseRevoke(), a.leaseHistory())
	return noun
}

func (a *app) leaseList() *cobra.Command {
	var flags listFlags
	var selector client.LeaseSelector
	var labelTexts []string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List leases, newest first",
		Example: `  brokerctl lease list --state active --environment 'payments/*'
  brokerctl lease list --secret payments/production/orders-ro --all -q`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if selector.Labels, err = labels(labelTexts); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.Lease, string, error) {
				page, err := c.ListLeases(cmd.Context(), selector, o)
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return list(a, found, func(l types.Lease) string { return l.ID },
				[]string{"ID", "STATE", "EXPIRES", "NAME", "SECRET", "ACCOUNT", "USERNAME", "CREATED"},
				func(l types.Lease) []string {
					return []string{l.ID, l.State, a.end(l), l.Name, l.Secret, l.Account, l.Username, a.when(l.CreatedAt)}
				})
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&selector.Environments, "environment", nil, "of these environments: app/env, app/* or *")
	f.StringVar(&selector.Secret, "secret", "", "of this secret: app/env/name")
	f.StringVar(&selector.Connection, "connection", "", "of this connection")
	f.StringVar(&selector.Account, "account", "", "held by this account")
	f.StringVar(&selector.Username, "username", "", "whose login has this name")
	f.StringArrayVar(&labelTexts, "label", nil, "with this label, k=v; repeatable: all of them")
	f.StringSliceVar(&selector.States, "state", nil, "in these states: pending, active, revoking, revoked, expired, failed, stuck, overdue")
	f.StringVar(&selector.Sort, "sort", "", "-created_at (newest first) or created_at")
	flags.addTo(cmd)
	a.completeFlag(cmd, "secret", secretNames)
	a.completeFlag(cmd, "connection", connectionNames)
	a.completeFlag(cmd, "environment", environmentNames)
	return cmd
}

// end says when the lease ends: for people, of one that has ended, when it did.
func (a *app) end(l types.Lease) string {
	if a.terminal && l.EndedAt != nil {
		return "ended " + a.when(*l.EndedAt)
	}
	return a.when(l.ExpiresAt)
}

func (a *app) leaseGet() *cobra.Command {
	return &cobra.Command{
		Use:               "get ID",
		Short:             "Show a lease, without its values",
		Args:              exactly("ID"),
		ValidArgsFunction: a.complete(leaseIDs()),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.GetLease(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(found, found.ID, a.leaseRows(found))
		},
	}
}

func (a *app) leaseRows(l types.Lease) []row {
	rows := []row{
		{"ID", l.ID},
		{"Name", l.Name},
		{"State", l.State},
		{"Secret", l.Secret},
		{"Connection", l.Connection},
		{"Account", l.Account},
		{"Username", l.Username},
		{"Labels", pairs(l.Labels)},
		{"Created", a.full(l.CreatedAt)},
	}
	if l.Renewals > 0 {
		rows = append(rows, row{"Renewed", a.full(pointed(l.RenewedAt))}, row{"Renewals", number(l.Renewals)})
	}
	rows = append(rows, row{"Expires", a.full(l.ExpiresAt)})
	if l.State == "active" {
		rows = append(rows, row{"Renewable", l.RenewableTTL.String()})
	}
	rows = append(rows,
		row{"Revoking", a.full(pointed(l.RevokingAt))},
		row{"Ended", a.full(pointed(l.EndedAt))},
		row{"Cause", l.Cause},
		row{"Reason", l.Reason},
		row{"Last error", l.LastError},
		row{"Next try", a.full(pointed(l.NextTryAt))},
	)
	return rows
}

func (a *app) leaseRenew() *cobra.Command {
	var change changeFlags
	var ttlText, until string
	cmd := &cobra.Command{
		Use:   "renew ID",
		Short: "Move a lease's end",
		Long: `Move a lease's end: --ttl adds to it, --until sets it and is safe to repeat. A lease never
lives longer than its secret's max TTL.`,
		Example: `  brokerctl lease renew 01JZ0000000000000000000000 --ttl 30m
  brokerctl lease renew 01JZ0000000000000000000000 --until max`,
		Args:              exactly("ID"),
		ValidArgsFunction: a.complete(leaseIDs("active")),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec := types.RenewSpec{Until: until}
			var err error
			if spec.TTL, err = ttl("ttl", ttlText); err != nil {
				return err
			}
			if (spec.TTL == nil) == (until == "") {
				return usage("want either --ttl or --until")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			renewed, err := c.RenewLease(cmd.Context(), args[0], spec, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "renewed: it expires "+a.full(renewed.ExpiresAt), "lease "+renewed.ID)
			return a.changed(renewed, renewed.ID, renewed.Warnings)
		},
	}
	cmd.Flags().StringVar(&ttlText, "ttl", "", "add this to the lease's end, e.g. 30m")
	cmd.Flags().StringVar(&until, "until", "", "the new end, as an RFC 3339 time, or max")
	change.addTo(cmd, false)
	return cmd
}

func (a *app) leaseRevoke() *cobra.Command {
	var change changeFlags
	var reason string
	cmd := &cobra.Command{
		Use:     "revoke ID...",
		Short:   "End leases now",
		Long:    "End leases now: their logins can no longer log in, their sessions end, and they are removed.",
		Example: "  brokerctl lease revoke 01JZ0000000000000000000000 --reason 'no longer needed'",
		Args:    atLeastOne("ID"),
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			return a.complete(leaseIDs("active", "pending"))(cmd, nil, typed)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 && change.key != "" {
				return usage("--idempotency-key goes with one lease only")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			// One that cannot be revoked must not keep the others alive.
			var failed []error
			for _, id := range slices.Compact(args) {
				revoked, err := c.RevokeLease(cmd.Context(), id, types.RevokeSpec{Reason: reason}, change.options()...)
				if err != nil {
					failed = append(failed, err)
					continue
				}
				change.done(a, revoked.State, "lease "+revoked.ID)
				if err := a.changed(revoked, revoked.ID, revoked.Warnings); err != nil {
					failed = append(failed, err)
				}
			}
			if len(failed) == 1 {
				return failed[0]
			}
			return errors.Join(failed...)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the history")
	change.addTo(cmd, false)
	return cmd
}
