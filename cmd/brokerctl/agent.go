package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"broker/agent"
	"broker/api/client"
	"broker/sdnotify"
)

const agentHelp = `Write leased values to files and Kubernetes Secrets, and keep them good: an agent renews the leases, replaces them before
their longest life ends, writes what changed by one rename, and tells the readers by a command or a signal.

When it ends, its leases stay alive for what is left of their TTL, so that it can be restarted and upgraded without a new
credential: its state directory knows which leases it has (never values), and what it finds as it was written it goes on with.
With --revoke-at-exit they are revoked instead. Of several agents with the same state one works, the others wait.

SIGHUP has the configuration read again; one that is wrong changes nothing. docs/agent.md has all options.`

const agentExample = `  brokerctl agent -f agent.yaml --check     # is it right? names the line where it is not
  brokerctl agent -f agent.yaml             # until it is told to end
  brokerctl agent -f agent.yaml --once      # write and end, e.g. in an init container; leases live for their TTL

  # agent.yaml
  state: /var/lib/broker-agent
  secrets:
    - secret: payments/production/orders-ro
      ttl: 1h
      files:
        - path: /run/orders/db.env
          format: env
      reload:
        exec: [systemctl, reload, orders]`

// agentFlags are those of agent alone.
type agentFlags struct {
	path                     string
	check, once, revokeAtEnd bool
	wait                     time.Duration
	as                       runIdentity
}

func (a *app) agentCommand() *cobra.Command {
	f := agentFlags{wait: time.Minute}
	cmd := &cobra.Command{
		Use:     "agent -f FILE",
		Short:   "Write leased values to files and Kubernetes Secrets, and keep them good",
		Long:    agentHelp,
		Example: agentExample,
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.path == "" {
				err := usage("-f is missing: the agent's configuration")
				err.command = cmd.CommandPath()
				return err
			}
			if f.once && f.revokeAtEnd {
				return usage("--once and --revoke-at-exit exclude each other: what is written would be dead at once")
			}
			config, err := f.load()
			if err != nil {
				return &usageError{err: err}
			}
			if f.check {
				a.note("%s is right: %s", f.path, config)
				return nil
			}
			return a.runAgent(cmd.Context(), config, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.path, "file", "f", "", "the configuration")
	flags.BoolVar(&f.check, "check", false, "only look whether the configuration is right")
	flags.BoolVar(&f.once, "once", false, "end when everything that is required is written")
	flags.Var((*durationFlag)(&f.wait), "wait", "with --once: fail when that has not come to pass in this time")
	flags.BoolVar(&f.revokeAtEnd, "revoke-at-exit", false, "revoke the leases at the end, as revoke_at_exit: true does")
	flags.StringVar(&f.as.clientID, "client-id", "", "sign in as this account, with a client secret (BROKER_CLIENT_ID)")
	flags.StringVar(&f.as.clientSecretFile, "client-secret-file", "", "read the client secret from this file (BROKER_CLIENT_SECRET_FILE)")
	return cmd
}

// load reads the configuration as these flags change it, and refuses what could not work now.
func (f agentFlags) load() (*agent.Config, error) {
	config, err := agent.Load(f.path)
	if err != nil {
		return nil, err
	}
	config.RevokeAtExit = config.RevokeAtExit || f.revokeAtEnd
	return config, config.CheckCredentials()
}

func (a *app) runAgent(ctx context.Context, config *agent.Config, f agentFlags) error {
	manager, err := sdnotify.New(a.getenv)
	if err != nil {
		return err
	}
	defer manager.Close()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	// A call that nobody answers is given up soon: it is made again, and told of meanwhile.
	ctx = client.OnWait(ctx, func(waited time.Duration, _ error) bool { return waited < 2*patience })
	return agent.Run(ctx, agent.Options{
		Config: config, Load: f.load, Hangups: hangups, SignIn: a.agentSignIn(f.as),
		Once: f.once, Wait: f.wait,
		Log: slog.New(slog.NewTextHandler(a.err, nil)), Manager: manager,
	})
}

// agentSignIn returns how an agent signs in: as flags say, else as its configuration, else as variables.
func (a *app) agentSignIn(flags runIdentity) func(context.Context, agent.Broker) (*client.Client, func(), error) {
	address, caCert, tokenFile := a.address, a.caCert, a.tokenFile
	return func(ctx context.Context, said agent.Broker) (*client.Client, func(), error) {
		a.address, a.caCert, a.tokenFile = address, first(caCert, said.CACert), first(tokenFile, said.TokenFile)
		if address == "" && a.context == "" {
			a.address = strings.Join(said.Addresses, ",")
		}
		as := flags
		if as.clientID == "" && tokenFile == "" {
			as.clientID = said.ClientID
			as.clientSecretFile = first(flags.clientSecretFile, said.ClientSecretFile)
		}
		as.token = as.clientID == "" && a.tokenFile != "" // whatever variables say
		c, signOut, err := a.signIn(ctx, 0, as)
		if err != nil {
			return nil, nil, fmt.Errorf("signing in: %w", err)
		}
		return c, signOut, nil
	}
}
