// Command brokerd is the broker's daemon. It is the composition root: the only place that names
// concrete providers and joins the packages together.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set when a release is built.
var version = "dev"

// gcPercent lets the heap grow to five times of what lives before it is collected. What lives is a few
// megabytes, since the state is in a file: with the runtime's default of 100 a busy node collects dozens of
// times a second.
const gcPercent = 400

func main() {
	if err := harden(); err != nil {
		fmt.Fprintln(os.Stderr, "warning:", err)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run carries out a command line and returns the exit code: 0, 1 for a failure, 2 for wrong usage, 3 for
// what somebody has to mend first.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           "brokerd",
		Short:         "Lease short-lived credentials to people and machines",
		Long:          "brokerd leases short-lived credentials for databases and other systems, and removes them when their time is over, whatever crashes.",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(serverCommand(), devCommand(), checkCommand(), adminTokenCommand(), restoreCommand(), recoverCommand())
	root.CompletionOptions.DisableDefaultCmd = true
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "error:", err)
	if isUsage(err) {
		fmt.Fprintf(stderr, "hint: %s --help tells what is possible\n", cmd.CommandPath())
	} else if says := hint(err); says != "" {
		fmt.Fprintln(stderr, "hint:", says)
	}
	return exitCode(err)
}
