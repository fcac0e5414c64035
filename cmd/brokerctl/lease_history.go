package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) leaseHistory() *cobra.Command {
	return &cobra.Command{
		Use:               "history ID",
		Short:             "Tell a lease's history, oldest first",
		Args:              exactly("ID"),
		ValidArgsFunction: a.complete(leaseIDs()),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			page, err := c.LeaseEvents(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.format != "table" || a.field != "" || !a.terminal {
				return a.listEvents(page.Items)
			}
			a.timeline(page.Items)
			lease, err := c.GetLease(cmd.Context(), args[0])
			switch {
			case client.Code(err) == "not_found":
				return nil // forgotten meanwhile; its history is what is left
			case err != nil:
				return err
			case lease.State == "active":
				fmt.Fprintf(a.out, "○ %s  expires %s\n", stamp(lease.ExpiresAt), a.when(lease.ExpiresAt))
			case !lease.Ended():
				fmt.Fprintf(a.out, "○ %s\n", clean(lease.State))
			}
			return nil
		},
	}
}

// timeline prints events for people.
func (a *app) timeline(events []types.Event) {
	for _, one := range events {
		fmt.Fprintf(a.out, "● %s  %-10s %s\n", stamp(one.At), strings.TrimPrefix(one.Type, "lease."), clean(by(one)))
		for _, text := range details(one) {
			fmt.Fprintf(a.out, "│                          %s\n", clean(text))
		}
	}
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05.000") }

// by says who did it and from where.
func by(event types.Event) string {
	out := "by the broker"
	if event.Actor != "" {
		out = "by " + event.Actor
	}
	if event.Address != "" {
		out += " from " + event.Address
	}
	if event.Node != "" {
		out += " at " + event.Node
	}
	if event.UserAgent != "" {
		out += " with " + event.UserAgent
	}
	return out
}

func details(event types.Event) []string {
	names := make([]string, 0, len(event.Details))
	for name := range event.Details {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []string
	for _, name := range names {
		if value := event.Details[name]; value != "" {
			out = append(out, strings.ReplaceAll(name, "_", " ")+": "+value)
		}
	}
	return out
}
