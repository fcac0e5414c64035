package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) accountCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "account",
		Aliases: []string{"accounts"},
		Short:   "Accounts: people and programs, and how they sign in",
	}
	noun.AddCommand(a.accountGet(), a.accountList(), a.accountCreate(), a.accountUpdate(), a.accountDisable(), a.accountEnable(),
		a.accountDelete(), a.accountPassword(), a.clientSecretCommand())
	return noun
}

func (a *app) accountGet() *cobra.Command {
	return &cobra.Command{
		Use:               "get NAME",
		Short:             "Show an account",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.GetAccount(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			rows := []row{{"Name", found.Name}, {"Kind", found.Kind}, {"Description", found.Description}, {"Groups", strings.Join(found.Groups, " ")}}
			if found.HasPassword {
				rows = append(rows, row{"Password", "yes"})
			}
			if found.Disabled {
				rows = append(rows, row{"Disabled", "yes"})
			}
			return a.show(found, found.Name, append(rows,
				row{"Live leases", number(found.LiveLeases)},
				row{"Max leases", limitText(found.MaxLeases)},
				row{"Issue rate", first(found.IssueRate, "no limit")},
				row{"Being deleted by", found.BeingDeletedBy},
				row{"Created", a.full(found.CreatedAt)},
				row{"Version", number(found.Version)},
			))
		},
	}
}

func (a *app) accountList() *cobra.Command {
	var flags listFlags
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List accounts",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.Account, string, error) {
				page, err := c.ListAccounts(cmd.Context(), o)
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return list(a, found, func(one types.Account) string { return one.Name },
				[]string{"NAME", "KIND", "STATE", "LIVE LEASES", "MAX LEASES", "ISSUE RATE", "CREATED"},
				func(one types.Account) []string {
					return []string{one.Name, one.Kind, accountState(one), number(one.LiveLeases), limitText(one.MaxLeases), first(one.IssueRate, "no limit"), a.when(one.CreatedAt)}
				})
		},
	}
	flags.addTo(cmd)
	return cmd
}

func (a *app) accountCreate() *cobra.Command {
	var change changeFlags
	var limits limitFlags
	var spec types.AccountSpec
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make an account, which may do nothing yet",
		Example: `  brokerctl account create alice --kind user
  brokerctl account create payments-api --kind service --description 'the payments service' --max-leases 20`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if spec.Kind == "" {
				return usage("--kind is missing: user for a person, service for a program")
			}
			spec.Name, spec.MaxLeases = args[0], limits.maxLeases
			if spec.IssueRate, err = limits.rate(); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			made, err := c.CreateAccount(cmd.Context(), spec, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "created", "account "+made.Name)
			return a.changed(made, made.Name, made.Warnings)
		},
	}
	cmd.Flags().StringVar(&spec.Kind, "kind", "", "user: a person, or service: a program")
	cmd.Flags().StringVar(&spec.Description, "description", "", "what it is for")
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions([]string{"user", "service"}, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	limits.addTo(cmd)
	change.addTo(cmd, false)
	a.answers(cmd, types.Account{})
	return cmd
}

func (a *app) accountUpdate() *cobra.Command {
	var change changeFlags
	var limits limitFlags
	var enable, disable, wait bool
	var description string
	cmd := &cobra.Command{
		Use:   "update NAME",
		Short: "Change an account; disabling it revokes its leases",
		Example: `  brokerctl account update ci --max-leases 20 --issue-rate 10/1m
  brokerctl account update ci --disable --wait`,
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			var wanted types.AccountChange
			var err error
			if wanted.MaxLeases, wanted.IssueRate, err = limits.read(cmd); err != nil {
				return err
			}
			switch {
			case enable && disable:
				return usage("--enable and --disable exclude each other")
			case enable || disable:
				wanted.Disabled = &disable
			case wait:
				return usage("--wait goes with --disable")
			}
			if cmd.Flags().Changed("description") {
				wanted.Description = &description
			}
			if wanted == (types.AccountChange{}) {
				return usage("nothing to change is given")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if disable && !change.dryRun {
				found, err := c.GetAccount(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if err := a.confirm("Disabling account " + found.Name + " and revoking " + amount(found.LiveLeases, "lease")); err != nil {
					return err
				}
			}
			changed, err := c.UpdateAccount(cmd.Context(), args[0], wanted, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "updated", "account "+changed.Name)
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
	cmd.Flags().StringVar(&description, "description", "", "what it is for")
	cmd.Flags().BoolVar(&disable, "disable", false, "refuse its tokens and revoke its leases")
	cmd.Flags().BoolVar(&enable, "enable", false, "let it in again")
	cmd.Flags().BoolVar(&wait, "wait", false, "with --disable: wait until its leases are revoked")
	limits.addTo(cmd)
	change.addTo(cmd, true)
	a.answers(cmd, types.Account{})
	return cmd
}

func (a *app) accountDelete() *cobra.Command {
	var change changeFlags
	var removal removalFlags
	cmd := &cobra.Command{
		Use:               "delete NAME",
		Aliases:           []string{"rm"},
		Short:             "Delete an account that holds no live leases, with its tokens",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.remove(cmd.Context(), &change, &removal, "account "+args[0], func(c *client.Client, options []client.Option) error {
				return c.DeleteAccount(cmd.Context(), args[0], options...)
			}, func(c *client.Client, options []client.Option) (types.Operation, error) {
				return c.DeleteAccountWithLeases(cmd.Context(), args[0], removal.reason, options...)
			})
		},
	}
	removal.addTo(cmd, "its leases")
	change.addTo(cmd, true)
	return cmd
}

func accountState(one types.Account) string {
	switch {
	case one.BeingDeletedBy != "":
		return "being deleted"
	case one.Disabled:
		return "disabled"
	}
	return "enabled"
}

func accountNames(ctx context.Context, c *client.Client) ([]string, error) {
	page, err := c.ListAccounts(ctx, manyNames(), client.WithConsistency(types.Stale))
	return namesOf(page.Items, func(one types.Account) string { return one.Name }), err
}

// limitFlags are the limits of secrets and accounts.
type limitFlags struct {
	maxLeases uint64
	issueRate string
}

func (f *limitFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().Uint64Var(&f.maxLeases, "max-leases", 0, "live leases at one time; 0: no limit")
	cmd.Flags().StringVar(&f.issueRate, "issue-rate", "", "leases in a length of time, e.g. 10/1m; empty: no limit")
}

// read returns the flags that were given; nil is what was not.
func (f *limitFlags) read(cmd *cobra.Command) (maxLeases *uint64, issueRate *string, err error) {
	if cmd.Flags().Changed("max-leases") {
		maxLeases = &f.maxLeases
	}
	if cmd.Flags().Changed("issue-rate") {
		text, err := f.rate()
		return maxLeases, &text, err
	}
	return maxLeases, nil, nil
}

// rate reads the rate before anything is asked of the broker.
func (f *limitFlags) rate() (string, error) {
	rate, err := types.ParseRate(f.issueRate)
	if err != nil {
		return "", usage("--issue-rate %w", err)
	}
	return rate.String(), nil
}

func limitText(most uint64) string {
	if most == 0 {
		return "no limit"
	}
	return number(most)
}
