package main

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

// selectorFlags are the flags that choose leases, the same wherever leases are chosen.
type selectorFlags struct {
	selector client.LeaseSelector
	labels   []string
	times    [4]string
}

// selectorNames are the names of the flags that choose.
func selectorNames() []string {
	return append([]string{"environment", "secret", "connection", "account", "username", "label", "state", "token", "operation"}, timeNames()...)
}

func timeNames() []string {
	return []string{"issued-after", "issued-before", "expires-after", "expires-before"}
}

func (f *selectorFlags) addTo(a *app, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.selector.Environments, "environment", nil, "of these environments: app/env, app/* or *")
	flags.StringVar(&f.selector.Secret, "secret", "", "of this secret: app/env/name")
	flags.StringVar(&f.selector.Connection, "connection", "", "of this connection")
	flags.StringVar(&f.selector.Account, "account", "", "held by this account")
	flags.StringVar(&f.selector.Username, "username", "", "whose login has or had this name")
	flags.StringArrayVar(&f.labels, "label", nil, "with this label, k=v; repeatable: all of them")
	flags.StringSliceVar(&f.selector.States, "state", nil, "in these states: pending, active, revoking, revoked, expired, failed, overdue, stuck, missing, forgotten")
	flags.StringVar(&f.selector.Token, "token", "", "issued with the token of this accessor")
	flags.StringVar(&f.selector.Operation, "operation", "", "revoked by this operation")
	for i, name := range timeNames() {
		flags.StringVar(&f.times[i], name, "", strings.ReplaceAll(name, "-", " ")+" this RFC 3339 time")
	}
	a.completeFlag(cmd, "environment", environmentNames)
	a.completeFlag(cmd, "secret", secretNames)
	a.completeFlag(cmd, "connection", connectionNames)
	a.completeFlag(cmd, "account", accountNames)
	a.completeFlag(cmd, "operation", operationIDs(""))
}

// given reports whether any of the flags was used, also with an empty value.
func (f *selectorFlags) given(cmd *cobra.Command) bool {
	for _, name := range selectorNames() {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

// read refuses flags without a value: a variable of a script that is not set must not choose more.
func (f *selectorFlags) read(cmd *cobra.Command) (client.LeaseSelector, error) {
	for _, name := range selectorNames() {
		if flag := cmd.Flags().Lookup(name); flag.Changed && strings.Trim(flag.Value.String(), "[]") == "" {
			return f.selector, &usageError{err: errors.New("--" + name + " is empty"), command: cmd.CommandPath()}
		}
	}
	var err error
	if f.selector.Labels, err = labels(f.labels); err != nil {
		return f.selector, err
	}
	targets := []*time.Time{&f.selector.IssuedAfter, &f.selector.IssuedBefore, &f.selector.ExpiresAfter, &f.selector.ExpiresBefore}
	for i, name := range timeNames() {
		if *targets[i], err = instantFlag(name, f.times[i]); err != nil {
			return f.selector, err
		}
	}
	return f.selector, nil
}

// instantFlag reads an instant of a flag; an empty text is the zero time.
func instantFlag(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, usage("--%s must be an RFC 3339 time such as 2026-01-31T12:00:00Z", flag)
	}
	return at, nil
}

// untilFlags are --until and --ttl: the end of something that begins now.
type untilFlags struct{ until, ttl string }

func (f *untilFlags) addTo(cmd *cobra.Command, what string) {
	cmd.Flags().StringVar(&f.until, "until", "", what+" this RFC 3339 time")
	cmd.Flags().StringVar(&f.ttl, "ttl", "", what+" so long from now, e.g. 2h")
}

func (f *untilFlags) read() (time.Time, *types.Duration, error) {
	if f.until != "" && f.ttl != "" {
		return time.Time{}, nil, usage("--until and --ttl exclude each other")
	}
	until, err := instantFlag("until", f.until)
	if err != nil {
		return until, nil, err
	}
	length, err := ttl("ttl", f.ttl)
	return until, length, err
}

// selectorText names what a selector chooses.
func selectorText(s types.LeaseSelector) string {
	var parts []string
	add := func(noun, value string) {
		if value != "" {
			parts = append(parts, noun+" "+value)
		}
	}
	if len(s.ID) > 3 {
		add("leases", number(len(s.ID))+" by their ids")
	} else {
		add("lease", strings.Join(s.ID, ","))
	}
	add("environment", strings.Join(s.Environment, ","))
	add("secret", s.Secret)
	add("connection", s.Connection)
	add("account", s.Account)
	add("username", s.Username)
	add("label", strings.Join(s.Label, ","))
	add("state", strings.Join(s.State, ","))
	add("token", s.Token)
	add("operation", s.Operation)
	for _, one := range []struct {
		words string
		at    time.Time
	}{{"issued after", s.IssuedAfter}, {"issued before", s.IssuedBefore}, {"expiring after", s.ExpiresAfter}, {"expiring before", s.ExpiresBefore}} {
		if !one.at.IsZero() {
			add(one.words, one.at.UTC().Format(time.RFC3339))
		}
	}
	return strings.Join(parts, ", ")
}
