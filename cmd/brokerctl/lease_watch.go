package main

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) leaseWatch() *cobra.Command {
	return &cobra.Command{
		Use:   "watch ID",
		Short: "Tell a lease's history and go on until it has ended",
		Long: `Tell a lease's history, oldest first, and what happens to it until it has ended. With -o json each
event is a line. "brokerctl lease list --watch" watches many leases.`,
		Args:              exactly("ID"),
		ValidArgsFunction: a.complete(leaseIDs("pending", "active", "revoking")),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if _, err := c.GetLease(cmd.Context(), args[0]); err != nil {
				return err // there would be no event, for ever
			}
			out := &live[types.Event]{app: a, name: types.Event.Position, cells: a.tailCells}
			query := client.EventQuery{After: "0", EventFilter: client.EventFilter{Lease: args[0]}}
			for event, err := range c.StreamEvents(cmd.Context(), query, a.fortune()) {
				switch {
				case err != nil:
					return err
				case a.format == "table" && a.field == "" && a.terminal:
					a.timeline([]types.Event{event})
				default:
					if err := out.print(event); err != nil {
						return err
					}
				}
				if slices.Contains([]string{"lease.revoked", "lease.expired", "lease.failed", "lease.forgotten"}, event.Type) {
					return nil
				}
			}
			return nil
		},
	}
}

// gather is how long changes are gathered before the leases are read: most come in twos or threes.
const gather = 150 * time.Millisecond

// leaseWatcher shows leases and how they change.
type leaseWatcher struct {
	app      *app
	client   *client.Client
	selector client.LeaseSelector
	out      live[types.Lease]
	shown    map[string]bool // leases that were shown as chosen
}

// watchLeases prints the leases that were found, and each one of the selector's that changes. One that is
// not chosen any more is shown once, as it is then.
func (a *app) watchLeases(ctx context.Context, c *client.Client, selector client.LeaseSelector, found []types.Lease, index uint64) error {
	w := &leaseWatcher{
		app: a, client: c, selector: selector, shown: map[string]bool{},
		out: live[types.Lease]{app: a, name: func(l types.Lease) string { return l.ID }, header: leaseHeader(), cells: a.leaseCells},
	}
	for _, lease := range found {
		w.out.fit(lease)
		w.shown[lease.ID] = true
	}
	if err := w.out.begin(); err != nil {
		return err
	}
	for _, lease := range found {
		if err := w.out.print(lease); err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(ctx)
	changed, over := make(chan string), make(chan error, 1)
	go func() { over <- w.follow(ctx, index, changed) }()
	defer func() { stop(); <-over }()
	for {
		var changes []string
		var due <-chan time.Time
		for done := false; !done; {
			select {
			case id := <-changed:
				if !slices.Contains(changes, id) {
					changes = append(changes, id)
				}
				if due == nil {
					due = time.After(gather)
				}
			case <-due:
				done = true
			case err := <-over:
				over <- nil
				return err
			}
		}
		if err := w.show(ctx, changes); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// follow sends the ids of leases that change.
func (w *leaseWatcher) follow(ctx context.Context, index uint64, changed chan<- string) error {
	s := w.selector
	query := client.EventQuery{After: fmt.Sprint(index), EventFilter: client.EventFilter{
		Types: []string{"lease"}, Environments: s.Environments, Secret: s.Secret, Connection: s.Connection,
		Account: s.Account, Username: s.Username, Labels: s.Labels,
	}}
	for event, err := range w.client.StreamEvents(ctx, query, w.app.fortune()) {
		if err != nil {
			return err
		}
		select {
		case changed <- event.LeaseID:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// show prints leases that changed.
func (w *leaseWatcher) show(ctx context.Context, ids []string) error {
	for _, id := range ids {
		lease, err := w.client.GetLease(ctx, id, client.WithConsistency(types.Session))
		if client.Code(err) == "not_found" {
			continue // its history was pruned meanwhile
		}
		if err != nil {
			return err
		}
		chosen, err := w.chosen(ctx, lease)
		if err != nil {
			return err
		}
		if chosen || w.shown[id] {
			if err := w.out.print(lease); err != nil {
				return err
			}
		}
		if w.shown[id] = chosen; !chosen || lease.Ended() {
			delete(w.shown, id)
		}
	}
	return nil
}

// chosen reports whether the selector chooses a lease. What the stream cannot choose by the broker judges: no
// two leases have the same login.
func (w *leaseWatcher) chosen(ctx context.Context, lease types.Lease) (bool, error) {
	rest := w.selector
	rest.Environments, rest.Labels, rest.Secret, rest.Connection, rest.Account, rest.Username, rest.Sort = nil, nil, "", "", "", "", ""
	if reflect.ValueOf(rest).IsZero() {
		return true, nil
	}
	rest.Username = lease.Username
	page, err := w.client.ListLeases(ctx, rest, client.ListOptions{}, client.WithConsistency(types.Session))
	return len(page.Items) > 0, err
}
