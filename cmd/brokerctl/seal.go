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

func (a *app) sealCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:   "seal",
		Short: "The keys that everything secret is sealed with",
		Long: `The keys that everything secret in the state is sealed with: root credentials, the cluster's authority, the key of
gossip. Every node has them in its key file. One key seals; to replace it, rotate.`,
	}
	noun.AddCommand(a.sealStatus(), a.sealRotate())
	return noun
}

func (a *app) sealStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the sealing keys, who has them, what is sealed with each, and how far an exchange is",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			seal, err := c.GetSeal(cmd.Context())
			if err != nil {
				return err
			}
			return a.showSeal(seal)
		},
	}
	a.answers(cmd, types.SealStatus{})
	return cmd
}

func (a *app) showSeal(seal types.SealStatus) error {
	if a.format != "table" && a.format != "name" || a.field != "" {
		return a.show(seal, seal.Exchange, nil)
	}
	if a.terminal && a.format == "table" {
		shares := "none: only a key file opens a snapshot"
		if r := seal.Recovery; r != nil {
			shares = fmt.Sprintf("%d of %d open a snapshot, splitting %s", r.Threshold, r.Shares, r.Split)
		}
		fmt.Fprintf(a.out, "Exchange  %s\nShares    %s\n\n", exchangeText(seal), shares)
	}
	a.warn(sealWarnings(seal)...)
	return list(a, seal.Keys, func(k types.SealingKey) string { return number(k.Number) },
		[]string{"NUMBER", "ID", "STATE", "VALUES", "NODES", "CREATED", "SEALS SINCE", "RETIRED"},
		func(k types.SealingKey) []string {
			return []string{number(k.Number), k.ID, k.State, number(k.Values), strings.Join(k.Nodes, " "), a.when(k.CreatedAt), a.whenever(k.PromotedAt), a.whenever(k.RetiredAt)}
		})
}

// whenever is when for what may not have happened.
func (a *app) whenever(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return a.when(*at)
}

func sealWarnings(seal types.SealStatus) (list []string) {
	if len(seal.Missing) > 0 {
		list = append(list, "waiting for nodes that do not have the new sealing key yet: "+strings.Join(seal.Missing, ", ")+"; start them, or remove them from the cluster")
	}
	if len(seal.Keeping) > 0 {
		list = append(list, "nodes that have not dropped a retired key yet: "+strings.Join(seal.Keeping, ", "))
	}
	return list
}

func exchangeText(seal types.SealStatus) string {
	switch seal.Exchange {
	case types.SealExchangeNone:
		return "none"
	case "distributing":
		return "every node is given the new key"
	}
	return fmt.Sprintf("%d of %d values are sealed with the new key", seal.Done, seal.Total)
}

func (a *app) sealRotate() *cobra.Command {
	var change changeFlags
	var wait bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Exchange the sealing key: every node is given a new one, and everything is sealed with it",
		Long: `Exchange the sealing key: every node is given a new one, then everything is sealed with it, then the old one is dropped
from all key files. It goes on by itself, whichever node leads, and nothing waits for it. Every node of the cluster
must take part: one that is down holds it up until it is back or removed.

Recovery shares stay as they are: they open snapshots from before and after. Root credentials stay as they are too.
Whoever had the old key file can open what was copied before: change the credentials as well.`,
		Example: "  brokerctl seal rotate --wait",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			seal, err := c.RotateSeal(cmd.Context(), change.options()...)
			if err != nil {
				return err
			}
			switch {
			case change.dryRun:
				a.note("the sealing key would be exchanged (dry run)")
			case wait:
				if seal, err = a.awaitSeal(cmd.Context(), c, seal); err != nil {
					return err
				}
				a.note("everything is sealed with the new key, and no node has the old one")
			default:
				a.note("the sealing key is being exchanged; watch it: brokerctl seal status")
			}
			return a.changed(seal, seal.Exchange, nil)
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is over, and show progress")
	change.addTo(cmd, false)
	a.answers(cmd, types.SealStatus{})
	return cmd
}

// awaitSeal waits until an exchange is over and no node has the old key any more.
func (a *app) awaitSeal(ctx context.Context, c *client.Client, seal types.SealStatus) (types.SealStatus, error) {
	const goesOn = "the exchange goes on by itself: brokerctl seal status"
	for pause := 100 * time.Millisecond; seal.Running() || len(seal.Keeping) > 0; pause = min(2*time.Second, pause*5/4) {
		if a.interactive && !a.quiet {
			line := exchangeText(seal)
			if waiting := sealWarnings(seal); len(waiting) > 0 {
				line = waiting[0]
			}
			fmt.Fprintf(a.err, "\r%s\x1b[K", line)
		}
		select {
		case <-ctx.Done():
			a.endProgress()
			return seal, &hintedError{err: errors.Join(append([]error{ctx.Err()}, errorsOf(sealWarnings(seal))...)...), hint: goesOn}
		case <-time.After(pause):
		}
		next, err := c.GetSeal(ctx)
		if err != nil {
			a.endProgress()
			return seal, &hintedError{err: err, hint: goesOn}
		}
		seal = next
	}
	a.endProgress()
	return seal, nil
}

func errorsOf(lines []string) (list []error) {
	for _, line := range lines {
		list = append(list, errors.New(line))
	}
	return list
}
