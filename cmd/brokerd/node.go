package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/term"

	"broker/access"
	"broker/access/audit"
	"broker/api"
	"broker/api/front"
	"broker/backup"
	"broker/broker"
	"broker/cluster"
	"broker/cluster/trust"
	"broker/fsm"
	"broker/providers"
	"broker/seal"
	"broker/telemetry"
)

// stopTimeout bounds a graceful stop, besides the time to drain.
const stopTimeout = 20 * time.Second

// node is one running broker: state machine, cluster member, lease engine and API.
type node struct {
	config  config
	log     *slog.Logger
	state   *fsm.State
	keyring *seal.Keyring

	identity *trust.Identity
	network  *cluster.TLS
	watching context.CancelFunc // of who belongs to the cluster
	watchers sync.WaitGroup
	socket   *http.Server // nil: none

	decider *access.Decider
	broker  *broker.Broker
	cluster *cluster.Node
	server  *api.Server
	http    *http.Server
	front   *front.Listener // where the API's connections come in
	debug   *http.Server    // profiles; nil: none

	metrics       *telemetry.Metrics
	metricsServer *http.Server       // metrics without a token; nil: none
	tracing       *telemetry.Tracing // nil: no traces are sent
	tracer        trace.Tracer       // nil: nothing is traced

	apiCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error) // nil: the API serves no TLS

	dir    *dataDir // nil: not taken yet
	url    string
	up     atomic.Bool   // its data are open, it is a member, and it does not give up any more
	failed chan error    // why the node cannot go on, though nobody told it to stop
	leave  chan struct{} // the cluster has the node leave

	// adminToken is what a new cluster gives its first account; it is shown on stdout, once and
	// before it is committed, unless it stands in a file.
	adminToken string
	joinToken  trust.JoinToken // likewise, for the other nodes
	stdout     io.Writer
	shown      sync.Once

	wrapped *fsm.Recovery // of a new cluster, once its shares were shown

	replacing   sync.Mutex
	replacement atomic.Pointer[replacement] // of the whole state, on its way

	audit    *audit.Log // who asked for what; nil: not begun yet
	anchors  anchors
	auditing sync.WaitGroup // what hears SIGHUP

	keeper     *backup.Keeper // makes scheduled snapshots; nil: none are asked for
	stopKeeper func()
}

// startNode brings a node up. It returns when the node is a member of its cluster and serves.
func startNode(ctx context.Context, c config, log *slog.Logger, stdout io.Writer) (n *node, err error) {
	n = &node{config: c, log: log, stdout: stdout, failed: make(chan error, 2), leave: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			n.stop()
		}
	}()
	if n.debug, err = serveDebug(c.DebugListen, log); err != nil {
		return n, err
	}
	if n.dir, err = takeDataDir(c.DataDir); err != nil {
		return n, err
	}
	if f, ok := stdout.(*os.File); c.Init && (!ok || !term.IsTerminal(int(f.Fd()))) {
		n.config = c.withBirthFiles()
	}
	if err := n.identify(ctx); err != nil {
		return n, err
	}
	if n.state, err = fsm.Open(fsm.Config{Dir: filepath.Join(c.DataDir, "state"), Halt: n.halt}); err != nil {
		return n, err
	}
	if err := n.newKeeper(); err != nil {
		return n, err
	}
	registry, err := concreteProviders(c.BenchProviders)
	if err != nil {
		return n, err
	}
	if err := n.openAudit(); err != nil {
		return n, err
	}
	if err := n.observe(ctx, registry); err != nil {
		return n, err
	}
	// The cluster needs the API's handler for forwarded requests, the API needs the cluster.
	var forwarded atomic.Pointer[http.Handler]
	if err := n.newCluster(registry, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*forwarded.Load()).ServeHTTP(w, r) })); err != nil {
		return n, err
	}
	server, err := n.newServer()
	if err != nil {
		return n, err
	}
	n.server = server
	inside := server.Forwarded()
	forwarded.Store(&inside)
	listener, err := n.listen()
	if err != nil {
		return n, err
	}
	n.url = c.APIAdvertise
	if strings.HasSuffix(c.APIListen, ":0") {
		n.url = strings.Replace(c.APIAdvertise, c.APIListen, listener.Addr().String(), 1)
	}
	handler, closePages, err := n.withConsole(server)
	if err != nil {
		return n, errors.Join(err, listener.Close())
	}
	n.http = api.HTTPServer(handler, log)
	n.http.RegisterOnShutdown(closePages)
	n.http.RegisterOnShutdown(n.state.EndExports) // a slow client must not hold up a stop
	n.http.RegisterOnShutdown(server.EndStreams)
	if n.metricsServer, err = serveMetrics(c.MetricsListen, n.metrics.Handler(), log); err != nil {
		return n, errors.Join(err, listener.Close())
	}
	go func() {
		if err := n.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			n.failed <- fmt.Errorf("serving the API: %w", err)
		}
	}()
	if err := n.cluster.Start(ctx); err != nil {
		return n, err
	}
	n.runKeeper()
	watching, cancel := context.WithCancel(context.Background())
	n.watching = cancel
	n.watchers.Go(func() { n.watchTrust(watching) })
	n.watchers.Go(func() { n.watchSealing(watching) })
	n.watchers.Go(func() { n.anchorAudit(watching, anchorInterval) })
	if err := n.serveSocket(); err != nil {
		return n, err
	}
	n.up.Store(true)
	return n, nil
}

