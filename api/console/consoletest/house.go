package consoletest

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
	"broker/providers/postgres/postgrestest"
)

// Secret is the secret that there is: of a PostgreSQL, in an environment that nobody else uses.
const Secret = "payments/production/orders-ro"

var shots = flag.Bool("console.shots", false, "keep pictures of the screens in api/console/shots")

// shared is what the tests of a package have together.
var shared struct {
	once sync.Once
	err  error

	dir      string
	pg       *postgrestest.Server
	password string // of its root account
	token    string
	addrs    []string

	browser
}

// Main runs the tests of a package and ends what they started. It is what TestMain calls.
func Main(m *testing.M) {
	flag.Parse()
	code := m.Run()
	stop()
	os.Exit(code)
}

func stop() {
	shared.close()
	if shared.dir != "" {
		_, _ = devcluster("down")
		os.RemoveAll(shared.dir)
	}
	if shared.pg != nil {
		shared.pg.Stop()
	}
}

// House is the cluster as a test sees it.
type House struct {
	t testing.TB
}

// Start returns the cluster, which it starts when nobody has.
func Start(t testing.TB) *House {
	t.Helper()
	shared.once.Do(func() { shared.err = start() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return &House{t}
}

func start() (err error) {
	if shared.dir, err = os.MkdirTemp("", "broker-console-"); err != nil {
		return err
	}
	build := exec.Command("go", "build", raceFlag, "-o", shared.dir+"/", "broker/cmd/brokerd")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building brokerd: %w\n%s", err, out)
	}
	var database sync.WaitGroup
	var failed error
	var password string
	database.Go(func() {
		if shared.pg, failed = postgrestest.Run(context.Background(), postgrestest.Config{Dir: filepath.Join(shared.dir, "postgres")}); failed == nil {
			password, failed = shared.pg.Prepare(context.Background())
		}
	})
	out, err := devcluster("up", "--nodes", "3")
	database.Wait()
	if err != nil {
		return fmt.Errorf("starting the nodes: %w\n%s", err, out)
	}
	if failed != nil {
		return fmt.Errorf("starting PostgreSQL: %w", failed)
	}
	token, err := os.ReadFile(filepath.Join(shared.dir, "admin-token"))
	if err != nil {
		return err
	}
	shared.token = strings.TrimSpace(string(token))
	for n := 1; n <= 3; n++ {
		ports, err := os.ReadFile(filepath.Join(shared.dir, fmt.Sprintf("node%d", n), "ports"))
		if err != nil {
			return err
		}
		shared.addrs = append(shared.addrs, "http://127.0.0.1:"+strings.Fields(string(ports))[0])
	}
	shared.password = password
	return furnish(password)
}

// Root is how the root account of the outside system signs in.
type Root struct{ Port, Database, Username, Password, Role string }

// Root returns what a connection to the outside system is made with, and a role that leased users may be members of.
func (h *House) Root() Root {
	return Root{fmt.Sprint(shared.pg.Port), postgrestest.Database, postgrestest.RootName, shared.password, postgrestest.ReadRole}
}

// furnish makes a connection and the secret.
func furnish(password string) error {
	c, err := client.New(client.Config{Addresses: shared.addrs, Token: shared.token})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx := context.Background()
	if _, err := c.CreateEnvironment(ctx, types.EnvironmentSpec{Name: "payments/production"}); err != nil {
		return err
	}
	if _, err := c.CreateConnection(ctx, types.ConnectionSpec{
		Name: "orders-db", Provider: "postgres", Environments: []string{"*"},
		Settings: map[string]any{
			"host": "127.0.0.1", "port": shared.pg.Port, "database": postgrestest.Database, "username": postgrestest.RootName, "password": password,
		},
	}); err != nil {
		return err
	}
	hour, day := types.Duration(time.Hour), types.Duration(24*time.Hour)
	_, err = c.CreateSecret(ctx, "payments/production", types.SecretSpec{
		Name: "orders-ro", Description: "Reads orders", Connection: "orders-db", DefaultTTL: &hour, MaxTTL: &day,
		Options: map[string]any{"member_of": []string{postgrestest.ReadRole}},
		Outputs: []types.Output{{Key: "DB_USER", Source: "username"}, {Key: "DB_PASSWORD", Source: "password"}, {Key: "DATABASE_URL", Source: "url"}},
	})
	return err
}

func devcluster(args ...string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(filepath.Join(root, "scripts/devcluster"), append(args, "--dir", shared.dir)...)
	cmd.Env = append(os.Environ(), "DEVCLUSTER_BROKERD="+filepath.Join(shared.dir, "brokerd"), fmt.Sprintf("DEVCLUSTER_PORTS=%d", 14000+os.Getpid()%110*50))
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// moduleRoot is where the module's go.mod is.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// Devcluster has scripts/devcluster do something with the nodes: kill 2, start 2, leader. A test that stops a node starts it again.
func (h *House) Devcluster(args ...string) string {
	h.t.Helper()
	out, err := devcluster(args...)
	if err != nil {
		h.t.Fatalf("devcluster %v: %v\n%s", args, err, out)
	}
	return out
}

// Leader returns the number of the node that leads.
func (h *House) Leader() int {
	h.t.Helper()
	n, err := strconv.Atoi(h.Devcluster("leader"))
	h.must(err)
	return n
}

// URL returns the address of a node's API and console; nodes are counted from 1.
func (h *House) URL(node int) string { return shared.addrs[node-1] }

// Postgres is the outside system behind the connection orders-db.
func (h *House) Postgres() *postgrestest.Server { return shared.pg }

// Client returns a client of all nodes as the first admin, who may issue leases, too.
func (h *House) Client() *client.Client { return h.ClientOf(shared.token) }

// ClientOf is Client for somebody else's token.
func (h *House) ClientOf(token string) *client.Client {
	h.t.Helper()
	c, err := client.New(client.Config{Addresses: shared.addrs, Token: token})
	h.must(err)
	h.t.Cleanup(c.Close)
	return c
}

// Token returns the first admin's.
func (h *House) Token() string { return shared.token }

var people atomic.Int64

// Person makes an account that nobody else has, with a role in a scope, and returns its name and a token. An empty role: none.
func (h *House) Person(role, scope string) (name, token string) {
	h.t.Helper()
	c, ctx := h.Client(), h.t.Context()
	name = fmt.Sprintf("person-%d", people.Add(1))
	_, err := c.CreateAccount(ctx, types.AccountSpec{Name: name, Kind: "user"})
	h.must(err)
	if role != "" {
		_, err = c.CreateRoleBinding(ctx, types.RoleBindingSpec{Role: role, Account: name, Scope: scope})
		h.must(err)
	}
	made, err := c.CreateToken(ctx, types.TokenSpec{Account: name})
	h.must(err)
	return name, made.Token
}

// Lease issues a lease of [Secret] to the first admin.
func (h *House) Lease(name string, ttl time.Duration) types.Lease {
	h.t.Helper()
	d := types.Duration(ttl)
	issued, err := h.Client().IssueLease(h.t.Context(), Secret, types.IssueSpec{Name: name, TTL: &d})
	h.must(err)
	return issued.Lease
}

// signIn returns the cookie of a session made with a token.
func (h *House) signIn(node int, token string) *http.Cookie {
	h.t.Helper()
	once := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := once.PostForm(h.URL(node)+"/ui/signin", url.Values{"by": {"token"}, "token": {token}})
	h.must(err)
	defer response.Body.Close()
	for _, cookie := range response.Cookies() {
		if strings.HasPrefix(cookie.Name, "broker-") && cookie.Value != "" {
			return cookie
		}
	}
	h.t.Fatalf("signing in: %s", response.Status)
	return nil
}

func (h *House) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}
