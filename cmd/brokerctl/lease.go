package main

import (
	"time"

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
	noun.AddCommand(a.leaseIssue(), a.leaseList(), a.leaseGet(), a.leaseRenew(), a.leaseRevoke(), a.leaseRetry(), a.leaseForget(), a.leaseHistory(), a.leaseWatch())
	return noun
}

func (a *app) leaseList() *cobra.Command {
	var flags listFlags
	var chosen selectorFlags
	var watch bool
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List leases, newest first",
		Long: `List leases, newest first. With --watch, leases that change are shown as they are then, until
interrupted; with -o json each is a line.`,
		Example: `  brokerctl lease list --state active --environment 'payments/*'
  brokerctl lease list --secret payments/production/orders-ro --all -q
  brokerctl lease list --username brk_abcd_orders_x7k2     # who held a login, ended leases too
  brokerctl lease list --watch --state active,stuck`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			selector, err := chosen.read(cmd)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			var index uint64 // of the first page: what happened since is in the stream
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.Lease, string, error) {
				page, err := c.ListLeases(cmd.Context(), selector, o)
				if index == 0 {
					index = c.Index()
				}
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			if watch {
				return a.watchLeases(cmd.Context(), c, selector, found, index)
			}
			return list(a, found, func(l types.Lease) string { return l.ID }, leaseHeader(), a.leaseCells)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "then show leases as they change, until interrupted")
	cmd.Flags().StringVar(&chosen.selector.Sort, "sort", "", "-created_at (newest first) or created_at")
	chosen.addTo(a, cmd)
	flags.addTo(cmd)
	return cmd
}

func leaseHeader() []string {
	return []string{"ID", "STATE", "EXPIRES", "NAME", "SECRET", "ACCOUNT", "USERNAME", "CREATED"}
}

func (a *app) leaseCells(l types.Lease) []string {
	return []string{l.ID, l.State, a.end(l), l.Name, l.Secret, l.Account, l.Username, a.when(l.CreatedAt)}
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
		rows = append(rows, row{"Renewable", renewable(l)})
	}
	rows = append(rows, row{"Replaces", l.Replaces}, row{"Replaced by", l.ReplacedBy})
	if l.Missing {
		rows = append(rows, row{"Missing", "its login was not there in the newest sweep"})
	}
	if l.Forgotten {
		rows = append(rows, row{"Forgotten", "its login may still exist"})
	}
	if l.Attempts > 0 {
		rows = append(rows, row{"Attempts", number(l.Attempts)})
	}
	rows = append(rows,
		row{"Revoking", a.full(pointed(l.RevokingAt))},
		row{"Ended", a.full(pointed(l.EndedAt))},
		row{"Cause", l.Cause},
		row{"Reason", l.Reason},
		row{"Operation", l.Operation},
		row{"Last error", l.LastError},
		row{"Next try", a.full(pointed(l.NextTryAt))},
	)
	return rows
}

// renewable says by how much a lease can still be extended.
func renewable(l types.Lease) string {
	if !l.Renewable {
		return "no"
	}
	return l.RenewableTTL.String()
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
			if _, err := time.Parse(time.RFC3339, until); until != "" && until != types.UntilMax && err != nil {
				return usage("--until must be an RFC 3339 time, such as 2030-01-31T18:00:00Z, or max")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			var before types.Lease
			if until != "" {
				// An end that is no later changes nothing, and is no error: only the difference tells.
				if before, err = c.GetLease(cmd.Context(), args[0]); err != nil {
					return err
				}
			}
			renewed, err := c.RenewLease(cmd.Context(), args[0], spec, change.options()...)
			if err != nil {
				return err
			}
			if before.ExpiresAt.Equal(renewed.ExpiresAt) {
				a.note("lease %s was not changed: it expires %s, and renewing never shortens", renewed.ID, a.full(renewed.ExpiresAt))
			} else {
				change.done(a, "renewed: it expires "+a.full(renewed.ExpiresAt), "lease "+renewed.ID)
			}
			return a.changed(renewed, renewed.ID, renewed.Warnings)
		},
	}
	cmd.Flags().StringVar(&ttlText, "ttl", "", "add this to the lease's end, e.g. 30m")
	cmd.Flags().StringVar(&until, "until", "", "the new end, as an RFC 3339 time, or max")
	change.addTo(cmd, false)
	a.answers(cmd, types.Lease{})
	return cmd
}
