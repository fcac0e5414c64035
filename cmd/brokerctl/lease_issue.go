package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) leaseIssue() *cobra.Command {
	var change changeFlags
	var spec types.IssueSpec
	var ttlText, path string
	var labelTexts []string
	var force bool
	cmd := &cobra.Command{
		Use:   "issue APP/ENV/NAME",
		Short: "Issue a lease: make a credential and show its values once",
		Long: `Issue a lease: make a credential and show its values once. They cannot be shown again.

-o env prints lines for a shell ("export DB_USER='…'"), -o dotenv lines of a .env file. With --out
the values go into a file that only its owner can read; one that exists is not overwritten without
--force.`,
		Example: `  brokerctl lease issue payments/production/orders-ro --ttl 30m --name debugging
  eval "$(brokerctl lease issue payments/production/orders-ro -o env)"
  brokerctl lease issue payments/production/orders-ro --out .env
  psql "$(brokerctl lease issue payments/production/orders-ro --field DATABASE_URL)"`,
		Annotations:       map[string]string{annotationVariables: "yes"},
		Args:              exactly("APP/ENV/NAME"),
		ValidArgsFunction: a.complete(secretNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, _, err := client.SplitSecret(args[0]); err != nil {
				return &usageError{err: err}
			}
			var err error
			if spec.TTL, err = ttl("ttl", ttlText); err != nil {
				return err
			}
			if spec.Labels, err = labels(labelTexts); err != nil {
				return err
			}
			if path != "" && a.field != "" {
				return usage("--out and --field exclude each other")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if path == "" || change.dryRun {
				issued, err := c.IssueLease(cmd.Context(), args[0], spec, change.options()...)
				if err != nil {
					return err
				}
				a.warn(issued.Warnings...)
				return a.showIssued(issued, change.dryRun)
			}
			// The file is made sure of before there are values to lose.
			out, err := newSecretFile(path, force)
			if err != nil {
				return err
			}
			defer out.abandon()
			issued, err := c.IssueLease(cmd.Context(), args[0], spec, change.options()...)
			if err != nil {
				return err
			}
			a.warn(issued.Warnings...)
			return a.saveIssued(cmd.Context(), c, issued, out)
		},
	}
	f := cmd.Flags()
	f.StringVar(&ttlText, "ttl", "", "how long it lives, e.g. 30m; the secret's default unless said")
	f.StringVar(&spec.Name, "name", "", "what it is called; the secret's name unless said")
	f.StringArrayVar(&labelTexts, "label", nil, "a label as k=v; repeatable")
	f.StringVar(&path, "out", "", "write the values to this file, mode 0600")
	f.BoolVar(&force, "force", false, "overwrite the file of --out")
	change.addTo(cmd, false)
	return cmd
}

// showIssued prints a new lease with its values.
func (a *app) showIssued(issued types.Issued, dryRun bool) error {
	if dryRun {
		a.note("a lease would be issued (dry run)")
		return a.show(issued.Lease, issued.Lease.ID, a.leaseRows(issued.Lease))
	}
	switch {
	case a.field != "":
		if value, ok := issued.Values.Get(a.field); ok {
			a.noteLease(issued.Lease)
			_, err := fmt.Fprintln(a.out, value)
			return err
		}
		// The lease exists, whatever the field: its id must not be lost.
		a.noteLease(issued.Lease)
		return a.showField(issued)
	case a.format == "table":
		return a.tableOfIssued(issued)
	case a.format == "name":
		_, err := fmt.Fprintln(a.out, issued.Lease.ID)
		return err
	case a.format == "env" || a.format == "dotenv":
		a.noteLease(issued.Lease)
	}
	text, err := a.formatIssued(issued)
	if err != nil {
		return err
	}
	_, err = a.out.Write(text)
	return err
}

func (a *app) tableOfIssued(issued types.Issued) error {
	table := a.table()
	lease := issued.Lease
	for _, one := range []row{
		{"Lease ID", lease.ID}, {"Name", lease.Name}, {"Secret", lease.Secret},
		{"Expires at", a.full(lease.ExpiresAt)}, {"Renewable", lease.RenewableTTL.String()},
	} {
		fmt.Fprintf(table, "%s\t%s\n", a.title(one.title), clean(one.value))
	}
	if a.terminal {
		fmt.Fprintf(table, "\nCopy these values: they will not be shown again.\n\n")
	}
	for _, one := range issued.Values {
		// Values are not cleaned: a changed password is no password.
		fmt.Fprintf(table, "%s\t%s\n", one.Key, one.Value)
	}
	return table.Flush()
}

// noteLease keeps the id in sight where standard output holds values only.
func (a *app) noteLease(lease types.Lease) {
	a.note("lease %s expires at %s", lease.ID, lease.ExpiresAt.UTC().Format(time.RFC3339))
}

// formatIssued returns what a file or pipe gets.
func (a *app) formatIssued(issued types.Issued) ([]byte, error) {
	switch a.format {
	case "env":
		return shellLines(issued.Values)
	case "dotenv", "table", "name":
		return dotenvLines(issued.Values)
	}
	inner := *a
	var text captured
	inner.out = &text
	err := inner.encode(issued)
	return text, err
}

type captured []byte

// Write appends.
func (c *captured) Write(data []byte) (int, error) {
	*c = append(*c, data...)
	return len(data), nil
}

// saveIssued writes the values to the file. When that fails the lease is revoked: nobody has its values.
func (a *app) saveIssued(ctx context.Context, c *client.Client, issued types.Issued, out *secretFile) error {
	text, err := a.formatIssued(issued)
	if err == nil {
		err = out.commit(text)
	}
	if err != nil {
		_, revokeErr := c.RevokeLease(ctx, issued.Lease.ID, types.RevokeSpec{Reason: "its values could not be saved"})
		if revokeErr != nil {
			return fmt.Errorf("%w; revoking lease %s failed too: %w", err, issued.Lease.ID, revokeErr)
		}
		return fmt.Errorf("%w; lease %s was revoked", err, issued.Lease.ID)
	}
	a.noteLease(issued.Lease)
	a.note("its values are in %s", out.path)
	if a.quiet {
		_, err = fmt.Fprintln(a.out, issued.Lease.ID)
	}
	return err
}
