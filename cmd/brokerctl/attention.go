package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// attention is what somebody should know of besides the nodes.
type attention struct {
	Connections []types.ConnectionHealth `json:"connections,omitempty"` // that are paused or unavailable
	StuckLeases []types.Lease            `json:"stuck_leases,omitempty"`
	Orphans     []types.Orphan           `json:"orphans,omitempty"`
	Locks       []types.Lock             `json:"locks,omitempty"` // that are in force
	Operations  []types.Operation        `json:"operations,omitempty"`
	Rotations   []types.Connection       `json:"rotations,omitempty"` // of root credentials that do not come to their end
}

// attentionPage is how many of each status looks at: it says that there is something, not all of it.
const attentionPage = 100

// lookAround asks what else is to know. What cannot be told is left out: status must answer when little
// else does.
func lookAround(ctx context.Context, c *client.Client, timeout time.Duration) attention {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var (
		out    attention
		asking sync.WaitGroup
		some   = client.ListOptions{Limit: attentionPage}
		stale  = client.WithConsistency(types.Stale)
	)
	asking.Go(func() {
		if page, err := c.ConnectionHealth(ctx, ""); err == nil {
			for _, one := range page.Items {
				if !one.Available || one.PausedUntil != nil {
					out.Connections = append(out.Connections, one)
				}
			}
		}
	})
	asking.Go(func() {
		if page, err := c.ListLeases(ctx, client.LeaseSelector{States: []string{"stuck"}}, some, stale); err == nil {
			out.StuckLeases = page.Items
		}
	})
	asking.Go(func() {
		if page, err := c.ListOrphans(ctx, some, stale); err == nil {
			out.Orphans = page.Items
		}
	})
	asking.Go(func() {
		if page, err := c.ListLocks(ctx, client.ListOptions{Limit: types.MaxPage}, stale); err == nil {
			for _, one := range page.Items {
				if one.InForce {
					out.Locks = append(out.Locks, one)
				}
			}
		}
	})
	asking.Go(func() {
		if page, err := c.ListOperations(ctx, types.OperationRunning, some, stale); err == nil {
			out.Operations = page.Items
		}
	})
	asking.Go(func() {
		if page, err := c.ListConnections(ctx, client.ListOptions{Limit: types.MaxPage}, stale); err == nil {
			for _, one := range page.Items {
				if r := one.Rotation; r != nil && r.EndedAt == nil && r.Error != "" {
					out.Rotations = append(out.Rotations, one)
				}
			}
		}
	})
	asking.Wait()
	return out
}

// lines tells it in a line for each kind, nothing when there is nothing.
func (x attention) lines(a *app) []string {
	var out []string
	for _, one := range x.Connections {
		switch {
		case one.PausedUntil != nil:
			out = append(out, fmt.Sprintf("connection %s is paused until %s; %s to be removed", one.Connection, a.full(*one.PausedUntil), amount(uint64(one.Waiting), "login")))
		default:
			out = append(out, fmt.Sprintf("connection %s is unavailable since %s: %s", one.Connection, a.full(pointed(one.Since)), one.Error))
		}
	}
	for _, one := range x.Rotations {
		out = append(out, fmt.Sprintf("connection %s: its root credential is being exchanged: %s", one.Name, a.rotationText(one.Rotation)))
	}
	tell := func(n int, noun, what string) {
		if n == 0 {
			return
		}
		text := amount(uint64(n), noun)
		if n >= attentionPage {
			text = number(attentionPage) + " or more " + noun + "s"
		}
		out = append(out, text+what)
	}
	tell(len(x.StuckLeases), "lease", " stuck: brokerctl lease list --state stuck")
	tell(len(x.Orphans), "orphan", ": brokerctl orphan list")
	for _, one := range x.Locks {
		out = append(out, "locked: "+scopeText(one.Scope)+" ("+one.Reason+")")
	}
	for _, one := range x.Operations {
		progress := fmt.Sprintf("%d of %d leases done", one.Done, aimOf(one))
		if one.Stuck > 0 {
			progress += fmt.Sprintf(", %d stuck", one.Stuck)
		}
		out = append(out, strings.Join([]string{"operation", one.ID, "running:", one.Kind, whatOf(one) + ",", progress}, " "))
	}
	return out
}
