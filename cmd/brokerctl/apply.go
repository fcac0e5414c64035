package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"broker/cmd/brokerctl/internal/declare"
)

const filesHelp = `Files hold YAML documents, several in one file separated by ---. Each has a kind and the fields that the
API has for it; what is left out has its default. -f takes files, directories (with all .yaml, .yml and
.json files beneath) and - for standard input.

  kind: environment
  name: payments/production
  ---
  kind: connection
  name: orders-db
  provider: postgres
  environments: [payments/*]
  settings:
    host: db.example
    database: orders
    username: broker
    password: {from_env: ORDERS_DB_PASSWORD}      # or {from_file: PATH}, relative to this file
  ---
  kind: secret
  environment: payments/production
  name: orders-ro
  connection: orders-db
  default_ttl: 1h
  max_ttl: 24h
  options:
    member_of: [readonly]
  outputs:
    - {key: DB_USER, source: username}
    - {key: DB_PASSWORD, source: password}
  labels: {team: payments}
  ---
  kind: group
  name: payments-team
  ---
  kind: role-binding
  role: developer
  group: payments-team
  scope: payments/*

Other kinds are user, service, policy and lock; docs/declarative.md has the fields of each.`

// declareFlags say what is wanted.
type declareFlags struct {
	paths  []string
	labels []string
	prune  bool
}

func (f *declareFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.paths, "filename", "f", nil, "a file, a directory or - for standard input; repeatable")
	cmd.Flags().StringArrayVarP(&f.labels, "label", "l", nil, "the label k=v is put on each secret of the files, and --prune chooses by it; repeatable")
	cmd.Flags().BoolVar(&f.prune, "prune", false, "delete the secrets that have the labels of -l and are in no file")
}

func (a *app) applyCommand() *cobra.Command {
	var flags declareFlags
	var run applying
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Make the broker hold what files say",
		Long: `Make the broker hold what files say. Everything is read and checked, by the broker too, before the first change; what
is as the files say is left alone, so that applying again changes nothing. When a change fails, what was done
and what was not is told, and applying again goes on.

A secret field of a connection is compared by the broker, which tells only whether it differs. When the broker
has exchanged the root credential itself (connection rotate), it keeps that.

Only --prune deletes, and only secrets; one with live leases needs --revoke-leases.

` + filesHelp,
		Example: `  brokerctl diff -f config/
  brokerctl apply -f config/
  brokerctl apply -f config/ -l managed-by=git --prune --yes`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if run.plan, err = a.plan(cmd, flags, &run.sender, false); err != nil {
				return err
			}
			return a.apply(cmd.Context(), &run)
		},
	}
	flags.addTo(cmd)
	a.answers(cmd, outcome{})
	cmd.Flags().BoolVar(&run.dryRun, "dry-run", false, "check everything and show what would be done, change nothing")
	cmd.Flags().BoolVar(&run.sender.revokeLeases, "revoke-leases", false, "with --prune: revoke the leases of secrets that are deleted")
	cmd.Flags().BoolVar(&run.sender.skipCheck, "skip-check", false, "save connections without asking the outside systems")
	return cmd
}

// errDiffers is returned by diff --exit-code when there are differences; they are printed already.
var errDiffers = errors.New("there are differences")

func (a *app) diffCommand() *cobra.Command {
	var flags declareFlags
	var sender sender
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "diff -f FILE",
		Short: "Show what applying files would change, field by field",
		Long: `Show what "brokerctl apply" with the same flags would change, field by field. Values from variables and files are never shown. A secret
field whose variable or file is not there is not compared, so that a job that has no secrets can run it.

` + filesHelp,
		Example: "  brokerctl diff -f config/ --exit-code",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, err := a.plan(cmd, flags, &sender, true)
			if err != nil {
				return err
			}
			differs, err := a.showDifferences(plan)
			if err == nil && differs && exitCode {
				return errDiffers
			}
			return err
		},
	}
	flags.addTo(cmd)
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "end with exit code 7 when there are differences")
	cmd.Flags().BoolVar(&sender.skipCheck, "skip-check", false, "do not have connections checked at the outside systems")
	return cmd
}

