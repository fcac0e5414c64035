package main

import (
	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) eventCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "event",
		Aliases: []string{"events"},
		Short:   "Events: the history of everything",
	}
	noun.AddCommand(a.eventList())
	return noun
}

func (a *app) eventList() *cobra.Command {
	var flags listFlags
	var after uint64
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List events, oldest first",
		Example: "  brokerctl event list --after 1200 --all -o json",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.Event, string, error) {
				page, err := c.ListEvents(cmd.Context(), after, o.Limit)
				if err == nil && len(page.Items) > 0 {
					after = page.Items[len(page.Items)-1].Index
				}
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return a.listEvents(found)
		},
	}
	cmd.Flags().Uint64Var(&after, "after", 0, "begin after this index of the log")
	flags.addTo(cmd)
	return cmd
}

func (a *app) listEvents(events []types.Event) error {
	return list(a, events, func(e types.Event) string { return number(e.Index) },
		[]string{"INDEX", "AT", "TYPE", "SUBJECT", "LEASE", "ACTOR", "NODE", "DETAILS"},
		func(e types.Event) []string {
			return []string{number(e.Index), a.when(e.At), e.Type, e.Subject, e.LeaseID, first(e.Actor, "-"), e.Node, pairs(e.Details)}
		})
}
