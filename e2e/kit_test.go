package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
	"broker/providers/postgres/postgrestest"
)

const secretName = "payments/production/orders-ro"

// binDir holds brokerd and brokerctl, built once for all tests.
var binDir string

func TestMain(m *testing.M) {
	if url := os.Getenv(childVariable); url != "" {
		os.Exit(poolChild(url))
	}
	flag.Parse()
	// Tests beside each other wait for processes most of the time: one more of them than there are processors.
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		if err := parallel.Value.Set(fmt.Sprint(runtime.GOMAXPROCS(0) + 1)); err != nil {
			panic(err)
		}
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "broker-e2e-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binDir = dir
		build := exec.Command("go", "build", raceFlag, "-o", dir+"/", "./cmd/brokerd", "./cmd/brokerctl")
		build.Dir = ".."
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building the commands: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// house is a cluster of processes and the PostgreSQL that it leases users of.
type house struct {
	t            *testing.T
	dir          string
	ports        int // from which on free ones are looked for: houses stand beside each other
	token        string
	addrs        []string // of nodes 1, 2, 3
	env          []string // of the nodes, besides ours
	pg           *postgrestest.Server
	rootPassword string
}

// newHouse starts three nodes, with variables of their own, and an outside database, and makes the secret of the examples.
func newHouse(t *testing.T, env ...string) *house {
	t.Helper()
	h := newCluster(t, env...)
	h.pg = postgrestest.Start(t)
	h.rootPassword = h.pg.MustPrepare(t)
	c := h.client()
	must(t)(c.CreateEnvironment(t.Context(), types.EnvironmentSpec{Name: "payments/production"}))
	must(t)(c.CreateConnection(t.Context(), h.connectionSpec("orders-db")))
	must(t)(c.CreateSecret(t.Context(), "payments/production", secretSpec("orders-ro", "DB")))
	return h
}

// houses counts them.
var houses atomic.Int64

// newCluster starts three nodes, with variables of their own.
func newCluster(t *testing.T, env ...string) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), env: env, ports: 20000 + int(int64(os.Getpid())*7+houses.Add(1))%230*50}
	t.Cleanup(func() {
		for n := 1; n <= 3; n++ {
			h.devcluster("kill", fmt.Sprint(n))
			if t.Failed() {
				t.Logf("the end of node %d's log:\n%s", n, tail(filepath.Join(h.dir, fmt.Sprintf("node%d", n), "log"), 25))
			}
		}
	})
	h.mustDevcluster("up", "--nodes", "3")
	token, err := os.ReadFile(filepath.Join(h.dir, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	h.token = strings.TrimSpace(string(token))
	for n := 1; n <= 3; n++ {
		ports, err := os.ReadFile(filepath.Join(h.dir, fmt.Sprintf("node%d", n), "ports"))
		if err != nil {
			t.Fatal(err)
		}
		h.addrs = append(h.addrs, "http://127.0.0.1:"+strings.Fields(string(ports))[0])
	}
	return h
}

func (h *house) connectionSpec(name string) types.ConnectionSpec {
	return types.ConnectionSpec{
		Name: name, Provider: "postgres", Environments: []string{"payments/*"},
		Settings: map[string]any{
			"host": "127.0.0.1", "port": h.pg.Port, "database": postgrestest.Database,
			"username": postgrestest.RootName, "password": h.rootPassword,
		},
	}
}

func secretSpec(name, prefix string) types.SecretSpec {
	hour, day := types.Duration(time.Hour), types.Duration(24*time.Hour)
	return types.SecretSpec{
		Name: name, Connection: "orders-db", DefaultTTL: &hour, MaxTTL: &day,
		Options: map[string]any{"member_of": []string{postgrestest.ReadRole}},
		Outputs: []types.Output{
			{Key: prefix + "_USER", Source: "username"}, {Key: prefix + "_PASSWORD", Source: "password"}, {Key: prefix + "_URL", Source: "url"},
		},
	}
}

// client returns a client of the given nodes; without any, of all.
func (h *house) client(nodes ...int) *client.Client {
	h.t.Helper()
	return h.as(h.token, nodes...)
}

// as is client for somebody else's token.
func (h *house) as(token string, nodes ...int) *client.Client {
	h.t.Helper()
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, h.addrs[n-1])
	}
	if len(addrs) == 0 {
		addrs = h.addrs
	}
	c, err := client.New(client.Config{Addresses: addrs, Token: token})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(c.Close)
	return c
}

func (h *house) devcluster(args ...string) (string, error) {
	cmd := exec.Command("../scripts/devcluster", append(args, "--dir", h.dir)...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("DEVCLUSTER_PORTS=%d", h.ports))
	if os.Getenv("DEVCLUSTER_BROKERD") == "" {
		cmd.Env = append(cmd.Env, "DEVCLUSTER_BROKERD="+filepath.Join(binDir, "brokerd"))
	}
	cmd.Env = append(cmd.Env, h.env...) // a test may have chosen another version
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (h *house) mustDevcluster(args ...string) string {
	h.t.Helper()
	out, err := h.devcluster(args...)
	if err != nil {
		h.t.Fatalf("devcluster %v: %v\n%s", args, err, out)
	}
	return out
}

// leader returns the number of the node that leads, and those of the others.
func (h *house) leader() (leader int, followers []int) {
	h.t.Helper()
	if _, err := fmt.Sscan(h.mustDevcluster("leader"), &leader); err != nil {
		h.t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		if n != leader {
			followers = append(followers, n)
		}
	}
	return leader, followers
}

func (h *house) issue(c *client.Client, ttl time.Duration, options ...client.Option) (types.Issued, error) {
	d := types.Duration(ttl)
	return c.IssueLease(h.t.Context(), secretName, types.IssueSpec{TTL: &d}, options...)
}

func (h *house) mustIssue(c *client.Client, ttl time.Duration) types.Issued {
	h.t.Helper()
	issued, err := h.issue(c, ttl)
	if err != nil {
		h.t.Fatal(err)
	}
	return issued
}

// logIn tries to use the leased credential.
func (h *house) logIn(issued types.Issued) error {
	ctx, cancel := context.WithTimeout(h.t.Context(), 10*time.Second)
	defer cancel()
	return h.pg.LogIn(ctx, value(issued, "DB_USER"), value(issued, "DB_PASSWORD"), postgrestest.Database)
}

func value(issued types.Issued, key string) string {
	v, _ := issued.Values.Get(key)
	return v
}

// logins returns the names of all logins of ours that PostgreSQL has.
func (h *house) logins() map[string]bool {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	conn, err := h.pg.Superuser(ctx, "postgres")
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT rolname FROM pg_roles WHERE rolname LIKE 'brk\_%'`)
	if err != nil {
		h.t.Fatal(err)
	}
	names := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			h.t.Fatal(err)
		}
		names[name] = true
	}
	if err := rows.Err(); err != nil {
		h.t.Fatal(err)
	}
	return names
}

// leases returns all leases in the given states.
func (h *house) leases(c *client.Client, states ...string) []types.Lease {
	h.t.Helper()
	var all []types.Lease
	var cursor string
	for {
		page, err := c.ListLeases(h.t.Context(), client.LeaseSelector{States: states}, client.ListOptions{Limit: 200, Cursor: cursor})
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return all
		}
	}
}

// must fails the test on an error and passes the value on.
func must(t *testing.T) func(any, error) {
	t.Helper()
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// eventually waits until the condition holds, at most for the given time.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func tail(path string, lines int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}

// toText writes a value as the API did.
func toText(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
