package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
	"go.opentelemetry.io/otel/trace"

	"broker/access"
	"broker/broker"
	"broker/cluster"
	"broker/fsm"
)

// config is everything a node can be told. A value comes from a flag, else from a BROKERD_ variable,
// else from the configuration file, else it is the default.
type config struct {
	NodeID            string        `koanf:"node_id"`
	Listen            string        `koanf:"listen"`
	Advertise         string        `koanf:"advertise"`
	DataDir           string        `koanf:"data_dir"`
	KeyFile           string        `koanf:"key_file"`
	APIListen         string        `koanf:"api_listen"`
	APIAdvertise      string        `koanf:"api_advertise"`
	APITLS            string        `koanf:"api_tls"`
	APINames          []string      `koanf:"api_name"`
	APICertFile       string        `koanf:"api_cert_file"`
	APIKeyFile        string        `koanf:"api_key_file"`
	ClusterListen     string        `koanf:"cluster_listen"`
	ClusterAdvertise  string        `koanf:"cluster_advertise"`
	GossipListen      string        `koanf:"gossip_listen"`
	GossipAdvertise   string        `koanf:"gossip_advertise"`
	Init              bool          `koanf:"init"`
	Join              []string      `koanf:"join"`
	JoinToken         string        `koanf:"join_token"`
	JoinTokenFile     string        `koanf:"join_token_file"`
	JoinTokenTTL      time.Duration `koanf:"join_token_ttl"`
	JoinTokenUses     int           `koanf:"join_token_uses"`
	AdminTokenFile    string        `koanf:"admin_token_file"`
	AdminTokenTTL     time.Duration `koanf:"admin_token_ttl"`
	AdminRoles        []string      `koanf:"admin_roles"`
	RecoveryShares    int           `koanf:"recovery_shares"`
	RecoveryThreshold int           `koanf:"recovery_threshold"`
	RecoveryFile      string        `koanf:"recovery_shares_file"`
	SnapshotDir       string        `koanf:"snapshot_dir"`
	SnapshotInterval  time.Duration `koanf:"snapshot_interval"`
	SnapshotKeep      int           `koanf:"snapshot_keep"`
	AllowNetworks     []string      `koanf:"allow_networks"`
	DenyNetworks      []string      `koanf:"deny_networks"`
	HistoryTTL        time.Duration `koanf:"history_ttl"`
	SweepInterval     time.Duration `koanf:"sweep_interval"`
	SweepQuarantine   time.Duration `koanf:"sweep_quarantine"`
	Timing            string        `koanf:"timing"`
	PromoteAfter      time.Duration `koanf:"promote_after"`
	RemoveDeadAfter   time.Duration `koanf:"remove_dead_after"`
	Upgrade           string        `koanf:"upgrade"`
	DrainTime         time.Duration `koanf:"drain_time"`
	LogLevel          string        `koanf:"log_level"`
	LogFormat         string        `koanf:"log_format"`
	DebugListen       string        `koanf:"debug_listen"`
	BenchProviders    bool          `koanf:"bench_providers"`
	MetricsListen     string        `koanf:"metrics_listen"`
	MetricsExposed    bool          `koanf:"metrics_exposed"`
	OTLPEndpoint      string        `koanf:"otlp_endpoint"`

	MaxConnections     int      `koanf:"max_connections"`
	MaxConnectionsEach int      `koanf:"max_connections_each"`
	AddressRate        int      `koanf:"address_rate"`
	FailureRate        int      `koanf:"failure_rate"`
	AccountRate        int      `koanf:"account_rate"`
	VaultStandbyStatus int      `koanf:"vault_standby_status"`
	Console            string   `koanf:"console"`
	TrustedProxies     []string `koanf:"trusted_proxies"`
	ProxyProtocol      bool     `koanf:"proxy_protocol"`

	AuditFile     string        `koanf:"audit_file"`
	AuditMaxSize  string        `koanf:"audit_max_size"`
	AuditMaxAge   time.Duration `koanf:"audit_max_age"`
	AuditKeep     int           `koanf:"audit_keep"`
	AuditSyslog   string        `koanf:"audit_syslog"`
	AuditSyslogCA string        `koanf:"audit_syslog_ca"`

	tracer      trace.Tracer // a test's; nil: what the endpoint says
	nodeIDGiven bool         // not made from the host's name
}

