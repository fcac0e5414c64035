package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"broker/fsm"
	"broker/sdnotify"
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

// serve runs a node until the context ends or the node cannot go on, and keeps the service manager informed.
func serve(ctx context.Context, c config, stdout io.Writer) (err error) {
	log := c.logger()
	manager, err := sdnotify.New(os.Getenv)
	if err != nil {
		log.Warn("the service manager will not hear of this node", "error", err)
	}
	defer func() {
		if err != nil {
			manager.Tell(sdnotify.Status(err.Error()))
		}
		err = errors.Join(err, manager.Close())
	}()
	manager.Tell(sdnotify.Status("starting"))
	n, err := startNode(ctx, c, log, stdout)
	if err != nil {
		return err
	}
	hearing, deaf := context.WithCancel(context.Background())
	defer n.auditing.Wait()
	defer deaf()
	n.hearHangups(hearing)
	n.log.Info("serving", "node", c.NodeID, "api", n.url)
	manager.Tell("READY=1", sdnotify.Status("serving at "+n.url))
	watching, unwatch := context.WithCancel(context.Background())
	var watcher sync.WaitGroup
	watcher.Go(func() { manager.Watch(watching, n.describe) })
	select {
	case <-ctx.Done():
		n.log.Info("stopping")
	case <-n.leave:
		n.log.Info("leaving the cluster")
		err = n.leaveCluster()
	case err = <-n.failed:
	}
	manager.Tell("STOPPING=1", sdnotify.Status("finishing what runs, handing leadership over"))
	unwatch()
	n.stop()
	watcher.Wait() // not before: a node that hangs has to hand over too
	return err
}

// leaveCluster has the others take this node out of the cluster.
func (n *node) leaveCluster() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return n.cluster.Leave(ctx, "it was told to leave")
}

// describe says in a few words how the node does. It looks at the cluster and reads the state, so that it
// does not return where those do not go on.
func (n *node) describe() string {
	s := n.cluster.Status()
	leases := uint64(0)
	err := n.state.View(func(v *fsm.View) error {
		for _, count := range v.LeaseCounts() {
			leases += count
		}
		return nil
	})
	switch {
	case err != nil:
		return "the state cannot be read: " + err.Error()
	case s.LeaderID == "":
		return "no leader known"
	case s.LeaderID == n.config.NodeID:
		return fmt.Sprintf("leading in term %d, %d leases", s.Term, leases)
	}
	return fmt.Sprintf("following %s, %d leases", s.LeaderID, leases)
}

func newAccessor() (fsm.TokenAccessor, error) {
	id, err := ulid.New(ulid.Now(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("making a token's accessor: %w", err)
	}
	return fsm.TokenAccessor(id.String()), nil
}
