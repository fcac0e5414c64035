package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) auditList() *cobra.Command {
	var flags listFlags
	var query client.AuditQuery
	var since, until string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the records of a node's audit log, newest first",
		Long: `List the records of a node's audit log, newest first; a request and its outcome are one. Every node has a log
of its own, of the requests that it took or served: --node says whose. A filter that chooses few looks through the
whole log until it has found --limit of them, some megabytes with each request; --since ends it sooner.`,
		Example: `  brokerctl audit list --node n1 --changes
  brokerctl audit list --node n1 --since 2h --result refused
  brokerctl audit list --node n1 --resource payments/production/orders-ro --action lease`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if since != "" {
				if query.Since, err = pastFlag("since", since, a.now()); err != nil {
					return err
				}
			}
			if until != "" {
				if query.Until, err = pastFlag("until", until, a.now()); err != nil {
					return err
				}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := a.auditRecords(cmd.Context(), c, query, flags)
			if err != nil {
				return err
			}
			return list(a, found, func(r types.AuditRecord) string { return number(r.Seq) },
				[]string{"RECORD", "AT", "TYPE", "ACCOUNT", "ACTION", "RESOURCE", "RESULT", "STATUS", "TOOK", "ADDRESS", "ID"}, a.auditCells)
		},
	}
	f := cmd.Flags()
	f.StringVar(&query.Node, "node", "", "whose log; that of the node that answers unless said")
	f.StringVar(&query.Account, "account", "", "asked by this account")
	f.StringVar(&query.Action, "action", "", "lease:issue, or lease for all that begin with lease:")
	f.StringVar(&query.Resource, "resource", "", "about this, or what belongs to it: app/env/name, app/env, app/*, connection/NAME, lease/ID")
	f.StringVar(&query.Result, "result", "", "ended so: ok, refused, failed, unanswered, or unknown")
	f.StringVar(&query.Request, "request", "", "of the request with this id")
	f.BoolVar(&query.Changes, "changes", false, "leave out what changed nothing and went well: reads, calls of outside systems")
	f.StringVar(&since, "since", "", "from this RFC 3339 time on, or so long ago, e.g. 2h")
	f.StringVar(&until, "until", "", "up to this time, likewise")
	a.answers(cmd, types.AuditRecord{})
	a.completeFlag(cmd, "account", accountNames)
	flags.addTo(cmd)
	return cmd
}

// auditRecords reads pages until there are enough. While it looks, people are told how far it came.
func (a *app) auditRecords(ctx context.Context, c *client.Client, query client.AuditQuery, flags listFlags) ([]types.AuditRecord, error) {
	var node string
	var warnings []string
	count, telling := 0, false
	wipe := func() {
		if telling {
			fmt.Fprint(a.err, "\r\x1b[K") // the line was for the time between
		}
		telling = false
	}
	found, err := collect(a, flags, func(o client.ListOptions) ([]types.AuditRecord, string, error) {
		page, err := c.ListAuditRecords(ctx, query, o)
		wipe()
		if err != nil {
			return nil, "", err
		}
		node = page.Node
		count += len(page.Items)
		for _, one := range page.Warnings {
			if !slices.Contains(warnings, one) {
				warnings = append(warnings, one)
				a.warn(one)
			}
		}
		more := page.NextCursor != "" && (flags.all || count < flags.limit)
		if more && page.BackTo != nil && a.interactive && !a.quiet {
			fmt.Fprintf(a.err, "looked back to %s, %s found", a.full(*page.BackTo), amount(uint64(count), "record"))
			telling = true
		}
		return page.Items, page.NextCursor, nil
	})
	wipe()
	if err == nil && query.Node == "" && a.format == "table" && a.field == "" {
		a.note("note: from the log of node %s; --node chooses another", clean(node))
	}
	return found, err
}

// widest is how much is shown of a path at a terminal; others need it whole.
const widest = 72

func (a *app) auditCells(r types.AuditRecord) []string {
	what, result, status, took := r.Action, r.Result, "-", "-"
	switch {
	case r.Type == "call":
		what, result = r.Call, r.Outcome
	case what == "" && r.Method != "":
		what = r.Method + " " + r.Path
		if text := []rune(what); a.terminal && len(text) > widest {
			what = string(text[:widest]) + "…"
		}
	case what == "":
		what = first(r.Reason(), "-")
	}
	if r.Status > 0 {
		status = strconv.Itoa(r.Status)
	}
	if r.TookUS != nil {
		took = (time.Duration(*r.TookUS) * time.Microsecond).String()
	}
	return []string{number(r.Seq), a.when(r.Time), r.Type, first(r.Account, "-"), what, first(r.Resource, "-"), result, status, took, first(r.Address, "-"), first(r.ID, "-")}
}