// Format writes nothing, for every verb: a configuration may hold a join token.
func (c config) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "configuration of node %s", c.NodeID) }

const (
	defaultDataDir = "/var/lib/broker"

	minRemoveDeadAfter = time.Minute
	maxDrainTime       = time.Minute
)

// serverFlags declares every option with its default and what it means. Flags have dashes where
// variables and the file have underscores.
func serverFlags(f *pflag.FlagSet) {
	f.String("config", "", "configuration file (YAML); keys are the flags' names with underscores")
	f.String("node-id", "", "name of this node in the cluster, for ever (default: the host's name)")
	f.String("data-dir", defaultDataDir, "where log, snapshots and the node's identity are kept")
	f.String("key-file", "", "the cluster's key file; made by the first node, sent to those that join (default: keyring.json in the data directory)")
	f.String("listen", "", "host or IP address to listen at, for everything that says nothing else (default: all of this host)")
	f.String("advertise", "", "host or IP address of this node as others see it, likewise (default: the address listened at, or the one this host uses to reach others)")
	f.String("api-listen", "", "address of the API (default: listen, port 8420)")
	f.String("api-advertise", "", "URL of this node's API as others see it (default: from advertise)")
	f.String("api-tls", "auto", "whether the API is encrypted: auto (everywhere but on loopback), on, or off (loopback only)")
	f.StringSlice("api-name", nil, "more host names or IP addresses that clients use for this node, e.g. that of a load balancer; for its certificate, and for requests on loopback in clear")
	f.String("api-cert-file", "", "serve the API with this certificate, PEM, instead of one of the cluster's authority; read again when it changes")
	f.String("api-key-file", "", "the private key of api-cert-file, PEM")
	f.String("cluster-listen", "", "address for the other nodes (default: listen, port 8421)")
	f.String("cluster-advertise", "", "the same as others see it (default: advertise, same port)")
	f.String("gossip-listen", "", "address of gossip, TCP and UDP; off: no gossip (default: listen, port 8422)")
	f.String("gossip-advertise", "", "the same as others see it (default: advertise, same port)")
	f.Bool("init", false, "begin a new cluster when the data directory is empty")
	f.StringSlice("join", nil, "cluster addresses of nodes to ask for membership when the data directory is empty")
	f.String("join-token", "", "the token to join with; better a variable (BROKERD_JOIN_TOKEN), since others can see flags")
	f.String("join-token-file", "", "with --join: read the join token from this file (default: join-token among systemd's credentials); with --init: write the first one there (default: print it, or first-join-token likewise)")
	f.Duration("join-token-ttl", time.Hour, "with --init: how long the first join token is valid")
	f.Int("join-token-uses", 4, "with --init: how many nodes the first join token lets in")
	f.String("admin-token-file", "", "with --init: take the first admin token from this file, or write it there (default: print it; first-admin-token in the data directory where nobody watches the output)")
	f.Duration("admin-token-ttl", 24*time.Hour, "with --init: how long the first admin token is valid; 0: for ever; \"brokerd admin-token\" makes others")
	f.StringSlice("admin-roles", nil, "with --init: roles that the first account has everywhere besides admin, e.g. developer, which issues leases; for trying things out")
	f.Int("recovery-shares", 1, "with --init: into how many shares the key is split that opens snapshots where nothing else is left")
	f.Int("recovery-threshold", 1, "with --init: how many of the shares open them")
	f.String("recovery-shares-file", "", "with --init: write the shares to this file, a line each, or to a file each when it is a directory (default: print them, or recovery-shares likewise)")
	f.String("snapshot-dir", "", "where this node puts the snapshots that it makes by itself; best on another machine's disk")
	f.Duration("snapshot-interval", 0, "how often it makes one of its own state; 0: never")
	f.Int("snapshot-keep", 7, "how many of them are kept")
	f.StringSlice("allow-networks", nil, "networks that connections may point at, e.g. 10.0.0.0/8, looked at whenever one is dialled (default: all but link-local and metadata addresses); the same on every node")
	f.StringSlice("deny-networks", nil, "networks that they may not point at, even within those; the same on every node")
	f.Duration("history-ttl", 30*24*time.Hour, "how long ended leases and their history are kept")
	f.Duration("sweep-interval", 10*time.Minute, "about how often outside systems are searched for logins that no lease knows")
	f.Duration("sweep-quarantine", 5*time.Minute, "how far apart two sweeps must see such a login before it is removed")
	f.String("timing", "default", "how patient the nodes are with each other: lan (fails over in about a second), default (two), wan (ten)")
	f.Duration("promote-after", 2*time.Second, "how long a node that joined must be well before it votes; the same on every node")
	f.Duration("remove-dead-after", 0, "remove a node that nobody has reached for so long, never one of three; 0: never; the same on every node")
	f.String("upgrade", "auto", "auto: use what came with a new version as soon as every node runs it; hold: when told to, by \"brokerctl cluster upgrade finalize\"")
	f.Duration("drain-time", time.Second, "how long the node says that it is not ready, and serves on, before it stops: longer than the pause between two checks of a load balancer")
	f.String("log-level", "info", "debug, info, warn or error")
	f.String("log-format", "json", "json or text")
	f.String("debug-listen", "", "loopback address of Go's profiles, open to everybody on this machine (default: none)")
	f.String("metrics-listen", "", "address where metrics are served without a token, in clear; on loopback (default: only the API serves them, at /metrics, to tokens that may read them)")
	f.Bool("metrics-exposed", false, "let metrics-listen be an address that other machines reach: names of connections, nodes and routes are no secret there")
	f.String("otlp-endpoint", "", "URL of a collector for traces, OTLP over HTTP; the OTEL_ variables count too (default: no traces)")
	frontFlags(f)
	auditFlags(f)
	f.Bool("bench-providers", false, "for measuring: offer the provider noop too, which makes nothing anywhere; the same on every node")
}

