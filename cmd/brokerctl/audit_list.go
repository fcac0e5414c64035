package main

import (
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
of its own, of the requests that it took or served: --node says whose.`,
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
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.AuditRecord, string, error) {
				page, err := c.ListAuditRecords(cmd.Context(), query, o)
				a.warn(page.Warnings...)
				return page.Items, page.NextCursor, err
			})
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
	f.StringVar(&query.Result, "result", "", "ended so: ok, refused, failed or unanswered")
	f.StringVar(&query.Request, "request", "", "of the request with this id")
	f.BoolVar(&query.Changes, "changes", false, "leave out what changed nothing and went well: reads, calls of outside systems")
	f.StringVar(&since, "since", "", "from this RFC 3339 time on, or so long ago, e.g. 2h")
	f.StringVar(&until, "until", "", "up to this time, likewise")
	a.completeFlag(cmd, "account", accountNames)
	flags.addTo(cmd)
	return cmd
}

func (a *app) auditCells(r types.AuditRecord) []string {
	what, result, status, took := r.Action, r.Result, "-", "-"
	if r.Type == "call" {
		what, result = r.Call, r.Outcome
	} else if what == "" {
		what = r.Method + " " + r.Path
	}
	if r.Status > 0 {
		status = strconv.Itoa(r.Status)
	}
	if r.TookUS != nil {
		took = (time.Duration(*r.TookUS) * time.Microsecond).String()
	}
	return []string{number(r.Seq), a.when(r.Time), r.Type, first(r.Account, "-"), what, r.Resource, result, status, took, r.Address, r.ID}
}
