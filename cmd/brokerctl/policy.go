package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) policyCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "policy",
		Aliases: []string{"policies"},
		Short:   "Policies: rules in Cedar that permit besides roles, and forbid whatever else permits",
		Example: `  brokerctl policy check short-leases.cedar
  brokerctl policy create short-leases --file short-leases.cedar`,
	}
	noun.AddCommand(a.policyCreate(), a.policyGet(), a.policyList(), a.policyUpdate(), a.policyDelete(), a.policyCheck())
	return noun
}

// policyText reads a policy's text from a file, or from standard input when it is called -.
func (a *app) policyText(path string) (string, error) {
	if path == "" {
		return "", &usageError{err: fmt.Errorf("--file is required"), hint: "--file FILE, or --file - for standard input"}
	}
	in := a.in
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", usage("reading the policy: %w", err)
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err != nil {
		return "", fmt.Errorf("reading the policy: %w", err)
	}
	return string(text), nil
}

func (a *app) policyCreate() *cobra.Command {
	var change changeFlags
	var spec types.PolicySpec
	var file string
	cmd := &cobra.Command{
		Use:     "create NAME --file FILE",
		Short:   "Make a policy",
		Example: `  brokerctl policy create short-leases --file short-leases.cedar --description 'an hour in production'`,
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			spec.Name = args[0]
			if spec.Text, err = a.policyText(file); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			made, err := c.CreatePolicy(cmd.Context(), spec, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "created", "policy "+made.Name)
			return a.changed(made, made.Name, made.Warnings)
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "the text; -: standard input")
	cmd.Flags().StringVar(&spec.Description, "description", "", "what it is for")
	change.addTo(cmd, false)
	a.answers(cmd, types.Policy{})
	return cmd
}

func (a *app) policyGet() *cobra.Command {
	return &cobra.Command{
		Use:               "get NAME",
		Short:             "Show a policy; --field text prints its text alone",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(policyNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.GetPolicy(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			err = a.show(found, found.Name, []row{
				{"Name", found.Name},
				{"Description", found.Description},
				{"Created", a.full(found.CreatedAt)},
				{"Updated", a.full(found.UpdatedAt)},
				{"Version", number(found.Version)},
			})
			if err != nil || a.format != "table" || a.field != "" {
				return err
			}
			fmt.Fprintln(a.out)
			for line := range strings.Lines(found.Text) {
				if _, err = fmt.Fprintln(a.out, strings.TrimRight(clean(line), " ")); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (a *app) policyList() *cobra.Command {
	var flags listFlags
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List policies",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.Policy, string, error) {
				page, err := c.ListPolicies(cmd.Context(), o)
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return list(a, found, func(p types.Policy) string { return p.Name }, []string{"NAME", "UPDATED", "DESCRIPTION"},
				func(p types.Policy) []string { return []string{p.Name, a.when(p.UpdatedAt), p.Description} })
		},
	}
	flags.addTo(cmd)
	return cmd
}

func (a *app) policyUpdate() *cobra.Command {
	var change changeFlags
	var file, description string
	cmd := &cobra.Command{
		Use:               "update NAME",
		Short:             "Change a policy's text or description",
		Example:           `  brokerctl policy update short-leases --file short-leases.cedar`,
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(policyNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			var wanted types.PolicyChange
			if cmd.Flags().Changed("description") {
				wanted.Description = &description
			}
			if cmd.Flags().Changed("file") {
				text, err := a.policyText(file)
				if err != nil {
					return err
				}
				wanted.Text = &text
			}
			if wanted == (types.PolicyChange{}) {
				return usage("nothing to change is given")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			changed, err := c.UpdatePolicy(cmd.Context(), args[0], wanted, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "updated", "policy "+changed.Name)
			return a.changed(changed, changed.Name, changed.Warnings)
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "the new text; -: standard input")
	cmd.Flags().StringVar(&description, "description", "", "what it is for")
	change.addTo(cmd, true)
	a.answers(cmd, types.Policy{})
	return cmd
}

func (a *app) policyDelete() *cobra.Command {
	var change changeFlags
	cmd := &cobra.Command{
		Use:               "delete NAME",
		Aliases:           []string{"rm"},
		Short:             "Delete a policy: what it forbade is allowed again to whoever has a role for it",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(policyNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.delete(&change, "policy "+args[0], func(c *client.Client, options []client.Option) error {
				return c.DeletePolicy(cmd.Context(), args[0], options...)
			})
		},
	}
	change.addTo(cmd, true)
	return cmd
}

func (a *app) policyCheck() *cobra.Command {
	name := "checked"
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Have the broker look whether a text could be a policy; nothing is changed",
		Args:  exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := a.policyText(args[0])
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("name") {
				_, err = c.UpdatePolicy(cmd.Context(), name, types.PolicyChange{Text: &text}, client.DryRun())
			} else {
				_, err = c.CreatePolicy(cmd.Context(), types.PolicySpec{Name: name, Text: text}, client.DryRun())
			}
			var problem *types.Problem
			if errors.As(err, &problem) && problem.Code == "already_exists" {
				err = nil // there is a policy of that name, and the text was looked at before
			}
			if err != nil {
				return err
			}
			a.note("%s could be in force", args[0])
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", name, "look as well whether it could take the place of this policy's text")
	a.completeFlag(cmd, "name", policyNames)
	return cmd
}

func policyNames(ctx context.Context, c *client.Client) ([]string, error) {
	page, err := c.ListPolicies(ctx, manyNames(), client.WithConsistency(types.Stale))
	return namesOf(page.Items, func(p types.Policy) string { return p.Name }), err
}
