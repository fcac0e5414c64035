package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// withClients is for scripts/soak: what the protocol is held to by each test run stands in api/vault.
var withClients = flag.Bool("e2e.clients", false, "try programs that were written for Vault, which are built or installed first")

// said is a line of a client's output.
type said struct {
	What string `json:"what"`
	ID   string `json:"id"`
	Left int    `json:"left"`
}

// vaultClient is a program that speaks Vault's protocol and was written by somebody else, with its own account.
type vaultClient struct {
	t       *testing.T
	account string
	cmd     *exec.Cmd
	input   io.Closer // until it is closed the program goes on; nil: until it is interrupted
	errors  strings.Builder
	over    chan error

	mu   sync.Mutex
	said []said
}

// ids returns the leases that the program was told of, by what it said of them.
func (c *vaultClient) ids(what string) map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]int{}
	for _, one := range c.said {
		if one.What == what {
			out[one.ID[strings.LastIndex(one.ID, "/")+1:]]++
		}
	}
	return out
}

// follow begins the program, and keeps what it says.
func (c *vaultClient) follow() {
	c.t.Helper()
	input, err := c.cmd.StdinPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	output, err := c.cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	c.input, c.over, c.cmd.Stderr = input, make(chan error, 1), &c.errors
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // it has ended
		if c.t.Failed() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.t.Logf("%s said %v, and on its other output:\n%s", c.account, c.said[max(0, len(c.said)-20):], c.errors.String())
		}
	})
	go func() {
		for lines := bufio.NewScanner(output); lines.Scan(); {
			var one said
			if json.Unmarshal(lines.Bytes(), &one) == nil {
				c.mu.Lock()
				c.said = append(c.said, one)
				c.mu.Unlock()
			}
		}
		c.over <- c.cmd.Wait()
	}()
}

// finish has the program end, which it must do well.
func (c *vaultClient) finish() {
	c.t.Helper()
	interrupted := c.input == nil
	if interrupted {
		_ = c.cmd.Process.Signal(os.Interrupt)
	} else {
		_ = c.input.Close()
	}
	select {
	case err := <-c.over:
		if err != nil && !interrupted { // whose code says that it was
			c.t.Errorf("%s: %v\n%s", c.account, err, c.errors.String())
		}
	case <-time.After(15 * time.Second):
		c.t.Errorf("%s does not end\n%s", c.account, c.errors.String())
	}
}

// vaultPrograms builds the Go programs, and installs what the one for Node needs. The one for Python needs a Python that
// has hvac: the system's, where it is a package of the system's.
func vaultPrograms(t *testing.T) (node, python string) {
	t.Helper()
	for _, one := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(one, "-c", "import hvac").Run() == nil {
			python = one
			break
		}
	}
	if python == "" {
		t.Fatal("no Python here has hvac (scripts/need hvac installs it)")
	}
	build := exec.Command("go", "build", "-o", binDir+"/", "./vaultapi", "./openbao", "github.com/hashicorp/consul-template")
	build.Dir = "clients"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the clients: %v\n%s", err, out)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	node = filepath.Join(cache, "broker", "node-clients")
	if err := os.MkdirAll(node, 0o700); err != nil {
		t.Fatal(err)
	}
	same := true
	for _, name := range []string{"package.json", "package-lock.json", "lease.js"} {
		want, err := os.ReadFile(filepath.Join("clients", "node", name))
		if err != nil {
			t.Fatal(err)
		}
		have, _ := os.ReadFile(filepath.Join(node, name)) // what is not there is another one
		same = same && string(have) == string(want)
		if err := os.WriteFile(filepath.Join(node, name), want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(node, "node_modules", "node-vault")); err != nil || !same {
		install := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		install.Dir = node
		if out, err := install.CombinedOutput(); err != nil {
			t.Fatalf("installing node-vault (scripts/need node installs npm): %v\n%s", err, out)
		}
	}
	return node, python
}

