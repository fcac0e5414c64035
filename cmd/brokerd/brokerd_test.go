package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/client/contexts"
	"broker/api/types"
	"broker/cluster/trust"
)

// A wrong configuration stops the start with a sentence that names the option.
func TestWrongConfiguration(t *testing.T) {
	dir := t.TempDir()
	file := func(text string) string {
		f, err := os.CreateTemp(dir, "*-c.yaml")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		path := f.Name()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"unknown command":        {[]string{"serve"}, 2, `unknown command "serve"`},
		"unknown flag":           {[]string{"server", "--datadir", "x"}, 2, "--datadir"},
		"unknown key in file":    {[]string{"server", "--config", file("datadir: x\n")}, 2, `no option "datadir"`},
		"file that is not there": {[]string{"server", "--config", filepath.Join(dir, "nope")}, 2, "nope"},
		"not YAML":               {[]string{"server", "--config", file("a: [")}, 2, "c.yaml"},
		"not an address":         {[]string{"server", "--api-listen", "here"}, 2, "api_listen"},
		"in clear":               {[]string{"server", "--api-tls", "off"}, 2, "nothing leaves a host in clear"},
		"join a URL":             {[]string{"server", "--join", "https://10.0.0.1:8420"}, 2, "HOST:8421"},
		"half a certificate":     {[]string{"server", "--api-cert-file", "c.pem"}, 2, "one needs the other"},
		"listen with a port":     {[]string{"server", "--listen", "10.0.0.1:8420"}, 2, "ports belong to"},
		"advertise":              {[]string{"server", "--api-advertise", "broker:8420"}, 2, "no URL"},
		"uses of a join token":   {[]string{"server", "--join-token-uses", "0"}, 2, "join_token_uses"},
		"profiles off loopback":  {[]string{"server", "--debug-listen", "0.0.0.0:6060"}, 2, "loopback"},
		"metrics off loopback":   {[]string{"server", "--metrics-listen", "0.0.0.0:9464"}, 2, "metrics_exposed"},
		"metrics nowhere":        {[]string{"server", "--metrics-listen", "here"}, 2, "metrics_listen"},
		"traces in clear":        {[]string{"server", "--init", "--data-dir", filepath.Join(dir, "e"), "--otlp-endpoint", "http://collector.example:4318"}, 2, "otlp_endpoint"},
		"init and join":          {[]string{"server", "--init", "--join", "127.0.0.1:1"}, 2, "not both"},
		"timing":                 {[]string{"server", "--timing", "fast"}, 2, "none of default, lan, wan"},
		"log level":              {[]string{"server", "--log-level", "loud"}, 2, "log_level"},
		"history":                {[]string{"server", "--history-ttl", "1s"}, 2, "history_ttl"},
		"not a duration":         {[]string{"server", "--history-ttl", "long"}, 2, "history-ttl"},
		"no join token":          {[]string{"server", "--data-dir", filepath.Join(dir, "a"), "--join", "127.0.0.1:1"}, 2, "joining needs a join token"},
		"mangled join token":     {[]string{"server", "--data-dir", filepath.Join(dir, "a"), "--join", "127.0.0.1:1", "--join-token", "brkj_x"}, 3, "not whole"},
		"nothing to begin with":  {[]string{"server", "--data-dir", filepath.Join(dir, "b"), "--listen", "127.0.0.1"}, 3, "member"},
		"address in use":         {[]string{"server", "--init", "--data-dir", filepath.Join(dir, "c"), "--listen", "127.0.0.1", "--api-listen", busy.Addr().String()}, 1, "address already in use"},
		"networks":               {[]string{"server", "--init", "--data-dir", filepath.Join(dir, "d"), "--allow-networks", "everywhere"}, 2, "allow_networks"},
		"denied networks":        {[]string{"server", "--init", "--data-dir", filepath.Join(dir, "d"), "--deny-networks", "10.0.0.0/99"}, 2, "denied network \"10.0.0.0/99\""},
		"snapshots nowhere":      {[]string{"server", "--snapshot-interval", "1h"}, 2, "snapshot_dir"},
		"no snapshot kept":       {[]string{"server", "--snapshot-interval", "1h", "--snapshot-dir", dir, "--snapshot-keep", "0"}, 2, "snapshot_keep"},
		"shares":                 {[]string{"server", "--recovery-shares", "2", "--recovery-threshold", "3"}, 2, "3 of 2 is not possible"},
		"number of nodes":        {[]string{"dev", "--nodes", "0"}, 2, "--nodes"},
		"port":                   {[]string{"dev", "--port", "70000"}, 2, "--port"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var stdout, stderr bytes.Buffer
			code := run(ctx, c.args, &stdout, &stderr)
			if text := stderr.String(); code != c.code || !strings.Contains(text, c.says) || strings.Contains(text, "goroutine ") {
				t.Errorf("exit code %d, want %d with %q:\n%s", code, c.code, c.says, text)
			}
		})
	}
}

// A value comes from a flag, else a variable, else the file.
func TestPrecedence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("node_id: file\ntiming: wan\njoin: [127.0.0.1:1, 127.0.0.1:2]\nhistory_ttl: 48h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BROKERD_NODE_ID", "variable")
	t.Setenv("BROKERD_TIMING", "lan")
	t.Setenv("BROKERD_PORT", "tcp://10.0.0.1:8420") // as container platforms set
	cmd := serverCommand()
	if err := cmd.ParseFlags([]string{"--config", path, "--node-id", "flag"}); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	c, err := loadConfig(cmd.Flags(), &stderr)
	if err != nil {
		t.Fatal(err)
	}
	if c.NodeID != "flag" || c.Timing != "lan" || len(c.Join) != 2 || c.HistoryTTL != 48*time.Hour || c.LogLevel != "info" {
		t.Errorf("got %+v", c)
	}
	if !strings.Contains(stderr.String(), "BROKERD_PORT") {
		t.Errorf("no word of the unknown variable: %q", stderr.String())
	}
}

