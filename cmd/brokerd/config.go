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
)

// config is everything a node can be told. A value comes from a flag, else from a BROKERD_ variable,
// else from the configuration file, else it is the default.
type config struct {
	NodeID           string        `koanf:"node_id"`
	DataDir          string        `koanf:"data_dir"`
	KeyFile          string        `koanf:"key_file"`
	APIListen        string        `koanf:"api_listen"`
	APIAdvertise     string        `koanf:"api_advertise"`
	ClusterListen    string        `koanf:"cluster_listen"`
	ClusterAdvertise string        `koanf:"cluster_advertise"`
	GossipListen     string        `koanf:"gossip_listen"`
	GossipAdvertise  string        `koanf:"gossip_advertise"`
	Init             bool          `koanf:"init"`
	Join             []string      `koanf:"join"`
	AdminTokenFile   string        `koanf:"admin_token_file"`
	AdminTokenTTL    time.Duration `koanf:"admin_token_ttl"`
	AllowNetworks    []string      `koanf:"allow_networks"`
	HistoryTTL       time.Duration `koanf:"history_ttl"`
	SweepInterval    time.Duration `koanf:"sweep_interval"`
	SweepQuarantine  time.Duration `koanf:"sweep_quarantine"`
	Timing           string        `koanf:"timing"`
	LogLevel         string        `koanf:"log_level"`
	LogFormat        string        `koanf:"log_format"`
	DebugListen      string        `koanf:"debug_listen"`
	BenchProviders   bool          `koanf:"bench_providers"`
}

// serverFlags declares every option with its default and what it means. Flags have dashes where
// variables and the file have underscores.
func serverFlags(f *pflag.FlagSet) {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "node1"
	}
	f.String("config", "", "configuration file (YAML); keys are the flags' names with underscores")
	f.String("node-id", strings.ToLower(hostname), "name of this node in the cluster, for ever")
	f.String("data-dir", "/var/lib/broker", "where log, snapshots and the node's identity are kept")
	f.String("key-file", "", "the cluster's key file, the same on every node (default: keyring.json in the data directory)")
	f.String("api-listen", "127.0.0.1:8420", "address of the API")
	f.String("api-advertise", "", "URL of this node's API as others see it (default: from api-listen)")
	f.String("cluster-listen", "127.0.0.1:8421", "address for the other nodes")
	f.String("cluster-advertise", "", "the same as others see it (default: cluster-listen)")
	f.String("gossip-listen", "127.0.0.1:8422", "address of gossip, TCP and UDP; empty: no gossip")
	f.String("gossip-advertise", "", "the same as others see it (default: gossip-listen)")
	f.Bool("init", false, "begin a new cluster when the data directory is empty")
	f.StringSlice("join", nil, "cluster addresses of nodes to ask for membership when the data directory is empty")
	f.String("admin-token-file", "", "with --init: take the first admin token from this file, or write it there (default: print it)")
	f.Duration("admin-token-ttl", 0, "with --init: how long the first admin token is valid; 0: for ever, since no other can be made yet")
	f.StringSlice("allow-networks", nil, "networks that connections may point at, e.g. 10.0.0.0/8 (default: all but link-local and metadata addresses)")
	f.Duration("history-ttl", 30*24*time.Hour, "how long ended leases and their history are kept")
	f.Duration("sweep-interval", 10*time.Minute, "about how often outside systems are searched for logins that no lease knows")
	f.Duration("sweep-quarantine", 5*time.Minute, "how far apart two sweeps must see such a login before it is removed")
	f.String("timing", "default", "how patient the nodes are with each other: lan (fails over in about a second), default (two), wan (ten)")
	f.String("log-level", "info", "debug, info, warn or error")
	f.String("log-format", "json", "json or text")
	f.String("debug-listen", "", "loopback address of Go's profiles, open to everybody on this machine (default: none)")
	f.Bool("bench-providers", false, "for measuring: offer the provider noop too, which makes nothing anywhere; the same on every node")
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
		if name == "join" || name == "allow_networks" {
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
	if c.KeyFile == "" {
		c.KeyFile = filepath.Join(c.DataDir, "keyring.json")
	}
	for _, a := range []struct{ name, addr string }{{"api_listen", c.APIListen}, {"cluster_listen", c.ClusterListen}, {"gossip_listen", c.GossipListen}, {"debug_listen", c.DebugListen}} {
		if a.addr == "" && (a.name == "gossip_listen" || a.name == "debug_listen") {
			continue
		}
		host, _, err := net.SplitHostPort(a.addr)
		if err != nil {
			return c, wrong("%s: %q is not host:port", a.name, a.addr)
		}
		// Nothing leaves this machine in clear.
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return c, wrong("%s: %q is not a loopback address: this version has no TLS yet and serves on loopback only", a.name, a.addr)
		}
	}
	if c.APIAdvertise == "" {
		c.APIAdvertise = "http://" + c.APIListen
	}
	switch {
	case c.DataDir == "":
		return c, wrong("data_dir: where are log and snapshots to be kept?")
	case c.Init && len(c.Join) > 0:
		return c, wrong("init and join: a node either begins a new cluster or joins one, not both")
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
	case c.AdminTokenTTL < 0:
		return c, wrong("admin_token_ttl: not negative")
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return c, wrong("log_level: %q is none of debug, info, warn, error", c.LogLevel)
	}
	return c, nil
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
