package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) leaseIssue() *cobra.Command {
	var change changeFlags
	var spec types.IssueSpec
	var ttlText, path string
	var labelTexts, parameterTexts []string
	var force bool
	cmd := &cobra.Command{
		Use:   "issue APP/ENV/NAME",
		Short: "Issue a lease: make a credential and show its values once",
		Long: `Issue a lease: make a credential and show its values once. They cannot be shown again.

-o env prints lines for a shell ("export DB_USER='…'"), -o dotenv lines of a .env file, --field KEY the
value of one key. With --out the values go into a file that only its owner can read; one that exists is
not overwritten without --force, and -q prints the lease's id besides. A lease whose values could not be
printed or saved is revoked.`,
		Example: `  brokerctl lease issue payments/production/orders-ro --ttl 30m --name debugging
  eval "$(brokerctl lease issue payments/production/orders-ro -o env)"
  brokerctl lease issue payments/production/orders-ro --out .env
  brokerctl lease issue payments/production/hosts --param public_key=@id_ed25519.pub --field CERTIFICATE
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
			if spec.Parameters, err = a.parameters(parameterTexts); err != nil {
				return err
			}
			if err := a.checkIssue(path, change.dryRun); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := a.checkKey(cmd.Context(), c, args[0]); err != nil {
				return err
			}
			var out *secretFile
			if path != "" && !change.dryRun {
				// The file is made sure of before there are values to lose.
				if out, err = newSecretFile(path, force); err != nil {
					return err
				}
				defer out.abandon()
			}
			// A pipe that nobody reads must be an error that is seen, not the program's end.
			signal.Ignore(syscall.SIGPIPE)
			issued, err := c.IssueLease(cmd.Context(), args[0], spec, change.options()...)
			if err != nil {
				return err
			}
			a.warn(issued.Warnings...)
			if change.dryRun {
				return a.showDryRun(issued)
			}
			return a.deliver(cmd.Context(), c, issued, out)
		},
	}
	f := cmd.Flags()
	f.StringVar(&ttlText, "ttl", "", "how long it lives, e.g. 30m; the secret's default unless said")
	f.StringVar(&spec.Name, "name", "", "what it is called; the secret's name unless said")
	f.StringArrayVar(&labelTexts, "label", nil, "a label as k=v; repeatable")
	f.StringArrayVar(&parameterTexts, "param", nil, "what the provider takes besides, as k=v, k=@FILE or k=@-; repeatable")
	f.StringVar(&path, "out", "", "write the values to this file, mode 0600")
	f.BoolVar(&force, "force", false, "overwrite the file of --out")
	change.addTo(cmd, false)
	return cmd
}

// checkIssue refuses what would leave a lease whose values nobody has.
func (a *app) checkIssue(path string, dryRun bool) error {
	switch {
	case dryRun:
		return nil
	case path != "" && a.field != "":
		return usage("--out and --field exclude each other")
	case path == "" && (a.quiet || a.format == "name"):
		err := usage("printing the id only would lose the values")
		err.hint = "add --out FILE, or take -o json, which holds both"
		return err
	}
	return nil
}

// checkKey refuses a --field that is none of the secret's keys, before there is a lease.
func (a *app) checkKey(ctx context.Context, c *client.Client, secret string) error {
	if a.field == "" {
		return nil
	}
	found, err := c.GetSecret(ctx, secret)
	if err != nil {
		return err
	}
	keys := make([]string, 0, len(found.Outputs))
	for _, one := range found.Outputs {
		if one.Key == a.field {
			return nil
		}
		keys = append(keys, one.Key)
	}
	return noField(a.field, keys)
}

func (a *app) showDryRun(issued types.Issued) error {
	a.note("a lease would be issued (dry run)")
	if a.field != "" {
		return nil // it has no value yet
	}
	return a.show(issued.Lease, issued.Lease.ID, a.leaseRows(issued.Lease))
}

// deliver prints the values, or saves them when there is a file. A lease whose values reached nobody
// is revoked.
func (a *app) deliver(ctx context.Context, c *client.Client, issued types.Issued, out *secretFile) error {
	text, err := a.formatIssued(issued, out != nil)
	switch {
	case err != nil:
		return takeBack(ctx, c, issued, err)
	case out == nil:
		if _, err := a.out.Write(text); err != nil {
			return takeBack(ctx, c, issued, fmt.Errorf("printing the values: %w", err))
		}
		if a.field != "" || a.format == "env" || a.format == "dotenv" {
			a.noteLease(issued.Lease)
		}
		return nil
	}
	if err := out.commit(text); err != nil {
		return takeBack(ctx, c, issued, err)
	}
	a.noteLease(issued.Lease)
	a.note("its values are in %s", out.path)
	if a.quiet || a.format == "name" {
		_, err = fmt.Fprintln(a.out, issued.Lease.ID)
	}
	return err
}

// takeBack revokes a lease that is of no use, and says so.
func takeBack(ctx context.Context, c *client.Client, issued types.Issued, why error) error {
	id := issued.Lease.ID
	if issued.Replayed {
		return fmt.Errorf("%w; lease %s, which had been issued before, was left as it is", why, id)
	}
	// Whoever interrupted the command wants the lease even less.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	revoked, err := c.RevokeLease(ctx, id, types.RevokeSpec{Reason: "its values could not be delivered"})
	switch {
	case err != nil:
		// Its text only: the exit code is that of what went wrong first.
		return fmt.Errorf("%w; lease %s is alive, revoking it failed too: %s", why, id, err.Error())
	case !revoked.Ended():
		return fmt.Errorf("%w; lease %s is being revoked", why, id)
	}
	return fmt.Errorf("%w; lease %s was revoked", why, id)
}

// noteLease keeps the id in sight where standard output holds values only.
func (a *app) noteLease(lease types.Lease) {
	a.note("lease %s expires at %s", lease.ID, lease.ExpiresAt.UTC().Format(time.RFC3339))
}

// formatIssued returns what a file or standard output gets.
func (a *app) formatIssued(issued types.Issued, file bool) ([]byte, error) {
	var text bytes.Buffer
	switch {
	case a.field != "":
		value, ok := issued.Values.Get(a.field)
		if !ok {
			return nil, fmt.Errorf("the lease has no %s: its secret was changed meanwhile", a.field)
		}
		return []byte(value + "\n"), nil
	case a.format == "env":
		return issued.Values.ShellLines()
	case a.format == "dotenv", file && (a.format == "table" || a.format == "name"):
		return issued.Values.DotenvLines()
	case a.format == "table":
		err := a.tableOfIssued(&text, issued)
		return text.Bytes(), err
	}
	return a.encoded(issued)
}

func (a *app) tableOfIssued(out io.Writer, issued types.Issued) error {
	table := a.tableTo(out)
	lease := issued.Lease
	for _, one := range []row{
		{"Lease ID", lease.ID}, {"Name", lease.Name}, {"Secret", lease.Secret},
		{"Expires at", a.full(lease.ExpiresAt)}, {"Renewable", renewable(lease)},
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
