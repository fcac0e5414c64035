package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// checkTimeout bounds everything that a check may wait for.
const checkTimeout = 15 * time.Second

// errCheckFailed is returned when a check has failed; the report has said which.
var errCheckFailed = errors.New("this node would not run well")

// Less of these than minimal is too little to start with, or for a snapshot.
const (
	minimalBytes = 64 << 20
	warnedBytes  = 512 << 20
)

// A finding is what one check came to.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	Says   string `json:"says"`
}

// The results of a check.
const (
	resultOK      = "ok"
	resultWarning = "warning"
	resultFailed  = "FAILED"
)

// report gathers findings.
type report struct {
	Result string    `json:"result"` // the worst
	Checks []finding `json:"checks"`
}

func (r *report) add(check, result, format string, args ...any) {
	r.Checks = append(r.Checks, finding{check, result, fmt.Sprintf(format, args...)})
	if r.Result == "" || result == resultFailed || result == resultWarning && r.Result == resultOK {
		r.Result = result
	}
}

func (r *report) ok(check, format string, args ...any) { r.add(check, resultOK, format, args...) }
func (r *report) warn(check, format string, args ...any) {
	r.add(check, resultWarning, format, args...)
}
func (r *report) fail(check, format string, args ...any) { r.add(check, resultFailed, format, args...) }

// write shows the report, one line for each check.
func (r *report) write(w io.Writer, format string) error {
	if format == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	for _, f := range r.Checks {
		if _, err := fmt.Fprintf(w, "%-8s %-14s %s\n", f.Result, f.Check, f.Says); err != nil {
			return err
		}
	}
	return nil
}

func checkCommand() *cobra.Command {
	var output string
	var health bool
	options := pflag.NewFlagSet("check", pflag.ContinueOnError)
	serverFlags(options)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look whether a node would run well here, and change nothing",
		Long: `Look whether a node with these options would run well on this machine: the same flags, variables and
file as those of brokerd server. Run it as the user that the node runs as.

Each check is one line: ok, warning, or FAILED with what would be right. It may run beside the node: it
opens none of the log's files and takes no lock. To measure the disk it writes a small file into the
data directory and removes it.

With --health it only asks the node that runs with these options whether it is alive.`,
		Example: "  brokerd check --config /etc/broker/brokerd.yaml\n  brokerd check --config /etc/broker/brokerd.yaml -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return wrong("--output: %q is neither text nor json", output)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), checkTimeout)
			defer cancel()
			r := check(ctx, options, health)
			if err := r.write(cmd.OutOrStdout(), output); err != nil {
				return fmt.Errorf("writing the report: %w", err)
			}
			if r.Result == resultFailed {
				return errCheckFailed
			}
			return nil
		},
	}
	cmd.Flags().AddFlagSet(options)
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	cmd.Flags().BoolVar(&health, "health", false, "only ask the running node whether it is alive")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	return cmd
}

// check makes the report.
func check(ctx context.Context, options *pflag.FlagSet, health bool) *report {
	r := &report{}
	var warnings bytes.Buffer
	c, err := loadConfig(options, &warnings)
	if err != nil {
		r.fail("configuration", "%v", err)
		return r
	}
	if health {
		r.checkHealth(ctx, c)
		return r
	}
	if text := strings.TrimSpace(warnings.String()); text != "" {
		for _, line := range strings.Split(text, "\n") {
			r.warn("configuration", "%s", strings.TrimPrefix(line, "warning: "))
		}
	} else {
		r.ok("configuration", "node %s, data in %s", c.NodeID, c.DataDir)
	}
	m := r.checkMember(c)
	r.checkDataDir(c)
	r.checkDisk(c.DataDir)
	r.checkSnapshotDir(c)
	r.checkAudit(c)
	r.checkKeyFile(c, m)
	if c.APICertFile != "" {
		r.checkCertificate("API certificate", c.APICertFile, c.APIKeyFile, c.clientNames(), time.Now())
	}
	r.checkPorts(ctx, c, m)
	greetings := r.checkPeers(ctx, c, m)
	r.checkClock(greetings)
	r.checkLimits()
	r.checkOutside(c)
	return r
}
