package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"broker/fsm"
)

func serverCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a node of a cluster",
		Long: `Run a node of a cluster until it is told to stop.

Every option can also be given as a variable (BROKERD_DATA_DIR=…) or in a YAML file (data_dir: …);
a flag wins over a variable, a variable over the file.`,
		Example: `  brokerd server --init                                    # the first node; it prints how others join
  BROKERD_JOIN_TOKEN=brkj_… brokerd server --join HOST:8421

  brokerd server --listen 127.0.0.1 --node-id n2 --data-dir ./n2 --api-listen 127.0.0.1:8430 \
      --cluster-listen 127.0.0.1:8431 --gossip-listen 127.0.0.1:8432 --join 127.0.0.1:8421 --join-token-file join-token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd.Flags(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return serve(cmd.Context(), c, cmd.OutOrStdout())
		},
	}
	serverFlags(cmd.Flags())
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	return cmd
}

// serve runs a node until the context ends or the node cannot go on.
func serve(ctx context.Context, c config, stdout io.Writer) error {
	n, err := startNode(ctx, c, c.logger(), stdout)
	if err != nil {
		return err
	}
	n.log.Info("serving", "node", c.NodeID, "api", n.url)
	select {
	case <-ctx.Done():
		n.log.Info("stopping")
	case <-n.leave:
		n.log.Info("leaving the cluster")
		err = n.leaveCluster()
	case err = <-n.failed:
	}
	n.stop()
	return err
}

// leaveCluster has the others take this node out of the cluster.
func (n *node) leaveCluster() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return n.cluster.Leave(ctx, "it was told to leave")
}

func newAccessor() (fsm.TokenAccessor, error) {
	id, err := ulid.New(ulid.Now(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("making a token's accessor: %w", err)
	}
	return fsm.TokenAccessor(id.String()), nil
}
