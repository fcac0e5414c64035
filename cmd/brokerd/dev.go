package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/trace"

	"broker/api/client/contexts"
	"broker/broker"
)

// portsPerNode is the distance between the ports of two nodes of a development cluster.
const portsPerNode = 10

type devOptions struct {
	nodes    int
	dataDir  string
	port     int
	logLevel string
	tracer   trace.Tracer // a test's
}

func devCommand() *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole cluster in one process, for trying things out",
		Long: `Run a cluster of several nodes in this process, on loopback, until it is told to stop.

Without --data-dir everything is temporary and removed at the end. brokerctl finds the cluster by
itself: its address and token are stored as the context "dev". Other programs take them from the
env file whose path is shown.`,
		Example: "  brokerd dev\n  brokerd dev --nodes 1 --data-dir ./data",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return dev(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.nodes, "nodes", 3, "how many nodes")
	f.StringVar(&o.dataDir, "data-dir", "", "keep everything here (default: a temporary directory)")
	f.IntVar(&o.port, "port", 8420, "port of the first node's API; the others follow in steps of 10; 0: any free ports")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error; the log is a file in the data directory")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	return cmd
}

func dev(ctx context.Context, o devOptions, stdout, stderr io.Writer) (err error) {
	var level slog.Level
	switch {
	case o.nodes < 1 || o.nodes > 9:
		return wrong("--nodes: 1 to 9, not %d", o.nodes)
	case o.port < 0 || o.port+o.nodes*portsPerNode > 65535:
		return wrong("--port: 0 to %d, not %d", 65535-o.nodes*portsPerNode, o.port)
	case level.UnmarshalText([]byte(o.logLevel)) != nil:
		return wrong("--log-level: %q is none of debug, info, warn, error", o.logLevel)
	}
	temporary := o.dataDir == ""
	if temporary {
		if o.dataDir, err = os.MkdirTemp("", "brokerd-dev-"); err != nil {
			return fmt.Errorf("making a temporary directory: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.dataDir)) }()
	} else if o.dataDir, err = filepath.Abs(o.dataDir); err != nil {
		return fmt.Errorf("finding the data directory: %w", err)
	} else if err := checkNodeDirs(o); err != nil {
		return err
	}
	if err := os.MkdirAll(o.dataDir, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	logPath := filepath.Join(o.dataDir, "brokerd.log")
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer logFile.Close()
	log := slog.New(slog.NewJSONHandler(logFile, &slog.HandlerOptions{Level: level}))

	nodes, err := startDevNodes(ctx, o, log, stdout)
	defer func() {
		// The leader last: stopping it first would move leadership from node to node.
		slices.SortStableFunc(nodes, func(a, b *node) int { return rank(a) - rank(b) })
		for _, n := range nodes {
			n.stop()
		}
	}()
	if err != nil {
		return fmt.Errorf("%w (the log is %s)", err, logPath)
	}
	urls := make([]string, len(nodes))
	token, err := firstToken(nodes[0].config.AdminTokenFile) // as it was written at the beginning
	if err != nil {
		return err
	}
	for i, n := range nodes {
		urls[i] = n.url
	}
	envPath := filepath.Join(o.dataDir, "env")
	if err := writeEnv(envPath, urls, token); err != nil {
		return err
	}
	forget := rememberContext(urls, token, stderr)
	if temporary {
		defer forget()
	}
	fmt.Fprintf(stdout, "API        %s\n", strings.Join(urls, "\n           "))
	if nodes[0].config.Console != "off" {
		fmt.Fprintf(stdout, "console    %s/ (sign in with BROKER_TOKEN of the variables below)\n", urls[0])
	}
	fmt.Fprintf(stdout, "data       %s%s\n", o.dataDir, map[bool]string{true: " (removed at the end)"}[temporary])
	fmt.Fprintf(stdout, "log        %s\n", logPath)
	fmt.Fprintf(stdout, "variables  . %s\n", envPath)
	fmt.Fprintf(stdout, "ready: brokerctl uses this cluster when nothing else is set (context dev). Ctrl-C stops it.\n")

	failed := make(chan error)
	for _, n := range nodes {
		go func() {
			select {
			case err := <-n.failed:
				failed <- err
			case <-ctx.Done():
			}
		}()
	}
	select {
	case <-ctx.Done():
		fmt.Fprintln(stdout, "stopping")
		return nil
	case err := <-failed:
		return err
	}
}

func rank(n *node) int {
	if n.cluster.IsLeader() {
		return 1
	}
	return 0
}

// checkNodeDirs refuses to start fewer nodes than the directory has: the cluster might have no quorum.
func checkNodeDirs(o devOptions) error {
	there, err := filepath.Glob(filepath.Join(o.dataDir, "node*", "node.json"))
	if err != nil {
		return fmt.Errorf("looking into the data directory: %w", err)
	}
	if len(there) > o.nodes {
		return wrong("--nodes: %s holds a cluster of %d nodes, so at least that many are needed, not %d", o.dataDir, len(there), o.nodes)
	}
	return nil
}

// startDevNodes brings the nodes up one after another and waits until all of them serve and vote.
func startDevNodes(ctx context.Context, o devOptions, log *slog.Logger, stdout io.Writer) ([]*node, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var nodes []*node
	for i := range o.nodes {
		c, err := devConfig(o, i, nodes)
		if err != nil {
			return nodes, err
		}
		fmt.Fprintf(stdout, "starting   %s\n", c.NodeID)
		n, err := startNode(ctx, c, log.With("node", c.NodeID), io.Discard) // what is shown once stands in files
		if err != nil {
			if strings.Contains(err.Error(), "address already in use") {
				err = fmt.Errorf("%w: is another cluster running? Choose other ports with --port", err)
			}
			return nodes, err
		}
		nodes = append(nodes, n)
	}
	for {
		if !slices.ContainsFunc(nodes, func(n *node) bool { return n.cluster.Ready() != nil || !n.allVote() }) &&
			slices.ContainsFunc(nodes, func(n *node) bool { return n.broker.Leading() }) {
			return nodes, nil
		}
		select {
		case <-ctx.Done():
			return nodes, errors.New("the nodes are not ready after a minute")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// allVote reports whether every member votes, as far as this node knows.
func (n *node) allVote() bool {
	for _, m := range n.cluster.Status().Members {
		if !m.Voter {
			return false
		}
	}
	return true
}

func devConfig(o devOptions, i int, before []*node) (config, error) {
	id := fmt.Sprintf("node%d", i+1)
	c := config{
		NodeID: id, DataDir: filepath.Join(o.dataDir, id), KeyFile: filepath.Join(o.dataDir, id, "keyring.json"),
		Init: i == 0, AdminRoles: []string{"developer"}, AdminTokenFile: filepath.Join(o.dataDir, "admin-token"), JoinTokenFile: filepath.Join(o.dataDir, "join-token"),
		RecoveryShares: 1, RecoveryThreshold: 1, RecoveryFile: filepath.Join(o.dataDir, "recovery-share"),
		HistoryTTL: 30 * 24 * time.Hour, SweepInterval: 10 * time.Minute, SweepQuarantine: 5 * time.Minute,
		JoinTokenTTL: broker.MaxJoinTokenTTL, JoinTokenUses: broker.MaxJoinTokenUses,
		Timing: "default", APITLS: "auto", LogLevel: o.logLevel, LogFormat: "json", tracer: o.tracer,
		PromoteAfter: 200 * time.Millisecond, Upgrade: "auto",
		AuditMaxAge: 24 * time.Hour, AuditKeep: 30,
	}
	ports := []int{o.port + i*portsPerNode, o.port + i*portsPerNode + 1, o.port + i*portsPerNode + 2}
	if o.port == 0 {
		var err error
		if ports, err = freePorts(c.DataDir); err != nil {
			return c, err
		}
	}
	for k, listen := range []*string{&c.APIListen, &c.ClusterListen, &c.GossipListen} {
		*listen = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[k]))
	}
	if len(before) > 0 {
		c.Join = []string{before[0].config.ClusterListen}
	}
	return c.complete()
}

// freePorts returns three ports that were free when the node was begun: it comes back where the others
// look for it.
func freePorts(nodeDir string) (ports []int, err error) {
	path := filepath.Join(nodeDir, "ports.json")
	data, err := os.ReadFile(path)
	if err == nil {
		if err := json.Unmarshal(data, &ports); err != nil || len(ports) != 3 {
			return nil, fmt.Errorf("%s does not hold three ports", path)
		}
		return ports, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading a node's ports: %w", err)
	}
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer l.Close() // only now, or the next one may be the same
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	if data, err = json.Marshal(ports); err != nil {
		return nil, fmt.Errorf("encoding a node's ports: %w", err)
	}
	if err := os.MkdirAll(nodeDir, 0o700); err != nil {
		return nil, fmt.Errorf("making a node's directory: %w", err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return nil, fmt.Errorf("writing a node's ports: %w", err)
	}
	return ports, nil
}

// writeEnv writes export lines for a shell.
func writeEnv(path string, urls []string, token string) error {
	text := fmt.Sprintf("export BROKER_ADDR=%s\nexport BROKER_TOKEN=%s\n", strings.Join(urls, ","), token)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing the env file: %w", err)
	}
	return nil
}

// rememberContext stores the cluster as the context that brokerctl falls back to, and returns what
// takes it away again. Without a place for contexts the env file has to do.
func rememberContext(urls []string, token string, stderr io.Writer) (forget func()) {
	path, err := contexts.Path(os.Getenv)
	if err == nil {
		err = contexts.Remember(path, contexts.Fallback, contexts.Context{Addresses: urls, Token: token})
	}
	if err != nil {
		fmt.Fprintf(stderr, "warning: brokerctl will not find this cluster by itself: %v\n", err)
		return func() {}
	}
	return func() {
		file, err := contexts.Load(path)
		if err == nil && slices.Equal(file.Contexts[contexts.Fallback].Addresses, urls) {
			maps.DeleteFunc(file.Contexts, func(name string, _ contexts.Context) bool { return name == contexts.Fallback })
			err = file.Save(path)
		}
		if err != nil {
			fmt.Fprintf(stderr, "warning: the context of this cluster was left behind: %v\n", err)
		}
	}
}
