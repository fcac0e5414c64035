package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) lockCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "lock [ENVIRONMENT]",
		Aliases: []string{"locks"},
		Short:   "Locks: stop issue and renew for a while",
		Long: `Locks stop issue and renew for an environment, an account, a secret, a connection or a label.
They touch no lease that exists; --revoke ends those, too, once the lock is in force.

"brokerctl lock 'payments/*' --reason …" is short for "brokerctl lock create 'payments/*' --reason …".`,
		Example: "  brokerctl lock 'payments/*' --reason 'a laptop was stolen' --revoke",
	}
	create := a.lockMaking(noun)
	noun.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 && (args[0] == "*" || strings.Contains(args[0], "/")) {
			return nil
		}
		return a.noArguments(cmd, args)
	}
	noun.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 && cmd.Flags().NFlag() == 0 {
			return cmd.Help()
		}
		return create(cmd, args)
	}
	noun.AddCommand(a.lockCreate(), a.lockGet(), a.lockList(), a.lockUpdate(), a.lockDelete("delete ID", "rm"))
	return noun
}

// unlockCommand is "lock delete" under the name that one looks for.
func (a *app) unlockCommand() *cobra.Command { return a.lockDelete("unlock ID") }

func (a *app) lockCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create [ENVIRONMENT]",
		Short: "Stop issue and renew, and revoke what is there when asked to",
		Long: `Stop issue and renew for what all given parts cover: an environment (app/env, app/* or *) and, or
instead of it, --account, --secret, --connection, --label. With --revoke the leases that it covers
are revoked once the lock is in force, so that none is issued behind it.`,
		Example: `  brokerctl lock create 'payments/*' --reason 'a laptop was stolen' --revoke --wait
  brokerctl lock create --account ci --reason 'a token leaked' --ttl 2h
  brokerctl lock create payments/production --connection orders-db --reason maintenance --until 2026-01-31T12:00:00Z`,
		Args: atMostOne("ENVIRONMENT"),
	}
	cmd.RunE = a.lockMaking(cmd)
	a.answers(cmd, types.Locked{})
	return cmd
}

// lockMaking gives a command the flags for making a lock and returns what makes it.
func (a *app) lockMaking(cmd *cobra.Command) func(*cobra.Command, []string) error {
	var change changeFlags
	var until untilFlags
	var spec types.LockSpec
	var wait bool
	flags := cmd.Flags()
	flags.StringVar(&spec.Scope.Account, "account", "", "leases of this account")
	flags.StringVar(&spec.Scope.Secret, "secret", "", "leases of this secret: app/env/name")
	flags.StringVar(&spec.Scope.Connection, "connection", "", "leases of this connection")
	flags.StringVar(&spec.Scope.Label, "label", "", "leases with this label, or of secrets with it: k=v")
	flags.StringVar(&spec.Reason, "reason", "", "why; shown to everybody whom it stops")
	flags.BoolVar(&spec.Revoke, "revoke", false, "revoke the leases that it covers, too")
	flags.BoolVar(&wait, "wait", false, "with --revoke: wait until they are revoked and show progress")
	until.addTo(cmd, "hold until")
	change.addTo(cmd, false)
	a.completeFlag(cmd, "account", accountNames)
	a.completeFlag(cmd, "secret", secretNames)
	a.completeFlag(cmd, "connection", connectionNames)
	cmd.ValidArgsFunction = a.complete(environmentNames)
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			spec.Scope.Environment = args[0]
		}
		switch {
		case spec.Scope == (types.LockScope{}):
			return usage("want an environment, --account, --secret, --connection or --label")
		case spec.Reason == "":
			return usage("--reason is required: those whom it stops will wonder")
		case wait && !spec.Revoke:
			return usage("--wait goes with --revoke")
		}
		var err error
		if spec.Until, spec.TTL, err = until.read(); err != nil {
			return err
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		if spec.Revoke && !change.dryRun {
			tried, err := c.CreateLock(cmd.Context(), spec, client.DryRun())
			if err != nil {
				return err
			}
			if err := a.confirm("Locking " + scopeText(spec.Scope) + " and revoking " + amount(totalOf(tried.Operation), "lease")); err != nil {
				return err
			}
		}
		made, err := c.CreateLock(cmd.Context(), spec, change.options()...)
		if err != nil {
			return err
		}
		return a.locked(cmd.Context(), c, made, change.dryRun, wait)
	}
}

