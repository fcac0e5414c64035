package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"broker/api/types"
)

func (a *app) clusterCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:   "cluster",
		Short: "The cluster itself; see also status",
	}
	noun.AddCommand(a.clusterClock(), a.joinTokenCommand(), a.authorityCommand(), a.gossipKeyCommand())
	noun.AddCommand(a.memberCommands()...)
	return noun
}

// clocks is what the answering node knows of the ledger's clock and the nodes'.
type clocks struct {
	At       *time.Time     `json:"clock_at,omitempty"`
	AheadMS  int64          `json:"clock_ahead_ms"`
	Node     string         `json:"node"`
	Members  []types.Member `json:"members"`
	Warnings []string       `json:"warnings,omitempty"`
}

func (a *app) clusterClock() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clock",
		Short: "Show the ledger's clock and how far the nodes' clocks are apart",
		Long: `Show the ledger's clock, by which leases end, and how far the nodes' clocks are apart, as the
answering node has measured. The ledger's clock goes forward only; when it went ahead of the time,
because most nodes had a wrong clock, "repair" sets it back.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			view, err := c.GetCluster(cmd.Context())
			if err != nil {
				return err
			}
			return a.showClocks(clocks{At: view.ClockAt, AheadMS: view.ClockAheadMS, Node: view.Node, Members: view.Members, Warnings: view.Warnings})
		},
	}
	cmd.AddCommand(a.clockRepair())
	a.answers(cmd, clocks{})
	return cmd
}

func (a *app) showClocks(seen clocks) error {
	if a.format != "table" || a.field != "" {
		return a.show(seen, seen.Node, nil)
	}
	a.warn(seen.Warnings...)
	if a.terminal && seen.At != nil {
		fmt.Fprintf(a.out, "Ledger  %s\n\n", a.full(*seen.At))
	}
	return list(a, seen.Members, func(m types.Member) string { return m.ID }, []string{"NODE", "CLOCK"}, func(m types.Member) []string {
		if m.ID == seen.Node {
			return []string{m.ID, "answers"}
		}
		return []string{m.ID, clockText(m.ClockOffsetMS)}
	})
}

// tellClocks adds what the view that counts says of the clocks.
func (s *clusterStatus) tellClocks(view *types.Cluster) {
	s.Warnings = view.Warnings
	for i, one := range s.Nodes {
		for _, member := range view.Members {
			if member.ID == one.ID {
				s.Nodes[i].ClockMS = member.ClockOffsetMS
			}
		}
	}
}

// clockText tells how far a clock is ahead.
func clockText(offset *int64) string {
	if offset == nil {
		return "-"
	}
	return fmt.Sprintf("%+d ms", *offset)
}

func (a *app) clockRepair() *cobra.Command {
	var change changeFlags
	var reason string
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Set the ledger's clock back to the time, when it went ahead",
		Long: `Set the ledger's clock back to the time, when it went ahead. Set the clocks of the nodes right
first: most of them must agree. Leases that were issued by the wrong clock keep the time they had left
by it, which is never more than their TTL; leases from before keep their ends. The leader begins anew,
which takes as long as a change of leader. --dry-run tells how much would change.`,
		Example: "  brokerctl cluster clock repair --dry-run --reason 'a bad time server'",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if reason == "" {
				return usage("--reason is required: it stands in the history")
			}
			if !change.dryRun {
				if err := a.confirm("Setting the ledger's clock back"); err != nil {
					return err
				}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			done, err := c.RepairClock(cmd.Context(), reason, change.options()...)
			if err != nil {
				return err
			}
			if !done.Repaired {
				a.note("the ledger's clock is not ahead: nothing to repair")
			} else {
				ahead := time.Duration(done.AheadMS) * time.Millisecond
				change.done(a, fmt.Sprintf("set back by %s to %s; ends of %s and %s moved with it",
					ahead.Round(time.Second), a.full(done.To), amount(done.Leases, "lease"), amount(done.Tokens, "token")), "the ledger's clock")
			}
			return a.changed(done, done.To.UTC().Format(time.RFC3339), nil)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; part of the history")
	change.addTo(cmd, false)
	a.answers(cmd, types.ClockRepair{})
	return cmd
}
