package api_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"broker/access"
	"broker/api"
	"broker/api/apitest"
	"broker/fsm"
)

var updatePermissions = flag.Bool("update-permissions", false, "write testdata/permissions.txt anew, to be reviewed")

// bodies are what the routes that need a body are asked with: right in form, so that the gate decides. %s are the
// environment's app, and the names and ids of fixtures.
var bodies = map[string]string{
	"access-explain":       `{"account":"holder","action":"lease:issue","resource":"{app}/production"}`,
	"access-who-can":       `{"action":"lease:issue","resource":"{app}/production"}`,
	"account-create":       `{"name":"another","kind":"user"}`,
	"account-password":     `{"password":"correct horse battery staple"}`,
	"account-update":       `{"max_leases":1}`,
	"audit-hash":           `{"value":"x"}`,
	"client-secret-create": `{}`,
	"clock-repair":         `{"reason":"x"}`,
	"cluster-transfer":     `{}`,
	"connection-create":    `{"name":"another","provider":"fake","settings":{"password":"x"}}`,
	"connection-pause":     `{"ttl":"1h","reason":"x"}`,
	"connection-update":    `{"description":"x"}`,

	"connection-rotate-cancel": `{"reason":"x"}`,

	"environment-create":  `{"name":"{app}/another"}`,
	"environment-update":  `{"description":"x"}`,
	"group-create":        `{"name":"another"}`,
	"group-update":        `{"description":"x"}`,
	"join-token-create":   `{}`,
	"lease-forget":        `{"reason":"x"}`,
	"lease-forget-many":   `{"selector":{"environment":["{app}/production"]},"reason":"x"}`,
	"lease-renew":         `{"ttl":"1m"}`,
	"lease-retry-many":    `{"selector":{"environment":["{app}/production"]}}`,
	"lease-revoke-many":   `{"selector":{"environment":["{app}/production"]}}`,
	"lock-create":         `{"scope":{"environment":"{app}/production"},"reason":"x"}`,
	"lock-update":         `{"reason":"y"}`,
	"member-demote":       `{}`,
	"member-promote":      `{}`,
	"policy-create":       `{"name":"another","text":"permit(principal == Account::\"holder\", action, resource);"}`,
	"policy-update":       `{"description":"x"}`,
	"role-binding-create": `{"role":"viewer","account":"holder","scope":"{app}/*"}`,
	"secret-create":       `{"name":"another","connection":"orders-db"}`,
	"secret-update":       `{"description":"x"}`,
	"snapshot-release":    `{"unknown":"report","reason":"x"}`,
	"token-create":        `{"account":"holder","ttl":"1h"}`,
}

// anyone answers for tokens that are the names of accounts.
type anyone struct{}

func (anyone) Identify(token string, _ netip.Addr) (api.Identity, error) {
	return api.Identity{Account: fsm.AccountName(token), Token: "01OF" + fsm.TokenAccessor(strings.ToUpper(token))}, nil
}

// Behind the gate of the server that is asked nothing is done: whatever gets there panics.
type (
	noBroker  struct{ api.Broker }
	noMembers struct{ api.Members }
	noTrust   struct{ api.Trust }
	noRecords struct{ access.AuditLog }
)

// world is what the routes are asked about: the same in an app of the caller's and in another one.
type world struct {
	t   *testing.T
	kit *apitest.Kit
	url string // where everything may be done
	ids map[string]map[string]string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, ids: map[string]map[string]string{}}
	w.kit = apitest.Start(t, func(c *api.Config) { c.Authenticator = anyone{} })
	w.url = w.kit.URL
	w.must("/environments", `{"name":"payments/production"}`)
	w.must("/environments", `{"name":"other/production"}`)
	w.must("/connections", `{"name":"orders-db","provider":"fake","environments":["*"],"settings":{"password":"`+apitest.RootPassword+`"}}`)
	w.must("/accounts", `{"name":"holder","kind":"user"}`)
	w.must("/groups", `{"name":"team"}`)
	policy := w.must("/policies", `{"name":"plain","text":"permit(principal == Account::\"nobody-there\", action == Action::\"lease:issue\", resource);"}`)
	token := w.must("/tokens", `{"account":"holder","ttl":"1h"}`)
	client := w.must("/accounts/holder/client-secrets", `{}`)
	binding := w.must("/role-bindings", `{"role":"viewer","group":"team","scope":"*"}`)
	join := w.must("/cluster/join-tokens", `{}`)
	for _, app := range []string{"payments", "other"} {
		w.must("/environments/"+app+"/production/secrets", `{"name":"orders-ro","connection":"orders-db"}`)
		lease := w.as("holder", "/environments/"+app+"/production/secrets/orders-ro/leases", `{}`)
		lock := w.must("/locks", `{"scope":{"environment":"`+app+`/production","label":"no=such"},"reason":"x"}`)
		op := w.must("/leases/revoke", `{"selector":{"environment":["`+app+`/production"],"label":["no=such"]}}`)
		w.ids[app] = map[string]string{
			"lease": lease.at("lease", "id").(string), "lock": lock.at("lock", "id").(string), "operation": op.at("id").(string),
			"policy": policy.at("name").(string), "token": token.at("accessor").(string), "client-secret": client.at("id").(string),
			"role": binding.at("id").(string), "join-token": join.at("id").(string), "account": "holder", "group": "team",
			"connection": "orders-db", "provider": "fake", "member": "n1", "authority": "1", "secret": "orders-ro", "environment": app,
		}
	}
	return w
}

func (w *world) must(path, body string) answer { return w.as("admin", path, body) }

