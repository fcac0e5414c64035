package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) operationCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "operation",
		Aliases: []string{"operations", "op"},
		Short:   "Operations: work on many leases that goes on by itself",
	}
	noun.AddCommand(a.operationList(), a.operationGet(), a.operationCancel(), a.operationWait())
	return noun
}

func (a *app) operationList() *cobra.Command {
	var flags listFlags
	var state string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List operations, newest first",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.Operation, string, error) {
				page, err := c.ListOperations(cmd.Context(), state, o)
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return list(a, found, func(o types.Operation) string { return o.ID },
				[]string{"ID", "KIND", "STATE", "DONE", "OF", "STUCK", "WHAT", "BY", "CREATED", "REASON"},
				func(o types.Operation) []string {
					return []string{o.ID, o.Kind, o.State, number(o.Done), number(aimOf(o)), number(o.Stuck), whatOf(o), o.By, a.when(pointed(o.CreatedAt)), o.Reason}
				})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "in this state: running, done or cancelled")
	flags.addTo(cmd)
	return cmd
}

func (a *app) operationGet() *cobra.Command {
	return &cobra.Command{
		Use:               "get ID",
		Short:             "Show an operation's progress",
		Args:              exactly("ID"),
		ValidArgsFunction: a.complete(operationIDs("")),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.GetOperation(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(found, found.ID, []row{
				{"ID", found.ID},
				{"Kind", found.Kind},
				{"State", found.State},
				{"What", whatOf(found)},
				{"Reason", found.Reason},
				{"Leases", number(aimOf(found))},
				{"Begun", number(found.Begun)},
				{"Done", number(found.Done)},
				{"Stuck", number(found.Stuck)},
				{"By", found.By},
				{"Created", a.full(pointed(found.CreatedAt))},
				{"Updated", a.full(pointed(found.UpdatedAt))},
				{"Ended", a.full(pointed(found.EndedAt))},
			})
		},
	}
}

func (a *app) operationCancel() *cobra.Command {
	var change changeFlags
	cmd := &cobra.Command{
		Use:               "cancel ID",
		Short:             "Stop an operation: what it has begun goes on, what it was to delete stays",
		Args:              exactly("ID"),
		ValidArgsFunction: a.complete(operationIDs(types.OperationRunning)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			cancelled, err := c.CancelOperation(cmd.Context(), args[0], change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "cancelled", "operation "+args[0])
			return a.changed(cancelled, args[0], cancelled.Warnings)
		},
	}
	change.addTo(cmd, false)
	a.answers(cmd, types.Operation{})
	return cmd
}

func (a *app) operationWait() *cobra.Command {
	return &cobra.Command{
		Use:   "wait ID",
		Short: "Wait until an operation is done and show progress",
		Long: `Wait until an operation is done and show progress. It is an error when the operation was
cancelled, or when all that is left of it is stuck; the operation goes on all the same.`,
		Args:              exactly("ID"),
		ValidArgsFunction: a.complete(operationIDs(types.OperationRunning)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			op, err := c.GetOperation(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.follow(cmd.Context(), c, op, true)
		},
	}
}

// follow tells how to watch an operation that has just begun, or waits for its end.
func (a *app) follow(ctx context.Context, c *client.Client, op types.Operation, wait bool) error {
	if !wait {
		a.note("operation %s goes on by itself (%s); watch it: brokerctl operation wait %s", op.ID, amount(op.Total, "lease"), op.ID)
		return a.changed(op, op.ID, op.Warnings)
	}
	a.warn(op.Warnings...)
	op, err := a.await(ctx, c, op)
	if err != nil {
		return err
	}
	return a.changed(op, op.ID, nil)
}

// await waits until an operation is done; the final line says how it went.
func (a *app) await(ctx context.Context, c *client.Client, op types.Operation) (types.Operation, error) {
	// Slower with time: what takes minutes need not be asked for twice a second.
	for pause := 100 * time.Millisecond; op.Running() && !op.Blocked(); pause = min(2*time.Second, pause*5/4) {
		a.progress(op)
		select {
		case <-ctx.Done():
			a.endProgress()
			return op, &hintedError{err: ctx.Err(), hint: "the operation goes on: brokerctl operation wait " + op.ID}
		case <-time.After(pause):
		}
		next, err := c.GetOperation(ctx, op.ID)
		if err != nil {
			a.endProgress()
			return op, &hintedError{err: err, hint: "the operation goes on: brokerctl operation wait " + op.ID}
		}
		op = next
	}
	a.endProgress()
	switch {
	case op.Running():
		return op, &hintedError{
			err:  fmt.Errorf("operation %s: %d of %d leases done, %d stuck; the broker goes on trying", op.ID, op.Done, aimOf(op), op.Stuck),
			hint: "brokerctl lease list --state stuck --operation " + op.ID + " shows why",
		}
	case op.State == types.OperationCancelled:
		return op, errors.New("operation " + op.ID + " was cancelled after " + amount(op.Done, "lease"))
	}
	a.note("operation %s is done: %s", op.ID, amount(op.Done, "lease"))
	return op, nil
}

// progress shows how far an operation is, on one line, where somebody looks.
func (a *app) progress(op types.Operation) {
	if !a.interactive || a.quiet {
		return
	}
	line := fmt.Sprintf("%s: %d of %d leases done", op.Kind, op.Done, aimOf(op))
	if op.Stuck > 0 {
		line += fmt.Sprintf(", %d stuck", op.Stuck)
	}
	fmt.Fprintf(a.err, "\r%s\x1b[K", line)
}

func (a *app) endProgress() {
	if a.interactive && !a.quiet {
		fmt.Fprint(a.err, "\r\x1b[K")
	}
}

// aimOf is how many leases an operation is about: those chosen, until all of them have been looked at
// and it is known how many had anything to be done.
func aimOf(op types.Operation) uint64 {
	if op.AllBegun {
		return op.Begun
	}
	return max(op.Total, op.Begun)
}

func whatOf(op types.Operation) string {
	if op.Target != nil {
		return op.Target.Noun + " " + op.Target.Name
	}
	selector := op.Selector
	selector.IssuedBefore = time.Time{} // every operation stops at the leases that were there when it began
	return first(selectorText(selector), "all leases")
}

// operationIDs completes operations of a state, of any when it is empty.
func operationIDs(state string) func(context.Context, *client.Client) ([]string, error) {
	return func(ctx context.Context, c *client.Client) ([]string, error) {
		page, err := c.ListOperations(ctx, state, manyNames(), client.WithConsistency(types.Stale))
		return namesOf(page.Items, func(o types.Operation) string { return o.ID + "\t" + o.Kind + " " + whatOf(o) }), err
	}
}