// Programs that were written for Vault lease, renew and revoke through a follower, live through the ends of their leases
// and the death of the leader, and nothing is minted that they were not told of.
func TestVaultClients(t *testing.T) {
	if !*withClients {
		t.Skip("building other people's programs takes a minute: -e2e.clients, as scripts/soak has it")
	}
	t.Parallel()
	node, python := vaultPrograms(t)
	h := newHouse(t)
	admin := h.client()
	leader, followers := h.leader()
	url := h.addrs[followers[0]-1]
	short, most, minute := types.Duration(4*time.Second), types.Duration(8*time.Second), types.Duration(time.Minute)
	for i, name := range []string{"vaultapi", "openbao", "consul-template", "node", "hvac", "mint"} {
		spec := secretSpec(name, fmt.Sprintf("DB%d", i))
		if spec.DefaultTTL, spec.MaxTTL = &short, &most; name == "mint" {
			spec.DefaultTTL, spec.MaxTTL = &minute, &minute
		}
		must(t)(admin.CreateSecret(t.Context(), "payments/production", spec))
	}
	path := func(secret string) string { return "payments/production/creds/" + secret }
	begin := func(account string, arguments ...string) *vaultClient {
		must(t)(admin.CreateAccount(t.Context(), types.AccountSpec{Name: account, Kind: "service"}))
		must(t)(admin.CreateRoleBinding(t.Context(), types.RoleBindingSpec{Role: "service", Account: account, Scope: "payments/*"}))
		secret, err := admin.CreateClientSecret(t.Context(), account, types.ClientSecretSpec{})
		if err != nil {
			t.Fatal(err)
		}
		c := &vaultClient{t: t, account: account, cmd: exec.Command(arguments[0], arguments[1:]...)}
		c.cmd.Env = append(os.Environ(), "VAULT_ADDR="+url, "ROLE_ID="+account, "SECRET_ID="+secret.ClientSecret, "KEEP="+path(account), "MINT="+path("mint"))
		return c
	}
	ours := []*vaultClient{
		begin("vaultapi", filepath.Join(binDir, "vaultapi")),
		begin("openbao", filepath.Join(binDir, "openbao")),
		begin("node", "node", filepath.Join(node, "lease.js")),
		begin("hvac", python, filepath.Join("clients", "python", "lease.py")),
	}
	for _, c := range ours {
		c.follow()
	}
	template := h.consulTemplate(begin, admin, path("consul-template"))

	eventually(t, time.Minute, "every client has a lease and has renewed it", func() bool {
		for _, c := range ours {
			if len(c.ids("renewed")) < 1 {
				return false
			}
		}
		return len(template.ids("leased")) > 0
	})
	h.mustDevcluster("kill", fmt.Sprint(leader))
	leased, renewed := map[string]int{}, map[string]int{}
	for _, c := range append(ours, template) {
		leased[c.account], renewed[c.account] = len(c.ids("leased")), sum(c.ids("renewed"))
	}
	mintedBefore := len(ours[0].ids("minted"))
	eventually(t, time.Minute, "every client has another lease after the leader's death, and has renewed it", func() bool {
		for _, c := range append(ours, template) {
			if len(c.ids("leased")) <= leased[c.account] || c != template && sum(c.ids("renewed")) < renewed[c.account]+2 {
				return false
			}
		}
		return len(ours[0].ids("minted")) > mintedBefore+3
	})
	for _, c := range append(ours, template) {
		c.finish()
	}

	for _, c := range append(ours, template) {
		told, ledger := c.ids("leased"), h.minted(admin, c.account, c.account)
		if len(told) != len(ledger) {
			t.Errorf("%s was told of %d leases, and %d were minted: %v, %v", c.account, len(told), len(ledger), told, ledger)
		}
		t.Logf("%s: %d leases, renewed %d times", c.account, len(told), sum(c.ids("renewed")))
	}
	told, ledger := ours[0].ids("minted"), h.minted(admin, "vaultapi", "mint")
	if len(told) != len(ledger) || sum(told) != len(told) {
		t.Errorf("%d leases were told %d times, and %d were minted", len(told), sum(told), len(ledger))
	}
	t.Logf("%d minted one after the other", len(told))
	eventually(t, time.Minute, "no login is left", func() bool { return len(h.logins()) == 0 })
}

// consulTemplate runs consul-template as it is, with nothing set but where to ask. What it writes tells which lease it has.
func (h *house) consulTemplate(begin func(string, ...string) *vaultClient, admin *client.Client, path string) *vaultClient {
	h.t.Helper()
	file := filepath.Join(h.t.TempDir(), "out")
	source := filepath.Join(h.t.TempDir(), "in")
	text := fmt.Sprintf(`{{ with secret %q }}{"what":"leased","id":"{{ .LeaseID }}","left":{{ .LeaseDuration }}}{{ if not .Data.username }}no name{{ end }}{{ end }}`, path)
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	// It says what it wrote by a command of its own.
	c := begin("consul-template", filepath.Join(binDir, "consul-template"), "-template", source+":"+file+":cat "+file+"; echo")
	token, err := admin.CreateToken(h.t.Context(), types.TokenSpec{Account: c.account})
	if err != nil {
		h.t.Fatal(err)
	}
	c.cmd.Env = append(c.cmd.Env, "VAULT_TOKEN="+token.Token)
	c.follow()
	c.input = nil
	return c
}

// minted returns the ids of all leases of an account and secret that ever were active.
func (h *house) minted(c *client.Client, account, secret string) map[string]bool {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	out, cursor := map[string]bool{}, ""
	for {
		page, err := c.ListLeases(ctx, client.LeaseSelector{Account: account, Secret: "payments/production/" + secret}, client.ListOptions{Limit: 200, Cursor: cursor})
		if err != nil {
			h.t.Fatal(err)
		}
		for _, one := range page.Items {
			if one.ActivatedAt != nil {
				out[one.ID] = true
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			return out
		}
	}
}

func sum(counts map[string]int) (all int) {
	for _, one := range counts {
		all += one
	}
	return all
}
