package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

// memberCommands are the commands of cluster about its nodes.
func (a *app) memberCommands() []*cobra.Command {
	return []*cobra.Command{
		a.clusterMembers(), a.clusterRemove(), a.clusterPromote(), a.clusterDemote(), a.clusterTransfer(), a.clusterLeave(), a.clusterUpgrade(),
	}
}

func (a *app) clusterMembers() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "members",
		Aliases: []string{"nodes"},
		Short:   "List the cluster's nodes, as the answering one sees them",
		Long: `List the cluster's nodes, as the answering one sees them; it needs no leader.

A node that has joined is "promoting": it gets a vote once it has been well for a while (--promote-after
of brokerd). LAG is how many log entries it had less than the answering node.`,
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
			for _, m := range view.Members {
				if m.Trouble != "" && a.format == "table" {
					a.warn("node " + m.ID + " " + m.Trouble)
				}
			}
			return list(a, view.Members, func(m types.Member) string { return m.ID },
				[]string{"NODE", "STATE", "LEADER", "ALIVE", "VERSION", "LEVEL", "API", "CLUSTER", "LAG", "CLOCK", "LAST CONTACT"},
				func(m types.Member) []string { return memberCells(m, view.Node) })
		},
	}
	a.answers(cmd, []types.Member{})
	return cmd
}

func memberCells(m types.Member, answering string) []string {
	yes := map[bool]string{true: "yes", false: "no"}
	lag, clock, contact := "-", clockText(m.ClockOffsetMS), "-"
	if m.Lag != nil {
		lag = number(*m.Lag)
	}
	if m.LastContactMS != nil {
		contact = rough(time.Duration(*m.LastContactMS)*time.Millisecond) + " ago"
	}
	if m.ID == answering {
		clock, contact = "answers", "answers"
	}
	return []string{
		m.ID, first(m.State, "-"), yes[m.Leader], yes[m.Alive], first(m.Version, "-"), number(m.FeatureLevel),
		first(m.APIAddress, "-"), first(m.ClusterAddress, "-"), lag, clock, contact,
	}
}