// syncBuffer is a buffer that one goroutine writes and another reads.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// mustDev runs `brokerd dev` until stop is called, which returns its exit code.
func mustDev(t *testing.T, args ...string) (out *syncBuffer, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out = &syncBuffer{}
	exited := make(chan int, 1)
	go func() { exited <- run(ctx, append([]string{"dev", "--port", "0"}, args...), out, out) }()
	deadline := time.Now().Add(60 * time.Second)
	for !strings.Contains(out.String(), "ready:") {
		select {
		case code := <-exited:
			cancel()
			t.Fatalf("brokerd dev ended with %d:\n%s", code, out)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			cancel()
			t.Fatalf("not ready within a minute:\n%s", out)
		}
	}
	return out, func() int { cancel(); return <-exited }
}

func devClient(t *testing.T) *client.Client {
	t.Helper()
	path, err := contexts.Path(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	file, err := contexts.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{Addresses: file.Contexts["dev"].Addresses, Token: file.Contexts["dev"].Token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// What a new cluster shows once: the secrets themselves at a terminal, else the files that hold them.
func TestShowBirth(t *testing.T) {
	dir := t.TempDir()
	identity, err := trust.Create(dir, "n1")
	if err != nil {
		t.Fatal(err)
	}
	if err := identity.Begin("c1", nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	for name, watched := range map[string]bool{"at a terminal": true, "where nobody watches": false} {
		c := config{NodeID: "n1", DataDir: dir, APITLS: "on", APIAdvertise: "https://n1.test:8420", ClusterAdvertise: "n1.test:8421", AdminTokenTTL: 24 * time.Hour, JoinTokenTTL: time.Hour, JoinTokenUses: 4}
		if !watched {
			c = c.withBirthFiles()
		}
		var out bytes.Buffer
		authority := trust.FingerprintOf(identity.Known().Authorities[0])
		n := &node{config: c, identity: identity, adminToken: "brk_canary", joinToken: trust.NewJoinToken(authority), stdout: &out}
		n.showBirth()
		n.showBirth()
		text := out.String()
		for _, secret := range []string{"brk_canary", n.joinToken.Reveal()} {
			if strings.Count(text, secret) != map[bool]int{true: 1}[watched] {
				t.Errorf("%s a token is shown %d times:\n%s", name, strings.Count(text, secret), text)
			}
		}
		for _, want := range []string{"valid for 24h", "brokerctl login https://n1.test:8420 --ca-fingerprint " + authority.String(), "up to 4 more nodes join within 1h", "brokerd server --join n1.test:8421"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s it does not say %q:\n%s", name, want, text)
			}
		}
	}
}

// A development cluster with a data directory comes back with what it had.
func TestDevKeepsItsData(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	dir := filepath.Join(t.TempDir(), "data")
	_, stop := mustDev(t, "--data-dir", dir)
	if _, err := devClient(t).CreateEnvironment(t.Context(), types.EnvironmentSpec{Name: "payments/production"}); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"env", "node1/keyring.json", "node2/identity.json", "node3/keyring.json", "admin-token", "join-token", "brokerd.log"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if code := stop(); code != 0 {
		t.Errorf("stopped with %d", code)
	}
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"dev", "--nodes", "1", "--data-dir", dir}, &stderr, &stderr); code != 2 || !strings.Contains(stderr.String(), "3 nodes") {
		t.Errorf("fewer nodes than there are: %d, %s", code, stderr.String())
	}
	_, stop = mustDev(t, "--data-dir", dir)
	if _, err := devClient(t).GetEnvironment(t.Context(), "payments/production"); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if code := stop(); code != 0 {
		t.Errorf("stopped with %d", code)
	}
}

// Without a data directory nothing is left behind.
func TestDevLeavesNothingBehind(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("TMPDIR", t.TempDir())
	_, stop := mustDev(t, "--nodes", "1")
	if status, err := devClient(t).GetCluster(t.Context()); err != nil || len(status.Members) != 1 {
		t.Errorf("status: %+v, %v", status, err)
	}
	if code := stop(); code != 0 {
		t.Errorf("stopped with %d", code)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	path, err := contexts.Path(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	file, err := contexts.Load(path)
	if err != nil || len(file.Contexts) > 0 {
		t.Errorf("contexts left behind: %v, %v", file.Names(), err)
	}
}

// Providers for measuring are there only when asked for.
func TestBenchProviders(t *testing.T) {
	for _, bench := range []bool{false, true} {
		registry, err := concreteProviders(bench)
		if err != nil {
			t.Fatal(err)
		}
		if names := registry.Names(); slices.Contains(names, "noop") != bench || !slices.Contains(names, "postgres") {
			t.Errorf("bench=%t: providers %q", bench, names)
		}
	}
}

func TestServeDebug(t *testing.T) {
	if server, err := serveDebug("", slog.New(slog.DiscardHandler)); server != nil || err != nil {
		t.Errorf("without an address: %v, %v", server, err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	server, err := serveDebug(address, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	answer, err := http.Get("http://" + address + "/debug/pprof/heap")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("heap profile: %s", answer.Status)
	}
}