// halt ends the process: a node that cannot apply or store what the others do is of no use to them.
func (n *node) halt(err error) {
	n.log.Error("this node cannot go on", "error", err, "hint", hint(err))
	os.Exit(exitCode(err))
}

func (n *node) newCluster(registry *providers.Registry, forwarded http.Handler) (err error) {
	dialer, err := n.config.dialer()
	if err != nil {
		return err
	}
	n.network = cluster.NewTLS(n.identity, nil, n.removed)
	n.cluster, err = cluster.New(cluster.Config{
		NodeID: n.config.NodeID, DataDir: n.config.DataDir, Version: version,
		ClusterAddr: n.config.ClusterListen, ClusterAdvertise: n.config.ClusterAdvertise,
		GossipAddr: n.config.GossipListen, GossipAdvertise: n.config.GossipAdvertise,
		APIAdvertise: n.config.APIAdvertise,
		GossipKeys:   n.identity.Known().GossipKeys,
		ClusterID:    n.identity.ClusterID(),
		Init:         n.identity.Birth() != nil, Join: n.config.Join,
		CertificateEndsAt: n.identity.ExpiresAt,
		Network:           n.network, Questions: n.answerQuestion,
		FSM: n.state, Checkpoints: checkpoints(n.state), Handler: forwarded, Lead: n.lead, Halt: n.halt,
		Roster: roster{n}, Levels: levels{n}, HoldUpgrade: n.config.Upgrade == "hold",
		PromoteAfter: n.config.PromoteAfter, RemoveDeadAfter: n.config.RemoveDeadAfter,
		Forget: n.forget, Removed: n.wasRemoved, Leave: n.toldToLeave,
		Timing: n.config.timing(), Observer: n.metrics, Logger: n.log.With("component", "cluster"),
	})
	if err != nil {
		return err
	}
	if n.decider, err = access.New(access.DeciderConfig{State: n.state}); err != nil {
		return err
	}
	n.broker, err = broker.New(broker.Config{
		State: n.state, Log: n.cluster, Clocks: n.cluster, Providers: registry, Keyring: n.keyring, Sealing: sealingKeys{n}, Dialer: dialer, Rules: n.decider,
		NodeID: n.config.NodeID, Logger: slog.New(api.RequestIDs(n.log.Handler())), Observer: n.metrics, Tracer: n.tracer, Audit: recordedCalls{n.audit}, Timing: broker.Timing{HistoryTTL: n.config.HistoryTTL, Sweep: n.config.SweepInterval, Quarantine: n.config.SweepQuarantine},
	})
	return err
}