// defaultNodeID is the host's name without its domain; empty when it is not known.
func defaultNodeID() string {
	hostname, err := os.Hostname()
	if err != nil {
		return ""
	}
	id, _, _ := strings.Cut(strings.ToLower(hostname), ".")
	return id
}

// usageError is a mistake in the command line or the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func isUsage(err error) bool {
	var u usageError
	return errors.As(err, &u) || strings.HasPrefix(err.Error(), "unknown command") || strings.HasPrefix(err.Error(), "unknown flag")
}

func wrong(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// loadConfig puts the configuration together.
func loadConfig(flags *pflag.FlagSet, stderr io.Writer) (config, error) {
	k := koanf.New(".")
	known := map[string]bool{}
	flags.VisitAll(func(f *pflag.Flag) { known[key(f.Name)] = f.Name != "config" })
	path, err := flags.GetString("config")
	if err != nil {
		return config{}, err
	}
	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return config{}, wrong("reading configuration file %s: %w", path, err)
		}
		for _, name := range k.Keys() {
			if !known[name] {
				return config{}, wrong("configuration file %s: there is no option %q", path, name)
			}
		}
	}
	vars := env.Provider(".", env.Opt{Prefix: "BROKERD_", TransformFunc: func(name, value string) (string, any) {
		name = strings.ToLower(strings.TrimPrefix(name, "BROKERD_"))
		if name == "join" || name == "allow_networks" || name == "deny_networks" || name == "api_name" || name == "trusted_proxies" {
			return name, strings.Split(value, ",")
		}
		return name, value
	}})
	if err := k.Load(vars, nil); err != nil {
		return config{}, wrong("reading the environment: %w", err)
	}
	// Service managers and container platforms set variables of their own making (BROKERD_PORT…), so
	// an unknown one is worth a word, not a stop.
	for _, name := range k.Keys() {
		if !known[name] {
			fmt.Fprintf(stderr, "warning: variable BROKERD_%s: there is no such option\n", strings.ToUpper(name))
			k.Delete(name)
		}
	}
	fromFlags := posflag.ProviderWithFlag(flags, ".", k, func(f *pflag.Flag) (string, any) {
		if !known[key(f.Name)] {
			return "", nil
		}
		return key(f.Name), posflag.FlagVal(flags, f)
	})
	if err := k.Load(fromFlags, nil); err != nil {
		return config{}, wrong("reading the flags: %w", err)
	}
	var c config
	if err := k.Unmarshal("", &c); err != nil {
		return config{}, wrong("reading the configuration: %w", err)
	}
	return c.complete()
}

