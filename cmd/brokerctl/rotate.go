package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/types"
)

func (a *app) connectionRotate() *cobra.Command {
	var change changeFlags
	var cancel bool
	var reason string
	cmd := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Exchange the root credential for a new one, which nobody sees",
		Long: `Exchange the root credential for a new one. The new one is made at the outside system and tried, the
connection gets it, and the old one is refused from then on; leases go on meanwhile. Whatever breaks
down in between, the ledger holds a credential that works, and the leader carries on by itself. When
the outside system refuses, everything stays as it was.

--cancel gives up a rotation that does not come to its end.`,
		Example: `  brokerctl connection rotate orders-db --dry-run
  brokerctl connection rotate orders-db
  brokerctl connection rotate orders-db --cancel --reason 'the server is gone for good'`,
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(connectionNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cancel != (reason != "") {
				return usage("--cancel and --reason go together")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if cancel {
				given, err := c.CancelRotation(cmd.Context(), args[0], reason, change.options()...)
				if err != nil {
					return err
				}
				change.done(a, "given up", "the rotation of connection "+given.Name)
				return a.changed(given, given.Name, given.Warnings)
			}
			rotated, err := c.RotateConnection(cmd.Context(), args[0], change.options()...)
			if err != nil {
				return err
			}
			switch r := rotated.Rotation; {
			case change.dryRun:
				a.note("the root credential of connection %s would be exchanged (dry run): it works, and may be", rotated.Name)
			case r.State == types.RotationRotating:
				a.note("the root credential of connection %s is being exchanged%s; this goes on by itself, see: brokerctl connection get %s", rotated.Name, failureText(r), rotated.Name)
			case r.State == types.RotationRetiring:
				a.note("connection %s has a new root credential, and the old one is not refused yet%s; this goes on by itself, see: brokerctl connection get %s", rotated.Name, failureText(r), rotated.Name)
			default:
				a.note("connection %s has a new root credential, and the old one is refused", rotated.Name)
			}
			return a.changed(rotated, rotated.Name, nil)
		},
	}
	cmd.Flags().BoolVar(&cancel, "cancel", false, "give up the rotation that is under way")
	cmd.Flags().StringVar(&reason, "reason", "", "why it is given up")
	change.addTo(cmd, false)
	a.answers(cmd, types.Connection{})
	return cmd
}

func failureText(r *types.Rotation) string {
	if r.Error == "" {
		return ""
	}
	return " (" + r.Error + ")"
}

// rotationText tells how a rotation is; empty when the last one came to its end.
func (a *app) rotationText(r *types.Rotation) string {
	if r == nil || r.State == types.RotationDone {
		return ""
	}
	text := r.State + " since " + a.full(r.Since)
	if r.State == types.RotationCancelled {
		text = r.State + " " + a.full(pointed(r.EndedAt))
	}
	if r.By != "" {
		text += ", asked for by " + r.By
	}
	if r.Error != "" {
		text += fmt.Sprintf(", failed %d times: %s", r.Attempts, r.Error)
	}
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return strings.TrimSpace(text)
}

// rotatedText tells when a connection last got a new root credential.
func (a *app) rotatedText(r *types.Rotation) string {
	if r == nil {
		return ""
	}
	return a.full(pointed(r.RotatedAt))
}