// lead is one leadership period. The first one of a new cluster gives it its identity.
func (n *node) lead(ctx context.Context, term uint64) error {
	var meta fsm.Meta
	if err := n.state.View(func(v *fsm.View) error { meta = v.Meta(); return nil }); err != nil {
		return err
	}
	if meta.ClusterID == "" {
		if err := n.initCluster(ctx, term); err != nil {
			return fmt.Errorf("initialising the cluster: %w", err)
		}
	}
	if err := n.identity.Born(); err != nil {
		return err
	}
	return n.leadOn(ctx, term)
}

func (n *node) newServer() (*api.Server, error) {
	door, err := n.config.front()
	if err != nil {
		return nil, err
	}
	return api.New(api.Config{
		Broker: n.broker, State: api.StateOf(n.state), Cluster: n.cluster, Members: members{n},
		Authenticator: &access.Tokens{State: n.state, Hasher: n.keyring},
		Credentials:   access.NewCredentials(access.CredentialsConfig{Records: n.state, Keyring: n.keyring}),
		Authorizer:    n.decider,
		Access:        n.decider,
		Providers:     n.broker.Providers,
		Documents:     n.broker,
		Trust:         trustMaker{n},
		Status:        n.status,
		Limits:        door.limits,
		Proxies:       door.listening.Proxies,
		Names:         door.names,
		Snapshot:      n.snapshot,
		Version:       version,
		VaultStandby:  n.config.VaultStandbyStatus,
		Up:            n.up.Load,
		Metrics:       n.metrics.Handler(),
		Observer:      n.metrics,
		Tracer:        n.tracer,
		Logger:        n.log.With("component", "api"),

		Audit:     n.audit,
		AuditLog:  n.audit,
		AuditHash: n.hashForAudit,
	})
}

// stop takes the node down. It says that it is not ready and serves on, while leadership goes to another node and
// clients find others; then it closes its API, finishes what runs, and ends.
func (n *node) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), n.config.DrainTime+stopTimeout)
	defer cancel()
	defer n.stopObserving(ctx)
	if n.stopKeeper != nil {
		n.stopKeeper()
	}
	if n.cluster != nil && n.cluster.NodeID() != "" && n.http != nil {
		n.drain(ctx)
	}
	if n.http != nil {
		if err := n.http.Shutdown(ctx); err != nil {
			n.log.Warn("stopping the API", "error", err)
		}
	}
	if n.watching != nil {
		n.watching()
		n.watchers.Wait()
	}
	if n.socket != nil {
		_ = n.socket.Close()
	}
	if n.cluster != nil {
		if err := n.cluster.Stop(ctx); err != nil {
			// Raft may still apply: the state has to stay open until the process ends.
			n.closeAudit(ctx)
			n.log.Warn("leaving the cluster's work", "error", err)
			return
		}
	}
	n.closeAudit(ctx)
	if n.state != nil {
		if err := n.state.Close(); err != nil {
			n.log.Warn("closing the state", "error", err)
		}
	}
	if n.dir != nil {
		if err := n.dir.release(); err != nil {
			n.log.Warn("releasing the data directory", "error", err)
		}
	}
	if n.debug != nil {
		if err := n.debug.Close(); err != nil {
			n.log.Warn("closing the profiles", "error", err)
		}
	}
}

// drain has clients and leadership go elsewhere. A node that is alone has nowhere to send them.
func (n *node) drain(ctx context.Context) {
	if len(n.cluster.Status().Members) < 2 {
		return
	}
	drained := time.After(n.config.DrainTime)
	n.cluster.BeginStop()
	n.server.Part()
	if err := n.cluster.TransferLeadership(ctx, ""); err != nil && !errors.Is(err, cluster.ErrNotLeader) {
		n.log.Warn("stopping without a successor as leader", "error", err)
	}
	select {
	case <-drained:
	case <-ctx.Done():
	}
}
