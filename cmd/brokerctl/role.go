package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) roleCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "role",
		Aliases: []string{"roles"},
		Short:   "Roles: who may do what, and where",
		Long: `A role is a set of actions. Accounts and groups are given roles within a scope: everything (*), the environments
of an app (app/*), one environment (app/env) or one secret (app/env/secret). Nobody gives itself a role.`,
	}
	noun.AddCommand(a.roleList(), a.roleGet(), a.roleBind(), a.roleUnbind())
	return noun
}

// bindingFlags say who has a role where.
type bindingFlags struct{ account, group, scope string }

func (f *bindingFlags) addTo(a *app, cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.account, "account", "", "the account")
	cmd.Flags().StringVar(&f.group, "group", "", "or the group, that is all its members")
	cmd.Flags().StringVar(&f.scope, "scope", "", "where: *, app/*, app/env or app/env/secret")
	a.completeFlag(cmd, "account", accountNames)
}

// check refuses what names nobody or nowhere: that a role holds everywhere has to be said.
func (f *bindingFlags) check() error {
	switch {
	case (f.account == "") == (f.group == ""):
		return usage("want --account or --group, one of them")
	case f.scope == "":
		return &usageError{err: fmt.Errorf("--scope is required"), hint: "--scope 'payments/*' for one app, --scope payments/production for one environment, --scope '*' for everything"}
	}
	return nil
}

func (f *bindingFlags) String() string { return holderText(f.account, f.group) + " in " + f.scope }

func holderText(account, group string) string {
	if group != "" {
		return "group " + group
	}
	return "account " + account
}

func (a *app) roleList() *cobra.Command {
	var flags listFlags
	var filter client.BindingFilter
	cmd := &cobra.Command{
		Use:     "list [--bindings]",
		Aliases: []string{"ls"},
		Short:   "List roles, or with --bindings, --role, --account, --group or --scope who has them",
		Example: `  brokerctl role list
  brokerctl role list --bindings
  brokerctl role list --account ci`,
		Args: exactly(),
	}
	bindings := cmd.Flags().Bool("bindings", false, "list who has which role where, oldest first")
	cmd.Flags().StringVar(&filter.Role, "role", "", "bindings of this role")
	cmd.Flags().StringVar(&filter.Account, "account", "", "bindings of this account itself; those of its groups are theirs")
	cmd.Flags().StringVar(&filter.Group, "group", "", "bindings of this group")
	cmd.Flags().StringVar(&filter.Scope, "scope", "", "bindings with this very scope")
	flags.addTo(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		if *bindings || filter != (client.BindingFilter{}) {
			return a.listBindings(cmd.Context(), c, filter, flags)
		}
		page, err := c.ListRoles(cmd.Context())
		if err != nil {
			return err
		}
		return list(a, page.Items, func(r types.Role) string { return r.Name }, []string{"NAME", "ACTIONS", "WHAT IT IS FOR"},
			func(r types.Role) []string { return []string{r.Name, number(uint64(len(r.Actions))), r.Help} })
	}
	return cmd
}

func (a *app) listBindings(ctx context.Context, c *client.Client, filter client.BindingFilter, flags listFlags) error {
	found, err := collect(a, flags, func(o client.ListOptions) ([]types.RoleBinding, string, error) {
		page, err := c.ListRoleBindings(ctx, filter, o)
		return page.Items, page.NextCursor, err
	})
	if err != nil {
		return err
	}
	return list(a, found, func(b types.RoleBinding) string { return b.ID }, []string{"ID", "ROLE", "WHO", "SCOPE", "CREATED"},
		func(b types.RoleBinding) []string {
			return []string{b.ID, b.Role, holderText(b.Account, b.Group), b.Scope, a.when(b.CreatedAt)}
		})
}

func (a *app) roleGet() *cobra.Command {
	return &cobra.Command{
		Use:               "get NAME",
		Short:             "Show a role with its actions",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(roleNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.GetRole(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(found, found.Name, []row{{"Name", found.Name}, {"What it is for", found.Help}, {"Actions", strings.Join(found.Actions, " ")}})
		},
	}
}

func (a *app) roleBind() *cobra.Command {
	var change changeFlags
	var binding bindingFlags
	cmd := &cobra.Command{
		Use:   "bind ROLE",
		Short: "Give an account or a group a role",
		Example: `  brokerctl role bind developer --group payments-team --scope 'payments/*'
  brokerctl role bind service --account ci --scope payments/production/orders-ro`,
		Args:              exactly("ROLE"),
		ValidArgsFunction: a.complete(roleNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := binding.check(); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			spec := types.RoleBindingSpec{Role: args[0], Account: binding.account, Group: binding.group, Scope: binding.scope}
			made, err := c.CreateRoleBinding(cmd.Context(), spec, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "given to "+binding.String(), "role "+made.Role)
			return a.changed(made, made.ID, made.Warnings)
		},
	}
	binding.addTo(a, cmd)
	change.addTo(cmd, false)
	a.answers(cmd, types.RoleBinding{})
	return cmd
}

func (a *app) roleUnbind() *cobra.Command {
	var change changeFlags
	var binding bindingFlags
	cmd := &cobra.Command{
		Use:   "unbind ROLE|ID",
		Short: "Take a role away: by the flags it was given with, or by the binding's id",
		Example: `  brokerctl role unbind developer --group payments-team --scope 'payments/*'
  brokerctl role unbind 01JZ0000000000000000000000`,
		Args:              exactly("ROLE"),
		ValidArgsFunction: a.complete(roleNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, what := args[0], "binding "+args[0]
			c, err := a.client()
			if err != nil {
				return err
			}
			if binding != (bindingFlags{}) {
				if err := binding.check(); err != nil {
					return err
				}
				if id, err = bindingID(cmd.Context(), c, args[0], binding); err != nil {
					return err
				}
				what = "role " + args[0] + " of " + binding.String()
			} else if !strings.ContainsAny(id, "0123456789") {
				return &usageError{err: fmt.Errorf("want a binding's id, or a role with --account or --group and --scope"), hint: "brokerctl role list --bindings shows them"}
			}
			return a.delete(&change, what, func(c *client.Client, options []client.Option) error {
				return c.DeleteRoleBinding(cmd.Context(), id, options...)
			})
		},
	}
	binding.addTo(a, cmd)
	change.addTo(cmd, true)
	return cmd
}

// bindingID finds the one binding that flags describe.
func bindingID(ctx context.Context, c *client.Client, role string, of bindingFlags) (string, error) {
	page, err := c.ListRoleBindings(ctx, client.BindingFilter{Role: role, Account: of.account, Group: of.group, Scope: of.scope}, client.ListOptions{})
	if err != nil {
		return "", err
	}
	if len(page.Items) == 0 {
		return "", &types.Problem{Status: 404, Code: "not_found", Detail: fmt.Sprintf("%s does not have role %s in %s", holderText(of.account, of.group), role, of.scope), Hint: "brokerctl role list --bindings shows who has which role"}
	}
	return page.Items[0].ID, nil
}

func roleNames(ctx context.Context, c *client.Client) ([]string, error) {
	page, err := c.ListRoles(ctx, client.WithConsistency(types.Stale))
	return namesOf(page.Items, func(r types.Role) string { return r.Name + "\t" + r.Help }), err
}
