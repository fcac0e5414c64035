package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

// bulkFlags are the flags of commands for some leases by id or many by selector.
type bulkFlags struct {
	selectorFlags
	change changeFlags
	all    bool
	max    uint64
	wait   bool
	reason string
}

func (f *bulkFlags) addTo(a *app, cmd *cobra.Command) {
	f.selectorFlags.addTo(a, cmd)
	f.change.addTo(cmd, false)
	cmd.Flags().BoolVar(&f.all, "all", false, "every lease there is, in place of choosing some")
	cmd.Flags().Uint64Var(&f.max, "max", 0, "refuse when more leases than this are chosen")
	cmd.Flags().BoolVar(&f.wait, "wait", false, "with a choice: wait until it is done and show progress")
}

// bulkVerb is what a command does with leases.
type bulkVerb struct {
	kind        string // of the operation
	doing, done string // "Revoking", "revoked"
	one         func(context.Context, *client.Client, string, []client.Option) (types.Lease, error)
}

// runBulk does it with the leases named, or with those that the flags choose.
func (a *app) runBulk(cmd *cobra.Command, verb bulkVerb, flags *bulkFlags, ids []string) error {
	choosing := flags.given(cmd) || flags.all
	switch {
	case len(ids) > 0 && choosing:
		return usage("want either ids or flags that choose leases")
	case len(ids) == 0 && !choosing:
		err := usage("want at least one ID, or flags that choose leases")
		err.command = cmd.CommandPath()
		return err
	case len(ids) > 0 && (flags.max > 0 || flags.wait):
		return usage("--max and --wait go with flags that choose leases")
	case len(ids) > 1 && flags.change.key != "":
		return usage("--idempotency-key goes with one lease only")
	}
	var answer any = types.Lease{}
	if choosing {
		answer = types.Operation{}
	}
	if err := a.checkAnswer(answer); err != nil {
		return err
	}
	selector, err := flags.read(cmd)
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	if !choosing {
		return a.eachLease(cmd.Context(), c, verb, flags, ids)
	}
	spec := types.BulkSpec{Selector: selector.Wire(), All: flags.all, Reason: flags.reason, Max: flags.max}
	counted, err := c.StartOperation(cmd.Context(), verb.kind, spec, client.DryRun())
	if err != nil {
		return err
	}
	which := counted.Total
	if flags.change.dryRun {
		a.note("%s would be %s (dry run)", amount(which, "lease"), verb.done)
		return a.changed(counted, number(which), counted.Warnings)
	}
	if which == 0 && flags.change.key == "" {
		a.note("no lease is chosen; nothing to do")
		return nil
	}
	question := verb.doing + " " + amount(which, "lease") + " of " + first(selectorText(spec.Selector), "all there are")
	if err := a.confirm(question); err != nil {
		return err
	}
	op, err := c.StartOperation(cmd.Context(), verb.kind, spec, flags.change.options()...)
	if err != nil {
		return err
	}
	return a.follow(cmd.Context(), c, op, flags.wait)
}

// eachLease does it with one lease after another: one that fails must not keep the others alive.
func (a *app) eachLease(ctx context.Context, c *client.Client, verb bulkVerb, flags *bulkFlags, ids []string) error {
	var failed []error
	for _, id := range slices.Compact(ids) {
		lease, err := verb.one(ctx, c, id, flags.change.options())
		if err != nil {
			failed = append(failed, err)
			continue
		}
		flags.change.done(a, lease.State, "lease "+lease.ID)
		if err := a.changed(lease, lease.ID, lease.Warnings); err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) == 1 {
		return failed[0]
	}
	return errors.Join(failed...)
}

const bulkHelp = `

Leases are named by their ids, or chosen by flags: then the number is told and a confirmation asked
for, and the broker goes on by itself, whichever node leads. --wait waits for the end; it stops
waiting with an error when all that is left is stuck.`

func (a *app) leaseRevoke() *cobra.Command {
	var flags bulkFlags
	cmd := &cobra.Command{
		Use:   "revoke [ID...]",
		Short: "End leases now",
		Long:  "End leases now: their logins can no longer log in, their sessions end, and they are removed." + bulkHelp,
		Example: `  brokerctl lease revoke 01JZ0000000000000000000000 --reason 'no longer needed'
  brokerctl lease revoke --environment 'payments/*' --account ci --dry-run
  brokerctl lease revoke --secret payments/production/orders-ro --reason leaked --wait`,
		ValidArgsFunction: a.completeLeases("active", "pending"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runBulk(cmd, bulkVerb{
				kind: types.OperationRevoke, doing: "Revoking", done: "revoked",
				one: func(ctx context.Context, c *client.Client, id string, options []client.Option) (types.Lease, error) {
					return c.RevokeLease(ctx, id, types.RevokeSpec{Reason: flags.reason}, options...)
				},
			}, &flags, args)
		},
	}
	cmd.Flags().StringVar(&flags.reason, "reason", "", "why; kept in the history")
	flags.addTo(a, cmd)
	return cmd
}

func (a *app) leaseRetry() *cobra.Command {
	var flags bulkFlags
	cmd := &cobra.Command{
		Use:   "retry [ID...]",
		Short: "Try now to remove the logins of leases whose end has begun",
		Long:  "Try now to remove the logins of leases whose end has begun, not when the next try is due." + bulkHelp,
		Example: `  brokerctl lease retry 01JZ0000000000000000000000
  brokerctl lease retry --connection orders-db --state stuck --yes`,
		ValidArgsFunction: a.completeLeases("revoking"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runBulk(cmd, bulkVerb{
				kind: types.OperationRetry, doing: "Retrying", done: "tried again",
				one: func(ctx context.Context, c *client.Client, id string, options []client.Option) (types.Lease, error) {
					return c.RetryLease(ctx, id, options...)
				},
			}, &flags, args)
		},
	}
	flags.addTo(a, cmd)
	return cmd
}

func (a *app) leaseForget() *cobra.Command {
	var flags bulkFlags
	cmd := &cobra.Command{
		Use:   "forget [ID...] --reason WHY",
		Short: "Give up the logins of leases whose end has begun",
		Long: `Give up the logins of leases whose end has begun and cannot be carried out, because the outside
system is gone for ever. The logins may still exist: should the system come back, the sweep takes
them for orphans.` + bulkHelp,
		Example: `  brokerctl lease forget 01JZ0000000000000000000000 --reason 'the host was scrapped'
  brokerctl lease forget --connection old-db --state stuck --reason 'the host was scrapped'`,
		ValidArgsFunction: a.completeLeases("stuck"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.reason == "" {
				return usage("--reason is required: others will wonder")
			}
			if len(args) > 0 && !flags.change.dryRun {
				if err := a.confirm("Giving up the logins of " + amount(uint64(len(args)), "lease")); err != nil {
					return err
				}
			}
			return a.runBulk(cmd, bulkVerb{
				kind: types.OperationForget, doing: "Giving up the logins of", done: "forgotten",
				one: func(ctx context.Context, c *client.Client, id string, options []client.Option) (types.Lease, error) {
					return c.ForgetLease(ctx, id, types.ForgetSpec{Reason: flags.reason}, options...)
				},
			}, &flags, args)
		},
	}
	cmd.Flags().StringVar(&flags.reason, "reason", "", "why; kept in the history")
	flags.addTo(a, cmd)
	return cmd
}

// completeLeases completes any number of ids.
func (a *app) completeLeases(states ...string) completion {
	return func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return a.complete(leaseIDs(states...))(cmd, nil, typed)
	}
}

// amount writes a number with its noun: "1 lease", "2 leases".
func amount(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}
