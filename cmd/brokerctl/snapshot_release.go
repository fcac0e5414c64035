package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/types"
)

func (a *app) snapshotDiff() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Show what differs between a restored ledger and the outside systems",
		Long: `Show what differs between a restored ledger and the outside systems, which are listed now and not changed:
UNKNOWN logins were made after the snapshot and may be in use, leases whose login is MISSING ended after it, and
leases that are OVER were perhaps renewed. -o json names them all. A system that could not be listed is an
error (exit code 1).`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			page, err := c.DiffSnapshot(cmd.Context())
			if err != nil {
				return err
			}
			err = list(a, page.Items, func(d types.SnapshotDifference) string { return d.Connection },
				[]string{"CONNECTION", "SYSTEM", "LISTED", "UNKNOWN", "MISSING", "OVER", "REMARK"},
				func(d types.SnapshotDifference) []string {
					return []string{d.Connection, systemText(d.System, d.Current), number(d.Listed), number(len(d.Unknown)), number(len(d.Missing)), number(len(d.Over)), remark(d)}
				})
			if err != nil {
				return err
			}
			var failed []string
			for _, one := range page.Items {
				if one.Error != "" {
					failed = append(failed, one.Connection)
				}
			}
			if len(failed) > 0 {
				return &hintedError{err: fmt.Errorf("not listed: %s", strings.Join(failed, ", ")), hint: "make them reachable (brokerctl connection update corrects an address), or have their logins left alone: brokerctl connection update NAME --sweep report"}
			}
			a.note("to have the cluster work again: brokerctl snapshot release --unknown adopt=2h|report|remove --reason …")
			return nil
		},
	}
	return cmd
}

// remark tells what else is to know of one system.
func remark(d types.SnapshotDifference) string {
	foreign := 0
	for _, one := range d.Unknown {
		if !one.Ours {
			foreign++
		}
	}
	switch {
	case d.Error != "":
		return "not listed: " + d.Error
	case d.Skipped != "":
		return "not listed: " + d.Skipped
	case d.Mode == "report" && len(d.Unknown) > 0:
		return "left alone in any case (sweep: report)"
	case foreign > 0:
		return number(foreign) + " without this cluster's mark, left alone in any case"
	}
	return ""
}

func (a *app) snapshotRelease() *cobra.Command {
	var change changeFlags
	var unknown, reason string
	cmd := &cobra.Command{
		Use:   "release --unknown adopt=2h|report|remove --reason TEXT",
		Short: "Have a restored cluster work again",
		Long: `Have a restored cluster issue, renew, revoke and expire again. Run "brokerctl snapshot diff" before: every system
must have been listed since the restore. --unknown says what becomes of logins that the ledger does not know:

  adopt=2h  they get a lease that ends in 2 h, so that what runs with them goes on for that time, and are then
            removed as any other; leases that would end before live as long, since they may have been renewed
  report    they are shown as orphans and never removed; leases that are over end at once
  remove    they are removed at once; leases that are over end at once

A drill can never be released.`,
		Example: "  brokerctl snapshot release --unknown adopt=2h --reason 'the machines burnt' --dry-run",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			spec, err := releaseSpec(unknown, reason)
			if err != nil {
				return err
			}
			if !change.dryRun {
				if err := a.confirm("Releasing the restored cluster, which then changes outside systems"); err != nil {
					return err
				}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			done, err := c.ReleaseSnapshot(cmd.Context(), spec, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "released", "the restored cluster")
			a.note("%s got a lease, ends of %s put off, %s left alone",
				amount(done.Adopted, "unknown login"), amount(done.Kept, "lease"), amount(done.Alone, "unknown login"))
			return a.changed(done, "", nil)
		},
	}
	cmd.Flags().StringVar(&unknown, "unknown", "", "what becomes of logins that the ledger does not know: adopt=TIME, report or remove")
	cmd.Flags().StringVar(&reason, "reason", "", "why; part of the history")
	change.addTo(cmd, false)
	a.answers(cmd, types.SnapshotRelease{})
	return cmd
}

func releaseSpec(unknown, reason string) (types.SnapshotReleaseSpec, error) {
	policy, length, given := strings.Cut(unknown, "=")
	spec := types.SnapshotReleaseSpec{Unknown: policy, Reason: reason}
	switch {
	case unknown == "":
		return spec, &usageError{err: fmt.Errorf("--unknown is required: what becomes of logins that the ledger does not know?"), hint: "adopt=2h, report or remove; brokerctl snapshot diff shows them"}
	case reason == "":
		return spec, usage("--reason is required: it stands in the history")
	case policy == "adopt" && given:
		ttl, err := types.ParseDuration(length)
		if err != nil || ttl <= 0 {
			return spec, usage("--unknown adopt=%s: %s", length, types.DurationRule)
		}
		spec.TTL = &ttl
	case policy == "adopt":
		return spec, usage("--unknown adopt needs a time: adopt=2h")
	case policy != "report" && policy != "remove" || given:
		return spec, usage("--unknown %s is none of adopt=TIME, report, remove", unknown)
	}
	return spec, nil
}