func (w *world) as(account, path, body string) answer {
	w.t.Helper()
	got := ask(w.t, w.url, "POST", "/api/v1"+path, body, "Authorization", "Bearer "+account)
	if got.status >= 300 {
		w.t.Fatalf("POST %s: %s", path, got.text)
	}
	return got
}

// request returns the path and body by which a route is asked about an app's things.
func (w *world) request(one api.Route, app string) (path, body string) {
	noun := one.ID
	for _, known := range []string{"client-secret", "join-token", "connection", "environment", "operation", "authority", "provider", "account", "member", "policy", "secret", "lease", "token", "group", "lock", "role"} {
		if strings.HasPrefix(one.ID, known) {
			noun = known
			break
		}
	}
	ids := w.ids[app]
	name := ids[noun]
	if one.ID == "role-get" {
		name = "viewer"
	}
	account := "holder"
	path = strings.NewReplacer("{app}", app, "{env}", "production", "{number}", ids["authority"], "{accessor}", ids["token"]).Replace(one.Path)
	switch {
	case strings.HasPrefix(path, "/accounts/"):
		path = strings.NewReplacer("{name}", account, "{id}", ids["client-secret"]).Replace(path)
	case strings.Contains(path, "/secrets/"):
		path = strings.ReplaceAll(path, "{name}", ids["secret"])
	}
	path = strings.NewReplacer("{name}", name, "{id}", name).Replace(path)
	if strings.Contains(path, "{") {
		w.t.Fatalf("the test does not know what to ask %s %s about", one.Method, one.Path)
	}
	if one.Path != "/metrics" {
		path = "/api/v1" + path
	}
	return path, strings.ReplaceAll(bodies[one.ID], "{app}", app)
}

// verdict asks a route as an account, and says in a sign what came of it: + the gate let it pass, - it did not, 0 the
// thing is not there for the account, a number: so many things are in the list.
func (w *world) verdict(url string, one api.Route, account, app string) string {
	path, body := w.request(one, app)
	var headers []string
	if one.ID == "event-stream" {
		headers = []string{"Accept", "text/event-stream"}
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, one.Method, url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+account)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusForbidden:
		return "-"
	case http.StatusNotFound:
		return "0"
	case http.StatusOK:
		if one.Chosen && one.ID != "event-stream" {
			return fmt.Sprint(len(decoded(w.t, response)["items"].([]any)))
		}
		return "+"
	case http.StatusInternalServerError:
		return "+" // it got where there is nothing
	}
	w.t.Errorf("%s as %s: %d %v: the test's body is wrong", one.ID, account, response.StatusCode, decoded(w.t, response))
	return "?"
}

// TestPermissions holds every route against a reviewed table: what each role may do everywhere, what somebody without any
// may, and what roles for one app may do in another one. A new route stands in it at once, and fails until it is reviewed.
func TestPermissions(t *testing.T) {
	w := newWorld(t)
	everywhere := []string{"admin", "operator", "developer", "service", "viewer", "auditor"}
	for _, role := range everywhere {
		w.must("/accounts", `{"name":"`+role+`-all","kind":"user"}`)
		w.must("/role-bindings", `{"role":"`+role+`","account":"`+role+`-all","scope":"*"}`)
	}
	w.must("/accounts", `{"name":"nobody","kind":"user"}`)
	apart := []string{"admin", "operator", "developer", "service", "viewer"}
	for _, role := range apart {
		w.must("/accounts", `{"name":"`+role+`-apart","kind":"user"}`)
		w.must("/role-bindings", `{"role":"`+role+`","account":"`+role+`-apart","scope":"payments/*"}`)
	}
	decider, err := access.New(access.DeciderConfig{State: w.kit.State})
	if err != nil {
		t.Fatal(err)
	}
	server, url := w.kit.Another(t, func(c *api.Config) {
		c.Authorizer = decider
		c.Broker, c.Members, c.Trust = noBroker{}, noMembers{}, noTrust{}
		c.AuditLog = noRecords{}
		c.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		c.Snapshot = func() (api.Snapshot, error) { panic("reached") }
	})
	list := server.Routes()
	slices.SortFunc(list, func(a, b api.Route) int {
		return strings.Compare(a.Path+" "+a.Method+" "+a.ID, b.Path+" "+b.Method+" "+b.ID)
	})
	var table strings.Builder
	fmt.Fprintf(&table, "# + may  - may not  0 is told that there is no such thing  a number: so many things are in the list that he sees\n")
	fmt.Fprintf(&table, "# roles everywhere: %s; no role\n# roles at payments/*, asked about payments: %s; then about other\n", strings.Join(everywhere, " "), strings.Join(apart, " "))
	for _, one := range list {
		if one.Public {
			fmt.Fprintf(&table, "%-6s %-60s %-26s public\n", one.Method, one.Path, "")
			continue
		}
		var cells [3][]string
		for _, role := range everywhere {
			cells[0] = append(cells[0], w.verdict(url, one, role+"-all", "payments"))
		}
		cells[0] = append(cells[0], w.verdict(url, one, "nobody", "payments"))
		for i, app := range []string{"payments", "other"} {
			for _, role := range apart {
				cells[i+1] = append(cells[i+1], w.verdict(url, one, role+"-apart", app))
			}
		}
		fmt.Fprintf(&table, "%-6s %-60s %-26s %s  |  %s  |  %s\n", one.Method, one.Path, one.Action,
			strings.Join(cells[0], " "), strings.Join(cells[1], " "), strings.Join(cells[2], " "))
	}
	file := filepath.Join("testdata", "permissions.txt")
	if *updatePermissions {
		if err := os.WriteFile(file, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	reviewed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(reviewed), table.String()); d != "" {
		t.Errorf("%s (-reviewed +now):\n%s", file, d)
	}
}
