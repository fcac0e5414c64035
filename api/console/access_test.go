package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"broker/api/apitest"
	"broker/api/client"
	"broker/api/types"
)

// adminScreens are those about connections, access and what happened.
var adminScreens = []string{
	"/ui/connections", "/ui/connections/new", "/ui/connections/new?provider=fake", "/ui/connections/orders-db", "/ui/connections/orders-db/configure", "/ui/connections/orders-db/check",
	"/ui/connections/orders-db/pause", "/ui/connections/orders-db/resume", "/ui/connections/orders-db/rotate", "/ui/connections/orders-db/rotate/cancel", "/ui/connections/orders-db/delete",
	"/ui/orphans", "/ui/sweep", "/ui/locks", "/ui/locks/new", "/ui/operations", "/ui/operations?state=running",
	"/ui/accounts", "/ui/accounts?q=x&kind=user", "/ui/accounts/new", "/ui/accounts/alice", "/ui/accounts/alice/change", "/ui/accounts/alice/disable", "/ui/accounts/alice/enable",
	"/ui/accounts/alice/password", "/ui/accounts/alice/delete", "/ui/account", "/ui/account/end-others", "/ui/tokens", "/ui/tokens/new",
	"/ui/accounts/ci", "/ui/accounts/ci/client-secrets/new", "/ui/groups", "/ui/groups/new", "/ui/groups/team", "/ui/groups/team/change", "/ui/groups/team/delete", "/ui/roles", "/ui/roles/give",
	"/ui/policies", "/ui/policies/new", "/ui/access", "/ui/access?account=alice&action=lease:issue&resource=payments/production/orders-ro",
	"/ui/access?action=lease:issue&resource=payments/production", "/ui/access/report", "/ui/access/report.csv", "/ui/history", "/ui/history?type=lease&since=1h", "/ui/history/export?format=csv", "/ui/history/export",
	"/ui/audit", "/ui/audit/hash",
}

// furnished is a desk with an account, a service and a group.
func furnished(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t)
	d.person("alice", "viewer", "*")
	c, ctx := d.client(apitest.Token), t.Context()
	d.must2(c.CreateAccount(ctx, types.AccountSpec{Name: "ci", Kind: "service"}))
	d.must2(c.CreateGroup(ctx, types.GroupSpec{Name: "team", Members: []string{"alice"}}))
	return d
}

// Every screen can be made; who may only look sees no button that changes something, and is refused by the address.
func TestAdminScreens(t *testing.T) {
	d := furnished(t)
	d.signIn(apitest.Token)
	for _, path := range adminScreens {
		got := d.get(path)
		refused := got.StatusCode != 200 && strings.Contains(got.text, `role="alert"`) // told in the dialog, such as that there is no rotation
		if got.StatusCode != 200 && !refused {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.text)
		}
		if strings.Contains(got.text, apitest.RootPassword) {
			t.Errorf("%s shows the root credential", path)
		}
	}

	viewer := d.client(apitest.Token)
	made, err := viewer.CreateToken(t.Context(), types.TokenSpec{Account: "alice"})
	d.must2(made, err)
	d.signIn(made.Token)
	button := regexp.MustCompile(`href="(/ui/[^"]*/(?:new|configure|check|pause|rotate|delete|disable|change|give|unlock)[^"]*)"`)
	for _, path := range []string{"/ui/connections", "/ui/connections/orders-db", "/ui/locks", "/ui/operations", "/ui/orphans", "/ui/history"} {
		got := d.get(path)
		if found := button.FindStringSubmatch(got.text); got.StatusCode != 200 || found != nil {
			t.Errorf("%s for a viewer: %d offers %v", path, got.StatusCode, found)
		}
	}
	if got := d.get("/ui/accounts"); got.Header.Get("Location") != "/ui/account" {
		t.Errorf("the accounts for a viewer: %d %s", got.StatusCode, got.Header.Get("Location"))
	}
	if got := d.get("/ui/account"); got.StatusCode != 200 || !strings.Contains(got.text, "End all other sessions") || strings.Contains(got.text, "Disable") {
		t.Errorf("one's own account: %d %s", got.StatusCode, got.text)
	}
	for _, path := range []string{"/ui/connections/orders-db/configure", "/ui/connections/orders-db/delete", "/ui/accounts/new", "/ui/policies/new", "/ui/roles/give", "/ui/sweep"} {
		if got := d.get(path); got.StatusCode != http.StatusForbidden {
			t.Errorf("%s for a viewer: %d", path, got.StatusCode)
		}
	}
	for path, form := range map[string]url.Values{
		"/ui/connections/new?provider=fake":   {"name": {"mine"}, "settings.password": {"x"}},
		"/ui/connections/orders-db/pause":     {"ttl": {"1h"}, "reason": {"because"}},
		"/ui/connections/orders-db/configure": {"description": {"mine"}},
		"/ui/connections/orders-db/delete":    {},
		"/ui/locks/new":                       {"scope.environment": {"*"}, "reason": {"because"}},
		"/ui/accounts/new":                    {"name": {"mallory"}, "kind": {"user"}},
		"/ui/roles/give":                      {"account": {"alice"}, "role": {"admin"}, "scope": {"*"}},
		"/ui/policies/new":                    {"name": {"mine"}, "text": {"permit (principal, action, resource);"}},
		"/ui/tokens/new":                      {"account": {"admin"}},
	} {
		got := d.ask("POST", path, form)
		if got.StatusCode != http.StatusForbidden || !strings.Contains(got.text, "You may not do that") {
			t.Errorf("%s by a viewer: %d %s", path, got.StatusCode, got.text)
		}
	}
}

