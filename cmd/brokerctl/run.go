package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

// The exit codes of run that are its own and not the command's, as env(1) has them.
const (
	exitRunFailed     = 125
	exitNotExecutable = 126
	exitNoCommand     = 127
)

// runTTL is how long leases of run last unless said. A third of it is the outage of the broker that is survived.
const runTTL = 5 * time.Minute

// runError is a failure of run itself.
type runError struct {
	err  error
	code int
}

// Error returns the cause's text.
func (e *runError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *runError) Unwrap() error { return e.err }

// childExit is returned when the command of run ended with something else than 0.
type childExit struct{ code int }

// Error says so.
func (e *childExit) Error() string { return fmt.Sprintf("the command ended with %d", e.code) }

// runSpec is what was asked of run.
type runSpec struct {
	secrets []string
	command []string
	path    string // of the command's executable
	spec    types.IssueSpec
	wait    time.Duration
	overlap time.Duration
	stop    time.Duration
	atMax   string
}

const runHelp = `Run a command with leased values in its environment, and see to it that they are good for as long as it runs.

One lease is issued of each secret; when one cannot be, those that were are revoked, and nothing runs. Leases are short
(--ttl) and renewed when two thirds of their time are over, so that nothing is left for long when this program is killed.
When the command ends its leases are revoked. While the broker is away the command goes on, and renewing is tried until it
succeeds: an outage of a third of --ttl is always survived.

A lease cannot live longer than its secret's max TTL. Before that a new one is issued, and the old one is revoked --overlap
later. What the command is told is the choice of --at-max:
  restart      it is ended (SIGTERM, and SIGKILL after --stop-timeout) and started again with the new values
  signal=HUP   it gets that signal, and reads the new values from the file that BROKER_VALUES_FILE names, which is memory of
               the kernel and on no disk: a JSON object, there from the start (Linux)
  exit         no new lease is issued: it is ended, and so is this program

It signs in by itself: with a client secret (--client-id, or BROKER_CLIENT_ID, with --client-secret-file, BROKER_CLIENT_SECRET
or BROKER_CLIENT_SECRET_FILE), with a token (--token-file, BROKER_TOKEN, BROKER_TOKEN_FILE), with broker-client-id and
broker-client-secret or broker-token in the directory $CREDENTIALS_DIRECTORY that systemd makes, or as the context says.
Client secrets and token files are read again when a token ends. The command does not get BROKER_TOKEN and
BROKER_CLIENT_SECRET.

Signals are passed on: TERM, INT, HUP, QUIT, USR1, USR2 and WINCH. At a terminal the command is in the foreground with this
program and gets from the terminal what is typed there.

The exit code is the command's, or 128 and the number of the signal that ended it; 125 when leases could not be had or
something else failed, 126 when the command cannot be executed, 127 when there is none.`

func (a *app) runCommand() *cobra.Command {
	var run runSpec
	var as runIdentity
	var ttlText string
	var labelTexts []string
	cmd := &cobra.Command{
		Use:   "run APP/ENV/NAME… -- COMMAND [ARGUMENT…]",
		Short: "Run a command with leased values in its environment",
		Long:  runHelp,
		Example: `  brokerctl run payments/production/orders-ro -- ./server
  brokerctl run payments/production/orders-ro payments/production/queue --ttl 2m --at-max signal=HUP -- ./worker --verbose
  brokerctl run payments/production/orders-ro -- sh -c 'psql "$DATABASE_URL"'`,
		ValidArgsFunction: a.complete(secretNames),
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return ownFailure(a.checkFlags(cmd)) },
		RunE: func(cmd *cobra.Command, args []string) error {
			err := run.read(cmd, args, ttlText, labelTexts)
			if err == nil {
				err = a.runLeased(cmd.Context(), run, as)
			}
			return ownFailure(err)
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return ownFailure(&usageError{err: flagProblem(cmd, err), command: cmd.CommandPath()})
	})
	run.wait, run.overlap, run.stop = time.Minute, time.Minute, 10*time.Second
	f := cmd.Flags()
	f.StringVar(&ttlText, "ttl", "", "how long a lease lasts without being renewed; 5m unless said, less where a secret allows less, and a secret's default where leases cannot be renewed")
	f.Var((*durationFlag)(&run.wait), "wait", "how long to wait at the start for a broker that is away")
	f.StringVar(&run.atMax, "at-max", "restart", "what happens when a lease cannot be renewed any more: restart, signal=NAME or exit")
	f.Var((*durationFlag)(&run.overlap), "overlap", "how long a lease that was replaced lives on")
	f.Var((*durationFlag)(&run.stop), "stop-timeout", "how long the command has to end before it is killed, when it is ended at max TTL")
	f.StringVar(&run.spec.Name, "name", "", "what the leases are called; the secret's name unless said")
	f.StringArrayVar(&labelTexts, "label", nil, "a label of the leases as k=v; repeatable")
	f.StringVar(&as.clientID, "client-id", "", "sign in as this account, with a client secret (BROKER_CLIENT_ID)")
	f.StringVar(&as.clientSecretFile, "client-secret-file", "", "read the client secret from this file (BROKER_CLIENT_SECRET_FILE)")
	return cmd
}

