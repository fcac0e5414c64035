package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"broker/api/types"
)

// durationFlag is a length of time as people write it everywhere else, days included.
type durationFlag time.Duration

// Set reads the flag's value.
func (d *durationFlag) Set(text string) error {
	read, err := types.ParseDuration(text)
	if err != nil {
		return err
	}
	if read <= 0 {
		return errors.New("must be longer than zero")
	}
	*d = durationFlag(read)
	return nil
}

// String returns the value for help texts.
func (d *durationFlag) String() string { return types.Duration(*d).String() }

// Type returns the name of the type for help texts.
func (d *durationFlag) Type() string { return "duration" }

// checkFlags refuses what no command can mean, before anything is done.
func (a *app) checkFlags(cmd *cobra.Command) error {
	var empty string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		// Only texts that may be empty have a meaning then: a description, say, is removed.
		if f.Value.Type() == "string" && f.Value.String() == "" && (strings.HasSuffix(f.Name, "ttl") || slices.Contains(neverEmpty, f.Name)) {
			empty = f.Name
		}
	})
	if empty != "" {
		// A variable of a script that is not set must not mean the default.
		return &usageError{err: fmt.Errorf("--%s is empty", empty), command: cmd.CommandPath()}
	}
	a.timeoutGiven = cmd.Flags().Changed("timeout")
	readings := []string{"", string(types.Linearizable), string(types.Session), string(types.Stale)}
	if !slices.Contains(readings, a.reading) {
		return usage("--consistency must be %s", strings.Join(readings[1:], ", "))
	}
	switch {
	case a.maxStale > 0 && a.reading == "":
		a.reading = string(types.Stale)
	case a.maxStale > 0 && a.reading != string(types.Stale):
		return usage("--max-stale goes with --consistency stale: other reads are never older than what they say")
	}
	return a.checkFormat(cmd)
}

// neverEmpty are flags that mean nothing without a value.
var neverEmpty = []string{"addr", "ca-cert", "consistency", "context", "field", "format", "idempotency-key", "out", "system", "token-file", "until"}

// flagProblem says in our words what is wrong with a flag.
func flagProblem(cmd *cobra.Command, err error) error {
	var (
		wrong   *pflag.InvalidValueError
		unknown *pflag.NotExistError
		without *pflag.ValueRequiredError
	)
	switch {
	case errors.As(err, &wrong):
		return fmt.Errorf("--%s %s", wrong.GetFlag().Name, rule(wrong))
	case errors.As(err, &without):
		return fmt.Errorf("--%s needs a value", without.GetFlag().Name)
	case errors.As(err, &unknown):
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if likely := nearest(unknown.GetSpecifiedName(), names); likely != "" && len(unknown.GetSpecifiedName()) > 1 {
			return fmt.Errorf("%w; did you mean --%s?", err, likely)
		}
	}
	return err
}

// rule says what values a flag takes.
func rule(wrong *pflag.InvalidValueError) string {
	switch wrong.GetFlag().Value.Type() {
	case "bool":
		return "must be true or false"
	case "int", "int64", "int32":
		return "must be a whole number"
	case "uint", "uint64", "uint32":
		return "must be a whole number, not below zero"
	case "stringSlice":
		return "must be a list, separated by commas"
	}
	return wrong.Unwrap().Error()
}