// A connection is configured without its secret fields being shown, and who comes second is told.
func TestConfigureConnection(t *testing.T) {
	d := newDesk(t)
	d.signIn(apitest.Token)
	shown := d.get("/ui/connections/orders-db/configure")
	version := regexp.MustCompile(`name="version" value="(\d+)"`).FindStringSubmatch(shown.text)
	if version == nil || strings.Contains(shown.text, apitest.RootPassword) || !strings.Contains(shown.text, "kept unless another is given") {
		t.Fatalf("%d %s", shown.StatusCode, shown.text)
	}
	form := url.Values{"version": {version[1]}, "description": {"Orders"}, "environments": {"payments/*, billing/production"}, "sweep": {"report"}}
	if got := d.ask("POST", "/ui/connections/orders-db/configure", form); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d %s", got.StatusCode, got.text)
	}
	now, err := d.client(apitest.Token).GetConnection(t.Context(), "orders-db")
	d.must2(now, err)
	if now.Description != "Orders" || now.Sweep != "report" || strings.Join(now.Environments, " ") != "payments/* billing/production" {
		t.Errorf("%+v", now)
	}
	form.Set("description", "What the second typed")
	got := d.ask("POST", "/ui/connections/orders-db/configure", form)
	if got.StatusCode != 412 || !strings.Contains(got.text, "It was changed meanwhile") || !strings.Contains(got.text, "What the second typed") {
		t.Errorf("the second: %d %s", got.StatusCode, got.text)
	}
}

// A lock that revokes tells how many leases first; nothing is done before that is confirmed.
func TestLockTellsWhatItRevokes(t *testing.T) {
	d := newDesk(t)
	d.signIn(apitest.Token)
	c, ctx := d.client(apitest.Token), t.Context()
	d.must2(c.IssueLease(ctx, "payments/production/orders-ro", types.IssueSpec{Name: "one"}))
	form := url.Values{"scope.environment": {"payments/*"}, "reason": {"stolen"}, "revoke": {"1"}, "idempotency_key": {"k"}}
	got := d.ask("POST", "/ui/locks/new", form)
	locks, err := c.ListLocks(ctx, client.ListOptions{})
	d.must2(locks, err)
	if got.StatusCode != 200 || !strings.Contains(got.text, "Lock and revoke 1 lease") || len(locks.Items) != 0 {
		t.Fatalf("%d %d locks: %s", got.StatusCode, len(locks.Items), got.text)
	}
	form.Set("counted", "1")
	if got = d.ask("POST", "/ui/locks/new", form); got.StatusCode != http.StatusSeeOther || !strings.HasPrefix(got.Header.Get("Location"), "/ui/operations/") {
		t.Fatalf("%d %s", got.StatusCode, got.text)
	}
	if got := d.get(got.Header.Get("Location")); got.StatusCode != 200 || !strings.Contains(got.text, "environment payments/*") {
		t.Errorf("its operation: %d %s", got.StatusCode, got.text)
	}
	if got = d.ask("POST", "/ui/locks/new", url.Values{}); got.StatusCode != 422 || !strings.Contains(got.text, "want an environment") || !strings.Contains(got.text, "say why") {
		t.Errorf("an empty form: %d %s", got.StatusCode, got.text)
	}
}

// What is wrong with a policy stands at its line.
func TestPolicyErrorsAtTheirLine(t *testing.T) {
	d := newDesk(t)
	d.signIn(apitest.Token)
	text := "// one\r\npermit (principal, action == Action::\"lease:isue\", resource);\r\n"
	got := d.ask("POST", "/ui/policies/new", url.Values{"name": {"wrong"}, "text": {text}})
	if got.StatusCode != 422 || !regexp.MustCompile(`class="wrong-line"><span class="number">2</span>`).MatchString(got.text) {
		t.Errorf("%d %s", got.StatusCode, got.text)
	}
	text = "// one\r\nforbid (principal, action == Action::\"lease:issue\", resource in App::\"nowhere\");\r\n"
	if got = d.ask("POST", "/ui/policies/new", url.Values{"name": {"right"}, "text": {text}}); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d %s", got.StatusCode, got.text)
	}
	if got = d.get("/ui/policies/right"); !strings.Contains(got.text, "forbid (principal") {
		t.Errorf("%d %s", got.StatusCode, got.text)
	}
}

// All other sessions end, this one stays, and so does the token that it was made with.
func TestEndOtherSessions(t *testing.T) {
	d := newDesk(t)
	token := d.person("alice", "viewer", "*")
	other := d.signIn(token).Cookies()[0].Value
	d.forget()
	d.signIn(token)
	got := d.ask("POST", "/ui/account/end-others", url.Values{})
	if got.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d %s", got.StatusCode, got.text)
	}
	if _, err := d.client(other).GetToken(t.Context(), "self"); client.Code(err) != "unauthenticated" {
		t.Errorf("the other session: %v", err)
	}
	if got := d.get("/ui/account"); got.StatusCode != 200 {
		t.Errorf("this session: %d", got.StatusCode)
	}
	d.must2(d.client(token).GetToken(t.Context(), "self"))
}
