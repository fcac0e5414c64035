package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) secretTest() *cobra.Command {
	var dryRun bool
	var parameters []string
	cmd := &cobra.Command{
		Use:   "test APP/ENV/NAME",
		Short: "Try a secret out with a short lease, without showing its values",
		Long: `Try a secret out: issue an ordinary lease of a minute, log in with its values, renew it, revoke it,
and see that no log-in is accepted any more. Nobody is shown the values. Each step is one line: ok,
skipped, or FAILED with what went wrong and which privilege is missing. The exit code is 1 when a step
has failed. Whatever happens, the lease is revoked, or ends by itself within a minute.`,
		Example:           "  brokerctl secret test payments/production/orders-ro",
		Args:              exactly("APP/ENV/NAME"),
		ValidArgsFunction: a.complete(secretNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			var spec types.SecretTestSpec
			var err error
			if spec.Parameters, err = a.parameters(parameters); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if dryRun {
				found, err := c.TestSecret(cmd.Context(), args[0], spec, client.DryRun())
				if err != nil {
					return err
				}
				a.note("secret %s would be tested with a lease that ends %s (dry run)", args[0], a.full(found.Lease.ExpiresAt))
				return a.changed(found, found.Lease.ID, nil)
			}
			return a.testSecret(cmd.Context(), c, args[0], spec)
		},
	}
	cmd.Flags().StringArrayVar(&parameters, "param", nil, "what the provider takes besides, as k=v, k=@FILE or k=@-; repeatable")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only see whether a lease could be issued by the broker's own rules")
	a.answers(cmd, types.SecretTest{})
	return cmd
}

// testSecret has a secret tested and shows how it went.
func (a *app) testSecret(ctx context.Context, c *client.Client, name string, spec types.SecretTestSpec) error {
	found, err := c.TestSecret(ctx, name, spec)
	if err != nil {
		return err
	}
	if a.format == "table" && a.field == "" {
		err = a.testSteps(found)
	} else {
		err = a.show(found, found.Lease.ID, nil)
	}
	if err != nil {
		return err
	}
	if found.Passed {
		a.note("secret %s works", found.Secret)
		return nil
	}
	var failed []string
	hint := "brokerctl lease history " + found.Lease.ID + " tells more"
	for _, one := range found.Steps {
		if one.Result == types.TestFailed {
			failed = append(failed, stepTitle(one.Step))
			hint = first(one.Hint, hint)
		}
	}
	return &hintedError{err: fmt.Errorf("secret %s does not work: %s", found.Secret, strings.Join(failed, ", ")), hint: hint}
}

// testSteps prints a line for each step.
func (a *app) testSteps(found types.SecretTest) error {
	table := a.table()
	for _, one := range found.Steps {
		result, took := one.Result, ""
		switch one.Result {
		case types.TestFailed:
			result = "FAILED"
			fallthrough
		case types.TestOK:
			took = (time.Duration(one.TookMS) * time.Millisecond).String()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", result, stepTitle(one.Step), took, clean(first(one.Error, one.Reason)))
	}
	if found.Lease.ID != "" {
		fmt.Fprintf(table, "%s\t%s\t\t%s\n", found.Lease.State, "lease", found.Lease.ID)
	}
	return table.Flush()
}

// stepTitle is what people call a step.
func stepTitle(step string) string {
	switch step {
	case "log_in":
		return "log in"
	case "log_in_refused":
		return "log in again, to be refused"
	}
	return step
}

func (a *app) secretPreview() *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use:   "preview APP/ENV/NAME",
		Short: "Show the login's name and what a lease would do at the outside system, and do nothing",
		Long: `Show the login's name and what a lease would do at the outside system. Nothing is called and nothing
changed. The name's unique part, drawn for each lease, is shown as x, secret values as placeholders.

For a secret that is not saved yet, "brokerctl secret create --dry-run" shows the same.`,
		Example: `  brokerctl secret preview payments/production/orders-ro
  brokerctl secret preview payments/production/orders-ro --account ci`,
		Args:              exactly("APP/ENV/NAME"),
		ValidArgsFunction: a.complete(secretNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.PreviewSecret(cmd.Context(), args[0], account)
			if err != nil {
				return err
			}
			return a.show(found, found.Username, previewRows(found))
		},
	}
	cmd.Flags().StringVar(&account, "account", "", "whose lease (default: your own)")
	a.completeFlag(cmd, "account", accountNames)
	a.answers(cmd, types.SecretPreview{})
	return cmd
}

func previewRows(found types.SecretPreview) []row {
	rows := []row{{"Username", found.Username}, {"Connection", found.Connection}, {"Provider", found.Provider}}
	for _, one := range found.Steps {
		rows = append(rows, row{"Step", one})
	}
	return rows
}

// offerTest says how to try a secret out that was just saved.
func (a *app) offerTest(name string) { a.note("try it: brokerctl secret test %s", name) }

// showPreview shows on a dry run what leases of the secret would do.
func (a *app) showPreview(s types.Secret) error {
	if s.Preview == nil || a.format != "table" || a.field != "" {
		return nil
	}
	return a.show(s.Preview, s.Preview.Username, previewRows(*s.Preview))
}
