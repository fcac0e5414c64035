package main

import (
	"context"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

// removalFlags are the flags of deleting what leases belong to.
type removalFlags struct {
	revokeLeases bool
	reason       string
	wait         bool
}

func (f *removalFlags) addTo(cmd *cobra.Command, along string) {
	cmd.Flags().BoolVar(&f.revokeLeases, "revoke-leases", false, "refuse new leases, revoke those that exist, then delete it with "+along)
	cmd.Flags().StringVar(&f.reason, "reason", "", "with --revoke-leases: why; kept in the history")
	cmd.Flags().BoolVar(&f.wait, "wait", false, "with --revoke-leases: wait until it is deleted and show progress")
}

// remove deletes at once, or begins the deletion of what has leases; the confirmation names how many.
func (a *app) remove(ctx context.Context, change *changeFlags, flags *removalFlags, what string, atOnce func(*client.Client, []client.Option) error, withLeases func(*client.Client, []client.Option) (types.Operation, error)) error {
	if !flags.revokeLeases {
		if flags.reason != "" || flags.wait {
			return usage("--reason and --wait go with --revoke-leases")
		}
		return a.delete(change, what, atOnce)
	}
	if err := a.checkAnswer(types.Operation{}); err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	tried, err := withLeases(c, []client.Option{client.IfVersion(change.ifVersion), client.DryRun()})
	if err != nil {
		return err
	}
	along := " with " + amount(tried.Total, "lease")
	if tried.Secrets > 0 {
		along = " with " + amount(tried.Secrets, "secret") + " and " + amount(tried.Total, "lease")
	}
	if change.dryRun {
		change.done(a, "deleted"+along, what)
		return a.changed(tried, what, nil)
	}
	if err := a.confirm("Deleting " + what + along); err != nil {
		return err
	}
	op, err := withLeases(c, change.options())
	if err != nil {
		return err
	}
	op.Warnings = nil // the confirmation has told it
	return a.follow(ctx, c, op, flags.wait)
}
