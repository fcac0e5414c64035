package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/client"
)

// changeFlags are the flags of commands that change something.
type changeFlags struct {
	dryRun    bool
	ifVersion uint64
	key       string
}

func (f *changeFlags) addTo(cmd *cobra.Command, conditional bool) {
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "validate and show the effect, change nothing")
	if conditional {
		cmd.Flags().Uint64Var(&f.ifVersion, "if-version", 0, "refuse when the object's version is another")
		return
	}
	cmd.Flags().StringVar(&f.key, "idempotency-key", "", "make repeating the command safe: the same key gets the same answer")
}

func (f *changeFlags) options() []client.Option {
	options := []client.Option{client.IfVersion(f.ifVersion)}
	if f.dryRun {
		options = append(options, client.DryRun())
	}
	if f.key != "" {
		options = append(options, client.WithIdempotencyKey(f.key))
	}
	return options
}

// done tells people what was done, or would have been.
func (f *changeFlags) done(a *app, past, what string) {
	if f.dryRun {
		a.note("%s would be %s (dry run)", what, past)
		return
	}
	a.note("%s %s", what, past)
}

// confirm asks before something that cannot be undone. Without somebody to ask, --yes is needed.
func (a *app) confirm(question string) error {
	if a.yes {
		return nil
	}
	if !a.interactive {
		return &usageError{err: fmt.Errorf("%s needs a confirmation", strings.ToLower(question[:1])+question[1:]), hint: "add --yes"}
	}
	fmt.Fprintf(a.err, "%s? [y/N] ", question)
	answer, _ := bufio.NewReader(a.in).ReadString('\n') // no answer is a no
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return usage("not confirmed; nothing was done")
}

// listFlags are the flags of commands that list.
type listFlags struct {
	limit int
	all   bool
}

func (f *listFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.limit, "limit", 100, "print at most so many")
	cmd.Flags().BoolVar(&f.all, "all", false, "print all, however many there are")
}

// collect reads pages until there are enough and notes when there are more.
func collect[T any](a *app, flags listFlags, page func(client.ListOptions) ([]T, string, error)) ([]T, error) {
	if flags.limit < 1 {
		return nil, usage("--limit must be at least 1")
	}
	var out []T
	options := client.ListOptions{}
	for {
		options.Limit = 1000
		if !flags.all {
			options.Limit = min(1000, flags.limit-len(out))
		}
		items, next, err := page(options)
		if err != nil {
			return nil, err
		}
		out = append(out, items...)
		if next == "" {
			return out, nil
		}
		if !flags.all && len(out) >= flags.limit {
			a.note("note: there are more; --limit or --all prints them")
			return out, nil
		}
		options.Cursor = next
	}
}
