package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) envCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "env",
		Aliases: []string{"environment", "envs"},
		Short:   "Environments, where secrets live: app/env",
	}
	noun.AddCommand(a.envCreate(), a.envGet(), a.envList(), a.envUpdate(), a.envDelete())
	return noun
}

func (a *app) envCreate() *cobra.Command {
	var change changeFlags
	var spec types.EnvironmentSpec
	cmd := &cobra.Command{
		Use:     "create APP/ENV",
		Short:   "Make an environment",
		Example: "  brokerctl env create payments/production --description 'the real one'",
		Args:    exactly("APP/ENV"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			spec.Name = args[0]
			made, err := c.CreateEnvironment(cmd.Context(), spec, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "created", "environment "+made.Name)
			return a.changed(made, made.Name, made.Warnings)
		},
	}
	cmd.Flags().StringVar(&spec.Description, "description", "", "what it is for")
	change.addTo(cmd, false)
	a.answers(cmd, types.Environment{})
	return cmd
}

func (a *app) envGet() *cobra.Command {
	return &cobra.Command{
		Use:               "get APP/ENV",
		Short:             "Show an environment",
		Args:              exactly("APP/ENV"),
		ValidArgsFunction: a.complete(environmentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.GetEnvironment(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(found, found.Name, []row{
				{"Name", found.Name},
				{"Description", found.Description},
				{"Created", a.full(found.CreatedAt)},
				{"Updated", a.full(found.UpdatedAt)},
				{"Being deleted by", found.BeingDeletedBy},
				{"Version", number(found.Version)},
			})
		},
	}
}

func (a *app) envList() *cobra.Command {
	var flags listFlags
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List environments",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.Environment, string, error) {
				page, err := c.ListEnvironments(cmd.Context(), o)
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return list(a, found, func(e types.Environment) string { return e.Name },
				[]string{"NAME", "CREATED", "DESCRIPTION"},
				func(e types.Environment) []string { return []string{e.Name, a.when(e.CreatedAt), e.Description} })
		},
	}
	flags.addTo(cmd)
	return cmd
}

func (a *app) envUpdate() *cobra.Command {
	var change changeFlags
	var description string
	cmd := &cobra.Command{
		Use:               "update APP/ENV",
		Short:             "Change an environment",
		Args:              exactly("APP/ENV"),
		ValidArgsFunction: a.complete(environmentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			var wanted types.EnvironmentChange
			if cmd.Flags().Changed("description") {
				wanted.Description = &description
			} else {
				return usage("nothing to change is given")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			changed, err := c.UpdateEnvironment(cmd.Context(), args[0], wanted, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "updated", "environment "+changed.Name)
			return a.changed(changed, changed.Name, changed.Warnings)
		},
	}
	cmd.Flags().StringVar(&description, "description", "", "what it is for")
	change.addTo(cmd, true)
	a.answers(cmd, types.Environment{})
	return cmd
}

func (a *app) envDelete() *cobra.Command {
	var change changeFlags
	var removal removalFlags
	cmd := &cobra.Command{
		Use:               "delete APP/ENV",
		Aliases:           []string{"rm"},
		Short:             "Delete an environment that holds nothing, or with its secrets and leases",
		Args:              exactly("APP/ENV"),
		ValidArgsFunction: a.complete(environmentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.remove(cmd.Context(), &change, &removal, "environment "+args[0], func(c *client.Client, options []client.Option) error {
				return c.DeleteEnvironment(cmd.Context(), args[0], options...)
			}, func(c *client.Client, options []client.Option) (types.Operation, error) {
				return c.DeleteEnvironmentWithLeases(cmd.Context(), args[0], removal.reason, options...)
			})
		},
	}
	removal.addTo(cmd, "its secrets")
	change.addTo(cmd, true)
	return cmd
}

// delete asks for a confirmation, deletes and tells.
func (a *app) delete(change *changeFlags, what string, do func(*client.Client, []client.Option) error) error {
	if !change.dryRun {
		if err := a.confirm("Deleting " + what); err != nil {
			return err
		}
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	if err := do(c, change.options()); err != nil {
		return err
	}
	change.done(a, "deleted", what)
	return nil
}

// changed prints what was made or changed for programs that asked for it; people got a note.
func (a *app) changed(object any, name string, warnings []string) error {
	a.warn(warnings...)
	if a.format == "table" && a.field == "" {
		return nil
	}
	err := a.show(object, name, nil)
	var wrong *usageError
	if errors.As(err, &wrong) {
		// Wrong usage means that nothing was done.
		return &hintedError{err: fmt.Errorf("it was done, but %s", wrong), hint: wrong.hint}
	}
	return err
}

func pointed(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return *at
}
