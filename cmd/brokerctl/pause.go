package main

import (
	"github.com/spf13/cobra"

	"broker/api/types"
)

func (a *app) connectionPause() *cobra.Command {
	var change changeFlags
	var until untilFlags
	var reason string
	cmd := &cobra.Command{
		Use:   "pause NAME",
		Short: "Leave an outside system alone for a time",
		Long: `Leave an outside system alone for a time, for maintenance: nothing is issued or renewed there, and
ends of leases are recorded and wait. Logins whose leases end meanwhile go on working where the
system cannot end them by itself.`,
		Example:           "  brokerctl connection pause orders-db --ttl 30m --reason 'an upgrade'",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(connectionNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, length, err := until.read()
			if err != nil {
				return err
			}
			if at.IsZero() && length == nil {
				return usage("want either --until or --ttl")
			}
			if reason == "" {
				return usage("--reason is required: those whom it stops will wonder")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			paused, err := c.PauseConnection(cmd.Context(), args[0], types.PauseSpec{Until: at, TTL: length, Reason: reason}, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "paused until "+a.full(pointed(paused.PausedUntil)), "connection "+paused.Name)
			return a.changed(paused, paused.Name, nil)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; shown to everybody whom it stops")
	until.addTo(cmd, "leave it alone until")
	change.addTo(cmd, false)
	a.answers(cmd, types.Connection{})
	return cmd
}

func (a *app) connectionResume() *cobra.Command {
	var change changeFlags
	cmd := &cobra.Command{
		Use:               "resume NAME",
		Short:             "End a pause now",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(connectionNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			resumed, err := c.ResumeConnection(cmd.Context(), args[0], change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "resumed", "connection "+resumed.Name)
			return a.changed(resumed, resumed.Name, nil)
		},
	}
	change.addTo(cmd, false)
	a.answers(cmd, types.Connection{})
	return cmd
}

func (a *app) connectionHealth() *cobra.Command {
	return &cobra.Command{
		Use:               "health [NAME]",
		Short:             "Tell how the outside systems are, of one connection or all",
		Args:              atMostOne("NAME"),
		ValidArgsFunction: a.complete(connectionNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			page, err := c.ConnectionHealth(cmd.Context(), first(args...))
			if err != nil {
				return err
			}
			return list(a, page.Items, func(h types.ConnectionHealth) string { return h.Connection },
				[]string{"CONNECTION", "SYSTEM", "STATE", "SINCE", "NEXT TRY", "WAITING", "ERROR"},
				func(h types.ConnectionHealth) []string {
					return []string{
						h.Connection, systemText(h.System, h.Current), a.healthText(h),
						first(a.when(pointed(h.Since)), "-"), first(a.when(pointed(h.NextTryAt)), "-"), number(h.Waiting), first(h.Error, "-"),
					}
				})
		},
	}
}

func (a *app) healthText(h types.ConnectionHealth) string {
	switch {
	case h.PausedUntil != nil && a.terminal:
		return "paused, ends " + a.when(*h.PausedUntil)
	case h.PausedUntil != nil:
		return "paused"
	case !h.Available:
		return "unavailable"
	}
	return "available"
}

// systemText marks a system that the connection points at no more.
func systemText(identity string, current bool) string {
	if current {
		return first(identity, "-")
	}
	return first(identity, "-") + " (earlier)"
}
