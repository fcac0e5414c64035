package main

import (
	"errors"
	"regexp"
	"strings"
	"time"

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
	noun.AddCommand(a.eventList(), a.eventTail())
	return noun
}

func (a *app) eventList() *cobra.Command {
	var flags listFlags
	var chosen eventFlags
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List events, oldest first",
		Example: `  brokerctl event list --after 1200 --all -o json
  brokerctl event list --since 2h --type lease.stuck,orphan --environment 'payments/*'
  brokerctl event list --last 20 --account ci`,
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
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.Event, string, error) {
				page, err := c.ListEvents(cmd.Context(), query, o)
				a.warn(page.Warnings...)
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return a.listEvents(found)
		},
	}
	chosen.addTo(a, cmd)
	cmd.Flags().IntVar(&chosen.query.Last, "last", 0, "begin with so many of the newest events")
	flags.addTo(cmd)
	return cmd
}

func (a *app) listEvents(events []types.Event) error {
	return list(a, events, func(e types.Event) string { return number(e.Index) }, eventHeader(), a.eventCells)
}

func eventHeader() []string {
	return []string{"INDEX", "AT", "TYPE", "SUBJECT", "LEASE", "ACTOR", "NODE", "DETAILS"}
}

func (a *app) eventCells(e types.Event) []string {
	return []string{number(e.Index), a.when(e.At), e.Type, e.Subject, e.LeaseID, first(e.Actor, "-"), e.Node, pairs(e.Details)}
}

// eventFlags are the flags that choose events and say where to begin.
type eventFlags struct {
	query  client.EventQuery
	labels []string
	since  string
}

func eventFlagNames() []string {
	return []string{"type", "lease", "actor", "environment", "secret", "connection", "account", "username", "label", "after", "since"}
}

func (f *eventFlags) addTo(a *app, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.query.Types, "type", nil, "of these types, such as lease.issued, or lease for all of leases")
	flags.StringVar(&f.query.Lease, "lease", "", "of the lease with this id")
	flags.StringVar(&f.query.Actor, "actor", "", "caused by this account")
	flags.StringSliceVar(&f.query.Environments, "environment", nil, "about these environments: app/env, app/* or *")
	flags.StringVar(&f.query.Secret, "secret", "", "about this secret: app/env/name")
	flags.StringVar(&f.query.Connection, "connection", "", "about this connection")
	flags.StringVar(&f.query.Account, "account", "", "about this account or its leases")
	flags.StringVar(&f.query.Username, "username", "", "about the login of this name")
	flags.StringArrayVar(&f.labels, "label", nil, "about leases with this label, k=v; repeatable: all of them")
	flags.StringVar(&f.query.After, "after", "", "begin behind this index of the log, or behind one event of it: index.ordinal")
	flags.StringVar(&f.since, "since", "", "begin with this RFC 3339 time, or so long ago, e.g. 2h")
	a.completeFlag(cmd, "lease", leaseIDs())
	a.completeFlag(cmd, "environment", environmentNames)
	a.completeFlag(cmd, "secret", secretNames)
	a.completeFlag(cmd, "connection", connectionNames)
	a.completeFlag(cmd, "account", accountNames)
	a.completeFlag(cmd, "actor", accountNames)
}

var positionRE = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

// read refuses flags without a value, like those that choose leases.
func (f *eventFlags) read(a *app, cmd *cobra.Command) (client.EventQuery, error) {
	for _, name := range eventFlagNames() {
		if flag := cmd.Flags().Lookup(name); flag.Changed && strings.Trim(flag.Value.String(), "[]") == "" {
			return f.query, &usageError{err: errors.New("--" + name + " is empty"), command: cmd.CommandPath()}
		}
	}
	last := cmd.Flags().Lookup("last")
	begins := 0
	for _, given := range []bool{f.query.After != "", f.since != "", last.Changed} {
		if given {
			begins++
		}
	}
	switch {
	case begins > 1:
		return f.query, usage("--after, --since and --last exclude each other: each says where to begin")
	case begins == 1 && !last.Changed:
		f.query.Last = 0
	case last.Changed && (f.query.Last < 0 || f.query.Last > types.MaxPage):
		return f.query, usage("--last must be 0 to %d", types.MaxPage)
	}
	if f.query.After != "" && !positionRE.MatchString(f.query.After) {
		return f.query, usage("--after must be an index of the log such as 1200, or index.ordinal")
	}
	var err error
	if f.query.Labels, err = labels(f.labels); err != nil {
		return f.query, err
	}
	if f.since != "" {
		f.query.Since, err = pastFlag("since", f.since, a.now())
	}
	return f.query, err
}

// pastFlag reads an instant, or how long ago it was.
func pastFlag(flag, text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, nil
	}
	ago, err := types.ParseDuration(text)
	if err != nil || ago < 0 {
		return time.Time{}, usage("--%s must be an RFC 3339 time such as 2026-01-31T12:00:00Z, or how long ago, such as 2h", flag)
	}
	return now.Add(-ago.Std()), nil
}
