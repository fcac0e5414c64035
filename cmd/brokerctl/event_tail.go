package main

import (
	"strings"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) eventTail() *cobra.Command {
	var chosen eventFlags
	chosen.query.Last = 10
	cmd := &cobra.Command{
		Use:     "tail",
		Aliases: []string{"watch"},
		Short:   "Show the newest events, then those that happen, until interrupted",
		Long: `Show the newest events, then those that happen, until interrupted. When the node that serves
them stops or dies, another one goes on: no event is left out and none comes twice. With
-o json each event is a line.`,
		Example: `  brokerctl event tail
  brokerctl event tail --type lease.stuck,orphan,clock
  brokerctl event tail --after 1200.0 -o json     # go on where a program stopped: index.ordinal of its last event`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := chosen.read(a, cmd)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			out := &live[types.Event]{app: a, name: types.Event.Position, header: []string{"INDEX", "AT", "TYPE", "SUBJECT", "BY", "DETAILS"}, cells: a.tailCells}
			out.fit(types.Event{Index: 100000, Type: "environment.created", Subject: "payments/production/orders-ro", Actor: "admin"})
			if err := out.begin(); err != nil {
				return err
			}
			for event, err := range c.StreamEvents(cmd.Context(), query, a.fortune()) {
				if err == nil {
					err = out.print(event)
				}
				if err != nil {
					return pruned(err)
				}
			}
			return nil
		},
	}
	chosen.addTo(a, cmd)
	cmd.Flags().IntVarP(&chosen.query.Last, "last", "n", 10, "begin with so many of the newest events")
	return cmd
}

// tailCells is eventCells for lines that stay and come one by one: a time that is told relative to now would soon be
// wrong, and columns that are mostly empty would be wide all the same.
func (a *app) tailCells(e types.Event) []string {
	if !a.terminal {
		return a.eventCells(e)
	}
	details := pairs(e.Details)
	if e.LeaseID != "" {
		details = strings.TrimSpace("lease=" + e.LeaseID + " " + details)
	}
	return []string{number(e.Index), stamp(e.At), e.Type, e.Subject, first(e.Actor, "-"), details}
}

// fortune tells people when a stream is cut off and goes on.
func (a *app) fortune() client.FollowOptions {
	lost := false
	return client.FollowOptions{
		Connected: func(address string) {
			if lost {
				a.note("going on at %s", address)
			}
			lost = false
		},
		Lost: func(err error) {
			a.note("the stream was cut off: %s; looking for a node that goes on", clean(err.Error()))
			lost = true
		},
	}
}

// pruned adds to the error of a position that history does not reach back to what can be done.
func pruned(err error) error {
	if client.Code(err) == "history_pruned" {
		return &hintedError{err: err, hint: "--after 0 begins with all that is kept"}
	}
	return err
}