func (a *app) clusterRemove() *cobra.Command {
	var dryRun, force bool
	var reason string
	cmd := &cobra.Command{
		Use:   "remove NODE",
		Short: "Remove a node from the cluster for ever",
		Long: `Remove a node from the cluster for ever. If it runs it stops, and does not start again; with an empty data
directory it can join as a new node. Removing the leader hands leadership over first. It is refused when
the nodes that would stay and answer are no quorum; --force goes by your word for it that they do, and
leaves the cluster without a leader if they do not.`,
		Example:           "  brokerctl cluster remove n3 --reason 'its disk is gone'",
		Args:              exactly("NODE"),
		ValidArgsFunction: a.complete(memberNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			// Whatever refuses it should be known before somebody confirms.
			if err := c.RemoveMember(cmd.Context(), args[0], reason, force, client.DryRun()); err != nil {
				return err
			}
			change := changeFlags{dryRun: dryRun}
			if !dryRun {
				if err := a.confirm("Removing node " + args[0] + " for ever"); err != nil {
					return err
				}
				err := c.RemoveMember(cmd.Context(), args[0], reason, force)
				// The answer may have been on its way through the very node that is refused now.
				if err != nil && (!unanswered(err) || awaitGone(cmd.Context(), c, args[0]) != nil) {
					return err
				}
			}
			change.done(a, "removed", "node "+args[0])
			return nil
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; part of the history")
	cmd.Flags().BoolVar(&force, "force", false, "though the nodes that stay and answer are no quorum")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "validate and show the effect, change nothing")
	return cmd
}

func (a *app) clusterPromote() *cobra.Command {
	return a.voteCommand("promote NODE", "promoted", "Give a node a vote", `Give a node a vote, without waiting for it to prove itself any longer, or after it was demoted. It must answer
and have caught up.`, "", func(ctx context.Context, c *client.Client, id, reason string, options ...client.Option) (types.Member, error) {
		return c.PromoteMember(ctx, id, reason, options...)
	})
}

func (a *app) clusterDemote() *cobra.Command {
	return a.voteCommand("demote NODE", "demoted", "Take a node's vote away until it is promoted", `Take a node's vote away until it is promoted. It follows on, and serves requests. It is refused when the nodes
that still vote and answer would be no quorum.`, "Taking the vote of node %s away", func(ctx context.Context, c *client.Client, id, reason string, options ...client.Option) (types.Member, error) {
		return c.DemoteMember(ctx, id, reason, options...)
	})
}

// voteCommand makes a command that changes a node's vote; question, if any, is to be confirmed.
func (a *app) voteCommand(use, past, short, long, question string, ask func(ctx context.Context, c *client.Client, id, reason string, options ...client.Option) (types.Member, error)) *cobra.Command {
	var change changeFlags
	var reason string
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args:              exactly("NODE"),
		ValidArgsFunction: a.complete(memberNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if question != "" && !change.dryRun {
				if err := a.confirm(fmt.Sprintf(question, args[0])); err != nil {
					return err
				}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			changed, err := ask(cmd.Context(), c, args[0], reason, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, past, "node "+args[0])
			return a.changed(changed, changed.ID, nil)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; part of the history")
	change.addTo(cmd, false)
	a.answers(cmd, types.Member{})
	return cmd
}

func (a *app) clusterTransfer() *cobra.Command {
	var change changeFlags
	var to string
	cmd := &cobra.Command{
		Use:     "transfer",
		Short:   "Hand leadership to another node",
		Long:    "Hand leadership to another node. What the leader is doing for clients is finished before; what comes meanwhile waits\nfor the next leader.",
		Example: "  brokerctl cluster transfer --to n2",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			done, err := c.TransferLeadership(cmd.Context(), to, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "handed over to "+first(done.To, "another node"), "leadership")
			return a.changed(done, done.To, nil)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the node that is to lead (default: one that is fit)")
	_ = cmd.RegisterFlagCompletionFunc("to", a.complete(memberNames)) // the flag exists
	change.addTo(cmd, false)
	a.answers(cmd, types.Transfer{})
	return cmd
}

// leaveWait is how long commands wait for a node to be gone.
const leaveWait = 30 * time.Second

func (a *app) clusterLeave() *cobra.Command {
	var change changeFlags
	cmd := &cobra.Command{
		Use:   "leave NODE",
		Short: "Have a node leave the cluster and stop",
		Long: `Have a node leave the cluster: it finishes what it does, hands leadership over, is removed and stops. For a node
that does not answer there is "remove". It is refused when the nodes that stay and answer are no quorum.`,
		Args:              exactly("NODE"),
		ValidArgsFunction: a.complete(memberNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if !change.dryRun {
				if err := a.confirm("Having node " + args[0] + " leave for ever"); err != nil {
					return err
				}
			}
			left, err := c.LeaveMember(cmd.Context(), args[0], change.options()...)
			if err != nil {
				return err
			}
			if !change.dryRun {
				if err := awaitGone(cmd.Context(), c, args[0]); err != nil {
					return fmt.Errorf("node %s has agreed to leave and is a member still: its log tells why: %w", args[0], err)
				}
			}
			change.done(a, "gone from the cluster", "node "+args[0])
			return a.changed(left, left.ID, nil)
		},
	}
	change.addTo(cmd, false)
	a.answers(cmd, types.Member{})
	return cmd
}

// unanswered reports whether nobody knows what became of a request.
func unanswered(err error) bool {
	var problem *types.Problem
	return errors.Is(err, client.ErrOutcomeUnknown) || errors.As(err, &problem) && problem.Code == "outcome_unknown"
}

// awaitGone waits until a node is a member no more.
func awaitGone(ctx context.Context, c *client.Client, id string) error {
	ctx, cancel := context.WithTimeout(ctx, leaveWait)
	defer cancel()
	for {
		view, err := c.GetCluster(ctx)
		gone := err == nil && view.Node != id
		for _, m := range view.Members {
			gone = gone && m.ID != id
		}
		if gone {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it is not gone after %s", leaveWait)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func memberNames(ctx context.Context, c *client.Client) ([]string, error) {
	view, err := c.GetCluster(ctx, client.WithConsistency(types.Stale))
	return namesOf(view.Members, func(m types.Member) string { return m.ID }), err
}

func (a *app) clusterUpgrade() *cobra.Command {
	noun := &cobra.Command{
		Use:   "upgrade",
		Short: "The feature level: what every node must be able to read",
		Long: `Every version reads what older ones wrote. What is new in a version is used only once all nodes run it: then the
feature level is raised, and older versions cannot take part any more. brokerd does so by itself (--upgrade
auto), or when it is told to (--upgrade hold), so that there is a way back until then.`,
	}
	noun.AddCommand(a.upgradeFinalize())
	return noun
}

func (a *app) upgradeFinalize() *cobra.Command {
	var change changeFlags
	cmd := &cobra.Command{
		Use:   "finalize",
		Short: "Raise the feature level to what every node reads; there is no way back",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			would, err := c.FinishUpgrade(cmd.Context(), client.DryRun())
			if err != nil {
				return err
			}
			level := fmt.Sprint(would.To)
			if would.From == would.To {
				a.note("the feature level is %s already: nothing to raise", level)
				return a.changed(would, level, nil)
			}
			if !change.dryRun {
				if err := a.confirm(strings.Join([]string{"Raising the feature level from", fmt.Sprint(would.From), "to", level}, " ")); err != nil {
					return err
				}
				if would, err = c.FinishUpgrade(cmd.Context(), change.options()...); err != nil {
					return err
				}
			}
			change.done(a, "raised to "+level, "the feature level")
			return a.changed(would, level, nil)
		},
	}
	change.addTo(cmd, false)
	a.answers(cmd, types.Upgrade{})
	return cmd
}