// plan reads the files and what is there, compares, and has the broker check each change. It gives the sender its client.
func (a *app) plan(cmd *cobra.Command, flags declareFlags, sender *sender, lenient bool) ([]declare.Action, error) {
	ctx := cmd.Context()
	switch {
	case len(flags.paths) == 0:
		return nil, &usageError{err: errors.New("-f is required: a file, a directory or -"), command: cmd.CommandPath()}
	case flags.prune && len(flags.labels) == 0:
		return nil, &usageError{err: errors.New("--prune needs -l"), hint: "-l managed-by=git: only secrets with this label are deleted, and apply puts it on those in the files"}
	case a.format != "table" && a.format != "json" && a.format != "yaml":
		return nil, usage("format %q is not possible here: want table, json, yaml", a.format)
	}
	label, err := labels(flags.labels)
	if err != nil {
		return nil, err
	}
	want, problems, err := a.readDocuments(flags.paths, lenient)
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, a.refuse(problems)
	}
	for i := range want {
		if problem := declare.Label(&want[i], label); problem != nil {
			problems = append(problems, *problem)
		}
	}
	if len(problems) > 0 {
		return nil, a.refuse(problems)
	}
	if sender.client, err = a.client(); err != nil {
		return nil, err
	}
	state, err := a.stateFor(ctx, sender.client, want)
	if err != nil {
		return nil, err
	}
	state.Lenient = lenient
	if flags.prune {
		state.Prune = label
	}
	plan, problems := declare.Plan(want, state)
	if len(problems) > 0 {
		return nil, a.refuse(problems)
	}
	checking := checking{app: a, sender: *sender, lenient: lenient}
	plan, problems, err = checking.check(ctx, plan)
	if err == nil && len(problems) > 0 {
		err = a.refuse(problems)
	}
	return plan, err
}

// refuse prints what is wrong in the files, each with its place.
func (a *app) refuse(problems []declare.Problem) error {
	for _, one := range problems {
		fmt.Fprintln(a.err, clean(one.Error()))
	}
	return fmt.Errorf("%s in the files; nothing was changed", amount(uint64(len(problems)), "problem"))
}

// showDifferences prints the plan field by field and reports whether it has any change.
func (a *app) showDifferences(plan []declare.Action) (bool, error) {
	type difference struct {
		Field string `json:"field"`
		From  any    `json:"from,omitempty"`
		To    any    `json:"to,omitempty"`
		Value string `json:"value,omitempty"` // in place of one that is not printed
	}
	type entry struct {
		Action  string       `json:"action"`
		Kind    string       `json:"kind"`
		Name    string       `json:"name"`
		Changes []difference `json:"changes,omitempty"`
	}
	entries := []entry{}
	for _, one := range plan {
		if one.Verb == declare.Keep {
			continue
		}
		o := one.Object()
		e := entry{Action: string(one.Verb), Kind: o.Kind, Name: o.Name}
		for _, change := range one.Changes {
			d := difference{Field: change.Path, From: change.From, To: change.To}
			if change.Origin != "" {
				d = difference{Field: change.Path, Value: "another one, from " + change.Origin}
			}
			e.Changes = append(e.Changes, d)
		}
		entries = append(entries, e)
	}
	if a.format != "table" || a.field != "" {
		return len(entries) > 0, list(a, entries, nil, nil, nil)
	}
	signs := map[string]string{"create": "+", "update": "~", "delete": "-"}
	var text strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&text, "%s %s %s\n", signs[e.Action], e.Kind, clean(e.Name))
		for _, d := range e.Changes {
			if d.Value != "" {
				fmt.Fprintf(&text, "    %s: %s\n", d.Field, clean(d.Value))
				continue
			}
			fmt.Fprintf(&text, "    %s: %s -> %s\n", clean(d.Field), valueText(d.From), valueText(d.To))
		}
	}
	_, err := fmt.Fprint(a.out, text.String())
	if len(entries) == 0 {
		a.note("no differences")
	}
	return len(entries) > 0, err
}