// locked tells of a new lock and of what revokes behind it.
func (a *app) locked(ctx context.Context, c *client.Client, made types.Locked, dryRun, wait bool) error {
	scope := scopeText(made.Lock.Scope)
	if dryRun {
		text := scope + " would be locked"
		if made.Operation != nil {
			text += " and " + amount(made.Operation.Total, "lease") + " revoked"
		}
		a.note("%s (dry run)", text)
		return a.changed(made, made.Lock.ID, made.Lock.Warnings)
	}
	a.note("lock %s is in force: %s", made.Lock.ID, scope)
	if made.Operation != nil && !wait {
		a.note("operation %s revokes %s; watch it: brokerctl operation wait %s", made.Operation.ID, amount(made.Operation.Total, "lease"), made.Operation.ID)
	}
	if made.Operation != nil && wait {
		done, err := a.await(ctx, c, *made.Operation)
		if err != nil {
			return err
		}
		made.Operation = &done
	}
	return a.changed(made, made.Lock.ID, made.Lock.Warnings)
}

func (a *app) lockGet() *cobra.Command {
	return &cobra.Command{
		Use:               "get ID",
		Short:             "Show a lock",
		Args:              exactly("ID"),
		ValidArgsFunction: a.complete(lockIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.GetLock(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(found, found.ID, []row{
				{"ID", found.ID},
				{"Covers", scopeText(found.Scope)},
				{"State", lockState(found)},
				{"Reason", found.Reason},
				{"Until", first(a.full(pointed(found.Until)), "it is deleted")},
				{"By", found.By},
				{"Created", a.full(found.CreatedAt)},
				{"Updated", a.full(found.UpdatedAt)},
				{"Version", number(found.Version)},
			})
		},
	}
}

func (a *app) lockList() *cobra.Command {
	var flags listFlags
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List locks, oldest first",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.Lock, string, error) {
				page, err := c.ListLocks(cmd.Context(), o)
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return list(a, found, func(l types.Lock) string { return l.ID },
				[]string{"ID", "STATE", "COVERS", "UNTIL", "BY", "CREATED", "REASON"},
				func(l types.Lock) []string {
					return []string{l.ID, lockState(l), scopeText(l.Scope), first(a.when(pointed(l.Until)), "-"), l.By, a.when(l.CreatedAt), l.Reason}
				})
		},
	}
	flags.addTo(cmd)
	return cmd
}

func (a *app) lockUpdate() *cobra.Command {
	var change changeFlags
	var until untilFlags
	var reason string
	var wanted types.LockChange
	cmd := &cobra.Command{
		Use:               "update ID",
		Short:             "Change a lock's reason or end",
		Example:           "  brokerctl lock update 01JZ0000000000000000000000 --ttl 2h",
		Args:              exactly("ID"),
		ValidArgsFunction: a.complete(lockIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("reason") {
				wanted.Reason = &reason
			}
			at, length, err := until.read()
			if err != nil {
				return err
			}
			if wanted.TTL = length; !at.IsZero() {
				wanted.Until = &at
			}
			if wanted == (types.LockChange{}) {
				return usage("nothing to change is given")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			changed, err := c.UpdateLock(cmd.Context(), args[0], wanted, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "updated", "lock "+changed.ID)
			return a.changed(changed, changed.ID, changed.Warnings)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; shown to everybody whom it stops")
	cmd.Flags().BoolVar(&wanted.NoEnd, "no-end", false, "hold until it is deleted")
	until.addTo(cmd, "hold until")
	change.addTo(cmd, true)
	a.answers(cmd, types.Lock{})
	return cmd
}

func (a *app) lockDelete(use string, aliases ...string) *cobra.Command {
	var change changeFlags
	cmd := &cobra.Command{
		Use:               use,
		Aliases:           aliases,
		Short:             "End a lock: what it covered can be issued and renewed again",
		Args:              exactly("ID"),
		ValidArgsFunction: a.complete(lockIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.delete(&change, "lock "+args[0], func(c *client.Client, options []client.Option) error {
				return c.DeleteLock(cmd.Context(), args[0], options...)
			})
		},
	}
	change.addTo(cmd, true)
	return cmd
}

func lockState(l types.Lock) string {
	if l.InForce {
		return "in force"
	}
	return "over"
}

// scopeText names what a lock covers.
func scopeText(s types.LockScope) string {
	text := types.LeaseSelector{Secret: s.Secret, Connection: s.Connection, Account: s.Account}
	if s.Environment != "" {
		text.Environment = []string{s.Environment}
	}
	if s.Label != "" {
		text.Label = []string{s.Label}
	}
	return selectorText(text)
}

func totalOf(op *types.Operation) uint64 {
	if op == nil {
		return 0
	}
	return op.Total
}

func lockIDs(ctx context.Context, c *client.Client) ([]string, error) {
	page, err := c.ListLocks(ctx, manyNames(), client.WithConsistency(types.Stale))
	return namesOf(page.Items, func(l types.Lock) string { return l.ID + "\t" + scopeText(l.Scope) }), err
}