func key(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// complete checks the values and fills in what follows from others.
func (c config) complete() (config, error) {
	c.nodeIDGiven = c.NodeID != ""
	if !c.nodeIDGiven {
		hostname, err := os.Hostname()
		if err != nil {
			return c, wrong("node_id: this host has no name: give the node one")
		}
		c.NodeID, _, _ = strings.Cut(strings.ToLower(hostname), ".")
	}
	if !fsm.ValidName(c.NodeID) {
		return c, wrong("node_id: %q cannot name a node: it takes %s", c.NodeID, fsm.NameRule)
	}
	if c.KeyFile == "" {
		c.KeyFile = filepath.Join(c.DataDir, "keyring.json")
	}
	if err := c.completeAddresses(); err != nil {
		return c, err
	}
	if err := c.checkMetrics(); err != nil {
		return c, err
	}
	if _, err := c.front(); err != nil {
		return c, err
	}
	if _, err := c.dialer(); err != nil {
		return c, err
	}
	c, err := c.completeAudit()
	if err != nil {
		return c, err
	}
	switch {
	case c.DataDir == "":
		return c, wrong("data_dir: where are log and snapshots to be kept?")
	case c.Init && len(c.Join) > 0:
		return c, wrong("init and join: a node either begins a new cluster or joins one, not both")
	case c.RecoveryThreshold < 1 || c.RecoveryShares < c.RecoveryThreshold || c.RecoveryShares > 255:
		return c, wrong("recovery_shares and recovery_threshold: %d of %d is not possible; at least 1 of 1, at most 255 shares", c.RecoveryThreshold, c.RecoveryShares)
	case !slices.Contains([]string{"auto", "on", "off"}, c.APITLS):
		return c, wrong("api_tls: %q is none of auto, on, off", c.APITLS)
	case (c.APICertFile == "") != (c.APIKeyFile == ""):
		return c, wrong("api_cert_file and api_key_file: one needs the other")
	case c.APICertFile != "" && c.APITLS == "off":
		return c, wrong("api_cert_file: it is of no use with api_tls off")
	case c.JoinToken != "" && c.JoinTokenFile != "":
		return c, wrong("join_token and join_token_file: one of them")
	case c.Console != "" && c.Console != "on" && c.Console != "off":
		return c, wrong("console: %q is neither on nor off", c.Console)
	case !slices.Contains([]string{"default", "lan", "wan"}, c.Timing):
		return c, wrong("timing: %q is none of default, lan, wan", c.Timing)
	case !slices.Contains([]string{"json", "text"}, c.LogFormat):
		return c, wrong("log_format: %q is neither json nor text", c.LogFormat)
	case c.HistoryTTL < time.Hour:
		return c, wrong("history_ttl: at least 1h, not %s", c.HistoryTTL)
	case c.SweepInterval < time.Second:
		return c, wrong("sweep_interval: at least 1s, not %s", c.SweepInterval)
	case c.SweepQuarantine < time.Second:
		return c, wrong("sweep_quarantine: at least 1s, not %s", c.SweepQuarantine)
	case c.SnapshotInterval != 0 && c.SnapshotInterval < time.Second:
		return c, wrong("snapshot_interval: at least 1s, or 0 for never, not %s", c.SnapshotInterval)
	case c.SnapshotInterval > 0 && c.SnapshotDir == "":
		return c, wrong("snapshot_dir: where are the snapshots to be put that are made every %s?", c.SnapshotInterval)
	case c.SnapshotInterval > 0 && c.SnapshotKeep < 1:
		return c, wrong("snapshot_keep: at least 1, not %d", c.SnapshotKeep)
	case c.JoinTokenTTL < time.Minute || c.JoinTokenTTL > broker.MaxJoinTokenTTL:
		return c, wrong("join_token_ttl: 1m to %s, not %s", shortDuration(broker.MaxJoinTokenTTL), c.JoinTokenTTL)
	case c.JoinTokenUses < 1 || c.JoinTokenUses > broker.MaxJoinTokenUses:
		return c, wrong("join_token_uses: 1 to %d, not %d", broker.MaxJoinTokenUses, c.JoinTokenUses)
	case c.PromoteAfter <= 0:
		return c, wrong("promote_after: more than 0, not %s", c.PromoteAfter)
	case c.RemoveDeadAfter < 0 || c.RemoveDeadAfter > 0 && c.RemoveDeadAfter < minRemoveDeadAfter:
		return c, wrong("remove_dead_after: 0, or at least %s, not %s: a restart must not cost a node its membership", minRemoveDeadAfter, c.RemoveDeadAfter)
	case c.Upgrade != "auto" && c.Upgrade != "hold":
		return c, wrong("upgrade: %q is neither auto nor hold", c.Upgrade)
	case c.DrainTime < 0 || c.DrainTime > maxDrainTime:
		return c, wrong("drain_time: 0 to %s, not %s", maxDrainTime, c.DrainTime)
	case c.AdminTokenTTL < 0:
		return c, wrong("admin_token_ttl: not negative")
	}
	for _, role := range c.AdminRoles {
		if _, ok := access.RoleNamed(fsm.RoleName(role)); !ok || role == string(fsm.RoleAdmin) {
			return c, wrong("admin_roles: %q is no role to have besides admin", role)
		}
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return c, wrong("log_level: %q is none of debug, info, warn, error", c.LogLevel)
	}
	return c, nil
}

// checkMetrics keeps metrics on this machine unless somebody decided otherwise.
func (c config) checkMetrics() error {
	if c.MetricsListen == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(c.MetricsListen)
	if err != nil {
		return wrong("metrics_listen: %q is not host:port", c.MetricsListen)
	}
	if ip := net.ParseIP(host); !c.MetricsExposed && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return wrong("metrics_listen: %q is not a loopback address: whoever reaches it reads the metrics, without a token and in clear; metrics_exposed allows that", c.MetricsListen)
	}
	return nil
}

func (c config) logger() *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo // complete has checked it
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(os.Stderr, options))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, options))
}

// timing is how patient the node is with others.
func (c config) timing() cluster.Timing {
	switch c.Timing {
	case "lan":
		return cluster.LAN()
	case "wan":
		return cluster.WAN()
	}
	return cluster.Default()
}

// readJoinToken returns the join token from where the configuration says it is.
func (c config) readJoinToken() (string, error) {
	if c.JoinToken != "" {
		return c.JoinToken, nil
	}
	path := c.JoinTokenFile
	if path == "" {
		if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
			path = filepath.Join(dir, "join-token")
		}
	}
	if path == "" {
		return "", wrong("joining needs a join token: set BROKERD_JOIN_TOKEN or --join-token-file; \"brokerctl cluster join-token create\" makes one")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the join token: %w", err)
	}
	return string(data), nil
}
