package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
)

// app is what every command works with.
type app struct {
	in          io.Reader
	out         io.Writer
	err         io.Writer
	getenv      func(string) string
	terminal    bool                                // standard output is one: people read it
	interactive bool                                // somebody can answer questions
	secretly    func(prompt string) (string, error) // asks without showing what is typed; nil: nobody can be asked
	now         func() time.Time

	// The flags that every command has.
	address   string
	context   string
	tokenFile string
	caCert    string
	timeout   time.Duration
	reading   string // the consistency of reads
	maxStale  time.Duration
	format    string
	field     string
	quiet     bool
	yes       bool

	used         target // where the command went
	timeoutGiven bool
	saidWaiting  atomic.Bool // what a call waits for was said
}

const rootHelp = `brokerctl manages a broker of dynamic secrets: credentials for outside systems that
are made on demand, tied to an account, valid for a limited time and gone at the end.

Where the broker is comes from, in this order: flags, the variables BROKER_ADDR (addresses of
any nodes, comma-separated), BROKER_TOKEN or BROKER_TOKEN_FILE and BROKER_CACERT, and the context
in use (see "brokerctl context").

When no node can be reached at all, commands give up after two seconds unless --timeout is given; they wait
longer for a broker that is there and has no leader.

Exit codes: 0 done, 1 error, 2 wrong usage, 3 not found, 4 not allowed, 5 unavailable, 6 conflict,
7 differences (diff --exit-code).`

const rootExample = `  brokerctl env create payments/production
  brokerctl connection create orders-db --provider postgres --environments 'payments/*' \
      --set host=db.example --set database=orders --set username=broker --set password=@pw.txt
  brokerctl secret create payments/production/orders-ro --connection orders-db \
      --default-ttl 1h --max-ttl 24h --set member_of=readonly
  brokerctl lease issue payments/production/orders-ro --ttl 30m
  brokerctl lease list`

// root returns the whole tree of commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:               "brokerctl",
		Short:             "Manage a broker of dynamic secrets",
		Long:              rootHelp,
		Example:           rootExample,
		Version:           version(),
		SilenceErrors:     true, // report prints them
		SilenceUsage:      true,
		Args:              a.noArguments,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.checkFlags(cmd) },
		PersistentPostRun: func(cmd *cobra.Command, _ []string) { a.learnNodes(cmd.Context()) },
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	flags := root.PersistentFlags()
	flags.StringVar(&a.address, "addr", "", "addresses of any nodes, comma-separated (BROKER_ADDR)")
	flags.StringVar(&a.context, "context", "", "use this context")
	flags.StringVar(&a.tokenFile, "token-file", "", "read the token from this file (BROKER_TOKEN_FILE)")
	flags.StringVar(&a.caCert, "ca-cert", "", "trust the CAs in this PEM file (BROKER_CACERT)")
	a.timeout = 30 * time.Second
	flags.Var((*durationFlag)(&a.timeout), "timeout", "give up after this long, with all tries")
	flags.StringVar(&a.reading, "consistency", "", "how reads are made: linearizable (the default) sees every change that was answered, stale is what the node has, also without a leader, session is stale but for what this command did itself")
	flags.Var((*durationFlag)(&a.maxStale), "max-stale", "with --consistency stale, which it implies: refuse what may be older, e.g. 5s")
	flags.Lookup("max-stale").DefValue = "" // however old, rather than 0s
	flags.StringVarP(&a.format, "format", "o", "table", "how to print: table, json, yaml or name")
	flags.StringVar(&a.field, "field", "", "print only this field, e.g. expires_at or labels.team")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "print names or ids only")
	flags.BoolVar(&a.yes, "yes", false, "do not ask before what cannot be undone")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{err: flagProblem(cmd, err), command: cmd.CommandPath()}
	})
	root.AddCommand(
		a.envCommand(), a.connectionCommand(), a.secretCommand(), a.leaseCommand(), a.eventCommand(),
		a.providerCommand(), a.statusCommand(), a.clusterCommand(), a.contextCommand(), a.lockCommand(), a.unlockCommand(), a.operationCommand(),
		a.sweepCommand(), a.orphanCommand(), a.accountCommand(), a.loginCommand(), a.snapshotCommand(),

		a.auditCommand(),
		a.sealCommand(),
		a.roleCommand(), a.policyCommand(), a.accessCommand(),

		a.groupCommand(), a.tokenCommand(), a.logoutCommand(), a.unwrapCommand(),

		a.runCommand(), a.agentCommand(),

		a.applyCommand(), a.diffCommand(), a.exportCommand(),
	)
	for _, noun := range root.Commands() {
		if noun.HasSubCommands() && noun.RunE == nil {
			noun.Args = a.noArguments
			noun.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	return root
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// noArguments refuses what is no subcommand and names the likely one.
func (a *app) noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := &usageError{err: fmt.Errorf("unknown command %q", cmd.CommandPath()+" "+args[0]), command: cmd.CommandPath()}
	var names []string
	for _, one := range cmd.Commands() {
		if one.IsAvailableCommand() {
			names = append(names, one.Name())
		}
	}
	if likely := nearest(args[0], names); likely != "" {
		err.hint = fmt.Sprintf("did you mean %q?", cmd.CommandPath()+" "+likely)
	}
	return err
}

// exactly returns a check for commands with so many arguments, which it names in its error.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if f := cmd.Flags().ShorthandLookup("f"); len(names) == 0 && f != nil && (f.Name == "filename" || f.Name == "file") {
			return &usageError{err: fmt.Errorf("%s stands alone: files are given with -f", args[0]), command: cmd.CommandPath()}
		}
		what := "no argument"
		if len(names) > 0 {
			what = strings.Join(names, " ")
		}
		return &usageError{err: fmt.Errorf("want %s, got %s", what, amount(uint64(len(args)), "argument")), command: cmd.CommandPath()}
	}
}

// atMostOne is exactly for commands with an argument that may be left out.
func atMostOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= 1 {
			return nil
		}
		return &usageError{err: fmt.Errorf("want at most one %s", name), command: cmd.CommandPath()}
	}
}
