package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) groupCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "group",
		Aliases: []string{"groups"},
		Short:   "Groups: accounts that are given roles together",
	}
	noun.AddCommand(a.groupCreate(), a.groupGet(), a.groupList(), a.groupUpdate(), a.groupDelete(),
		a.groupMembers("add GROUP [ACCOUNT...]", "Take accounts into a group", func(names []string) types.GroupChange { return types.GroupChange{Add: names} }),
		a.groupMembers("remove GROUP [ACCOUNT...]", "Take accounts out of a group", func(names []string) types.GroupChange { return types.GroupChange{Remove: names} }))
	return noun
}

func (a *app) groupCreate() *cobra.Command {
	var change changeFlags
	var spec types.GroupSpec
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make a group",
		Example: "  brokerctl group create payments-team --account alice --account bob",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec.Name = args[0]
			c, err := a.client()
			if err != nil {
				return err
			}
			made, err := c.CreateGroup(cmd.Context(), spec, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "created", "group "+made.Name)
			return a.changed(made, made.Name, nil)
		},
	}
	cmd.Flags().StringVar(&spec.Description, "description", "", "what it is for")
	cmd.Flags().StringSliceVar(&spec.Members, "account", nil, "who is in it; repeatable")
	a.completeFlag(cmd, "account", accountNames)
	change.addTo(cmd, false)
	a.answers(cmd, types.Group{})
	return cmd
}

func (a *app) groupGet() *cobra.Command {
	return &cobra.Command{
		Use:               "get NAME",
		Short:             "Show a group",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(groupNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.GetGroup(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(found, found.Name, []row{
				{"Name", found.Name},
				{"Description", found.Description},
				{"Members", strings.Join(found.Members, " ")},
				{"Created", a.full(found.CreatedAt)},
				{"Updated", a.full(found.UpdatedAt)},
				{"Version", number(found.Version)},
			})
		},
	}
}

func (a *app) groupList() *cobra.Command {
	var flags listFlags
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List groups",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.Group, string, error) {
				page, err := c.ListGroups(cmd.Context(), o)
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return list(a, found, func(g types.Group) string { return g.Name },
				[]string{"NAME", "MEMBERS", "DESCRIPTION"},
				func(g types.Group) []string { return []string{g.Name, number(len(g.Members)), g.Description} })
		},
	}
	flags.addTo(cmd)
	return cmd
}

func (a *app) groupUpdate() *cobra.Command {
	var change changeFlags
	var description string
	cmd := &cobra.Command{
		Use:               "update NAME",
		Short:             "Change a group's description; add and remove change who is in it",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(groupNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("description") {
				return usage("nothing to change is given")
			}
			return a.updateGroup(cmd.Context(), args[0], types.GroupChange{Description: &description}, &change)
		},
	}
	cmd.Flags().StringVar(&description, "description", "", "what it is for")
	change.addTo(cmd, true)
	a.answers(cmd, types.Group{})
	return cmd
}

// groupMembers is a command that changes who is in a group.
func (a *app) groupMembers(use, short string, wanted func(names []string) types.GroupChange) *cobra.Command {
	var change changeFlags
	var names []string
	cmd := &cobra.Command{
		Use:     use,
		Short:   short,
		Example: "  brokerctl group " + strings.Fields(use)[0] + " payments-team alice bob",
		Args: func(cmd *cobra.Command, args []string) error {
			return exactly("GROUP")(cmd, args[:min(len(args), 1)])
		},
		ValidArgsFunction: a.complete(groupNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			all := slices.Concat(names, args[1:])
			if len(all) == 0 {
				return usage("whom? name accounts after the group")
			}
			return a.updateGroup(cmd.Context(), args[0], wanted(all), &change)
		},
	}
	cmd.Flags().StringSliceVar(&names, "account", nil, "whom, besides those named as arguments; repeatable")
	a.completeFlag(cmd, "account", accountNames)
	change.addTo(cmd, true)
	a.answers(cmd, types.Group{})
	return cmd
}

func (a *app) updateGroup(ctx context.Context, name string, wanted types.GroupChange, change *changeFlags) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	changed, err := c.UpdateGroup(ctx, name, wanted, change.options()...)
	if err != nil {
		return err
	}
	change.done(a, "updated", "group "+changed.Name)
	return a.changed(changed, changed.Name, nil)
}

func (a *app) groupDelete() *cobra.Command {
	var change changeFlags
	cmd := &cobra.Command{
		Use:               "delete NAME",
		Aliases:           []string{"rm"},
		Short:             "Delete a group; its members' accounts stay",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(groupNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if !change.dryRun {
				if err := a.confirm("Deleting group " + args[0]); err != nil {
					return err
				}
			}
			if err := c.DeleteGroup(cmd.Context(), args[0], change.options()...); err != nil {
				return err
			}
			change.done(a, "deleted", "group "+args[0])
			return nil
		},
	}
	change.addTo(cmd, true)
	return cmd
}

func groupNames(ctx context.Context, c *client.Client) ([]string, error) {
	page, err := c.ListGroups(ctx, manyNames(), client.WithConsistency(types.Stale))
	return namesOf(page.Items, func(g types.Group) string { return g.Name }), err
}
