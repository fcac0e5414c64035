package e2e

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/types"
)

// Over a day's use and every error that comes with it, secrets are in no file of any data directory (state, log of Raft,
// audit log, what a crash leaves), in no log, event, metric or answer.
func TestCanary(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client()
	canaries := map[string]string{"root password": h.rootPassword, "admin token": h.token}
	var told strings.Builder // everything the API said that is not a secret shown once
	tell := func(v any, err error) {
		told.WriteString(strings.TrimSpace(toText(t, v)))
		if err != nil {
			told.WriteString(err.Error())
		}
	}
	for i := range 20 {
		issued, err := h.issue(c, time.Hour, client.WithIdempotencyKey("canary-key-"+string(rune('a'+i))))
		if err != nil {
			t.Fatal(err)
		}
		canaries["leased password "+string(rune('a'+i))] = value(issued, "DB_PASSWORD")
		tell(c.RevokeLease(t.Context(), issued.Lease.ID, types.RevokeSpec{}))
	}
	wrong := h.connectionSpec("wrong")
	canaries["wrong root password"] = "wrong-canary-5523"
	wrong.Settings["password"] = canaries["wrong root password"]
	tell(c.CreateConnection(t.Context(), wrong))
	unknown := h.connectionSpec("unknown")
	unknown.Settings["pasword"] = h.rootPassword
	tell(c.CreateConnection(t.Context(), unknown))
	tell(c.GetConnection(t.Context(), "orders-db"))
	h.dayOfAccounts(c, canaries, tell)
	tell(c.RotateSeal(t.Context()))
	tell(c.ListEvents(t.Context(), client.EventQuery{}, client.ListOptions{Limit: 1000}))
	for n := 1; n <= 3; n++ {
		tell(h.client(n).GetCluster(t.Context()))
		told.WriteString(h.metrics(n))
	}
	// A crash writes what every goroutine is at into the node's log.
	_, followers := h.leader()
	h.signal(followers[0], syscall.SIGQUIT)
	eventually(t, time.Minute, "the node's last words", func() bool {
		return strings.Contains(string(mustRead(t, filepath.Join(h.dir, fmt.Sprintf("node%d", followers[0]), "log"))), "goroutine ")
	})
	h.mustDevcluster("down")
	told.WriteString(readAll(t, h.dir, "admin-token", "env"))
	log, err := os.ReadFile(h.pg.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	for name, canary := range canaries {
		if canary == "" {
			t.Errorf("there is no %s to look for", name)
		}
		if before, after, found := strings.Cut(told.String(), canary); found {
			t.Errorf("the %s is in a file of the cluster or in what it said: …%s[here]%s…", name, before[max(0, len(before)-200):], after[:min(len(after), 100)])
		}
		if name != "root password" && bytes.Contains(log, []byte(canary)) {
			t.Errorf("the %s is in the database's log", name)
		}
	}
	if !strings.Contains(told.String(), `"type":"outcome"`) || !strings.Contains(told.String(), "goroutine ") {
		t.Error("audit log or crash output were not looked through")
	}
	t.Logf("looked for %d canaries in %d bytes", len(canaries), told.Len())
}

// dayOfAccounts makes accounts, signs them in and has them make the mistakes that people make.
func (h *house) dayOfAccounts(c *client.Client, canaries map[string]string, tell func(any, error)) {
	t, ctx := h.t, h.t.Context()
	must(t)(c.CreateAccount(ctx, types.AccountSpec{Name: "eve", Kind: "user"}))
	must(t)(c.CreateAccount(ctx, types.AccountSpec{Name: "ci", Kind: "service"}))
	canaries["password"], canaries["mistyped password"] = "correct canary battery 771", "mistyped canary 9c1"
	if err := c.SetPassword(ctx, "eve", types.PasswordChange{Password: canaries["password"]}); err != nil {
		t.Fatal(err)
	}
	token, err := c.SignInPassword(ctx, types.PasswordSignIn{Username: "eve", Password: canaries["password"]})
	must(t)(token, err)
	canaries["token by password"] = token.Token
	for _, name := range []string{"eve", "nobody", canaries["mistyped password"]} { // passwords are typed into the wrong field, too
		tell(c.SignInPassword(ctx, types.PasswordSignIn{Username: name, Password: canaries["mistyped password"]}))
	}
	secret, err := c.CreateClientSecret(ctx, "ci", types.ClientSecretSpec{Uses: 1})
	must(t)(secret, err)
	canaries["client secret"] = secret.ClientSecret
	token, err = c.SignInClient(ctx, types.ClientSignIn{ClientID: "ci", ClientSecret: secret.ClientSecret})
	must(t)(token, err)
	canaries["token by client secret"] = token.Token
	tell(c.SignInClient(ctx, types.ClientSignIn{ClientID: "ci", ClientSecret: secret.ClientSecret})) // it was good for one
	minutes := types.Duration(10 * time.Minute)
	wrapped, err := c.CreateClientSecret(ctx, "ci", types.ClientSecretSpec{WrapTTL: &minutes})
	must(t)(wrapped, err)
	canaries["wrapping token"] = wrapped.Wrapping.Token
	unwrapped, err := c.Unwrap(ctx, wrapped.Wrapping.Token)
	must(t)(unwrapped, err)
	canaries["unwrapped client secret"], _ = unwrapped.Values.Get("client_secret")
	tell(c.Unwrap(ctx, wrapped.Wrapping.Token)) // it was taken
	made, err := c.CreateToken(ctx, types.TokenSpec{Account: "ci", Uses: 2})
	must(t)(made, err)
	canaries["token"] = made.Token
	for range 4 { // until it is used up, and then
		tell(h.as(made.Token).ListLeases(ctx, client.LeaseSelector{}, client.ListOptions{}))
	}
	tell(h.as(made.Token).ListLeases(ctx, client.LeaseSelector{Account: made.Token}, client.ListOptions{})) // in the URL
	tell(c.HashForAudit(ctx, canaries["token"]))
	yes := true
	tell(c.UpdateAccount(ctx, "eve", types.AccountChange{Disabled: &yes}))
	tell(h.as(canaries["token by password"]).ListLeases(ctx, client.LeaseSelector{}, client.ListOptions{}))
}

// signal sends a signal to a node's process.
func (h *house) signal(node int, what syscall.Signal) {
	h.t.Helper()
	var pid int
	if _, err := fmt.Sscan(string(mustRead(h.t, filepath.Join(h.dir, fmt.Sprintf("node%d", node), "pid"))), &pid); err != nil {
		h.t.Fatal(err)
	}
	if err := syscall.Kill(pid, what); err != nil {
		h.t.Fatal(err)
	}
}

// metrics returns what a node shows of itself to who has a token.
func (h *house) metrics(n int) string {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.addrs[n-1]+"/metrics", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+h.token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || !bytes.Contains(text, []byte("broker_raft_term")) {
		h.t.Fatalf("metrics of node %d: %s, %v", n, answer.Status, err)
	}
	return string(text)
}

// readAll returns the content of every file below a directory but those named.
func readAll(t *testing.T, dir string, but ...string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() { // a node that crashed leaves its socket
			return err
		}
		for _, name := range but {
			if d.Name() == name {
				return nil
			}
		}
		data, err := os.ReadFile(path)
		all.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