// ownFailure gives an error of run the exit code that no command of its own has.
func ownFailure(err error) error {
	var own *runError
	var child *childExit
	if err == nil || errors.As(err, &own) || errors.As(err, &child) {
		return err
	}
	return &runError{err, exitRunFailed}
}

// read takes the command line apart and refuses what is wrong with it, before anything is asked of the broker.
func (r *runSpec) read(cmd *cobra.Command, args []string, ttlText string, labelTexts []string) error {
	dash := cmd.ArgsLenAtDash()
	if dash < 1 || dash == len(args) {
		err := usage("want at least one APP/ENV/NAME, then -- and a command")
		err.hint = "brokerctl run payments/production/orders-ro -- ./server"
		return err
	}
	r.secrets, r.command = args[:dash], args[dash:]
	for i, secret := range r.secrets {
		if _, _, err := client.SplitSecret(secret); err != nil {
			return &usageError{err: err}
		}
		if slices.Contains(r.secrets[:i], secret) {
			return usage("%s is given twice", secret)
		}
	}
	var err error
	if r.spec.TTL, err = ttl("ttl", ttlText); err != nil {
		return err
	}
	if r.spec.Labels, err = labels(labelTexts); err != nil {
		return err
	}
	if name, isSignal := strings.CutPrefix(r.atMax, "signal="); isSignal {
		if _, err := signalNamed(name); err != nil {
			return usage("--at-max %w", err)
		}
	} else if r.atMax != "restart" && r.atMax != "exit" {
		return usage("--at-max must be restart, signal=NAME or exit")
	}
	r.path, err = exec.LookPath(r.command[0])
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return &runError{fmt.Errorf("there is no command %s", r.command[0]), exitNoCommand}
	case err != nil:
		return &runError{fmt.Errorf("executing %s: %w", r.command[0], err), exitNotExecutable}
	}
	return nil
}

// runLeased gets the leases, runs the command and revokes them.
func (a *app) runLeased(ctx context.Context, run runSpec, as runIdentity) (err error) {
	// People wait for the start as they said; the command's calls wait for the broker as long as it takes.
	ctx = client.OnWait(ctx, func(time.Duration, error) bool { return true })
	c, signOut, err := a.signIn(ctx, run.wait, as)
	if err != nil {
		return err
	}
	defer signOut()
	child := newSupervisor(a, run)
	defer child.close()
	// Interrupted while it begins it gives everything back; later it is the command that is interrupted.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	begun := context.AfterFunc(ctx, end)
	leases, err := a.takeLeases(life, c, run, child.tell)
	defer func() {
		for _, failure := range leases.release() {
			a.warn("a lease could not be revoked: " + failure.Error())
		}
	}()
	if err != nil {
		return err
	}
	if !begun() {
		return fmt.Errorf("starting the command: %w", context.Cause(ctx))
	}
	return child.supervise(leases)
}
