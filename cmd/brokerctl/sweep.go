package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) sweepCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "sweep [CONNECTION]",
		Short: "Compare the logins at outside systems with the leases, now",
		Long: `Compare the logins at outside systems with the leases, now, and show what was found: orphans, which
are logins that no live lease knows, and leases whose login is missing. What a connection's --sweep
says happens to orphans: "remove" removes those that two sweeps saw some time apart, "report" leaves
them alone, "off" does not look.

Orphans are no error; a system that could not be listed is (exit code 1).`,
		Args:              atMostOne("CONNECTION"),
		ValidArgsFunction: a.complete(connectionNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			page, err := c.Sweep(cmd.Context(), first(args...))
			if err != nil {
				return err
			}
			err = list(a, page.Items, func(r types.SweepReport) string { return r.Connection },
				[]string{"CONNECTION", "SYSTEM", "LISTED", "ORPHANS", "MISSING", "WHAT HAPPENS NEXT"},
				func(r types.SweepReport) []string {
					return []string{
						r.Connection, systemText(r.System, r.Current), number(r.Listed),
						number(len(r.Orphans) + len(r.Adopted)), number(len(r.Missing)), afterSweep(r),
					}
				})
			if err != nil {
				return err
			}
			return failedSweeps(page.Items)
		},
	}
}

// afterSweep says what happens next.
func afterSweep(r types.SweepReport) string {
	if r.Error != "" {
		return "not listed: " + r.Error
	}
	if r.Skipped != "" {
		return "not listed: " + r.Skipped
	}
	ours, foreign, kept := 0, 0, 0
	for _, one := range r.Orphans {
		switch {
		case one.Kept:
			kept++
		case one.Ours:
			ours++
		default:
			foreign++
		}
	}
	var parts []string
	if n := len(r.Adopted); n > 0 {
		parts = append(parts, number(n)+" being removed")
	}
	switch {
	case r.Mode == "report" && ours+foreign+kept > 0:
		parts = append(parts, "orphans are left alone (sweep: report)")
	case ours > 0:
		parts = append(parts, number(ours)+" removed once seen again")
	}
	if r.Mode != "report" && foreign > 0 {
		parts = append(parts, number(foreign)+" without this cluster's mark left alone")
	}
	if r.Mode != "report" && kept > 0 {
		parts = append(parts, number(kept)+" left alone since a release")
	}
	if n := len(r.Missing); n > 0 {
		parts = append(parts, "leases of missing logins are flagged")
	}
	return first(strings.Join(parts, ", "), "-")
}

func failedSweeps(reports []types.SweepReport) error {
	failed := uint64(0)
	for _, one := range reports {
		if one.Error != "" {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%s could not be listed", amount(failed, "outside system"))
}

func (a *app) orphanCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "orphan",
		Aliases: []string{"orphans"},
		Short:   "Orphans: logins at outside systems that no live lease knows",
	}
	noun.AddCommand(a.orphanList())
	return noun
}

func (a *app) orphanList() *cobra.Command {
	var flags listFlags
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List orphans, as the newest sweeps saw them",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.Orphan, string, error) {
				page, err := c.ListOrphans(cmd.Context(), o)
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return list(a, found, func(o types.Orphan) string { return o.Username },
				[]string{"CONNECTION", "USERNAME", "OURS", "FIRST SEEN", "LAST SEEN", "SYSTEM"},
				func(o types.Orphan) []string {
					return []string{o.Connection, o.Username, yesNo(o.Ours), a.when(o.FirstSeenAt), a.when(o.LastSeenAt), o.System}
				})
		},
	}
	flags.addTo(cmd)
	return cmd
}

func yesNo(truth bool) string {
	if truth {
		return "yes"
	}
	return "no"
}
