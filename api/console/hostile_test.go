package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/console"
	"broker/api/console/consoletest"
	"broker/api/types"
)

// planted are the names and ids of things whose every text is hostile, by the part of a path that they stand behind.
type planted map[string]string

// plant makes one of everything that takes a text from people or from outside.
func plant(t *testing.T, h *consoletest.House) planted {
	t.Helper()
	ctx := t.Context()
	c, err := client.New(client.Config{Addresses: []string{h.URL(1)}, Token: h.Token(), UserAgent: hostile})
	must(t, nil, err)
	t.Cleanup(c.Close)
	names := planted{"environments": "odd", "secrets": "thing", "connections": "planted", "accounts": "planted", "groups": "planted", "policies": "planted", "roles": "developer"}
	outside, secret := newService(t, h, "planted")
	outside.say(hostile)
	text := hostile
	outputs := []types.Output{{Key: "PASSWORD", Source: "password"}, {Key: "NOTE", Source: hostile + "{{password}}"}}
	must(t, nil, second(c.UpdateSecret(ctx, secret, types.SecretChange{Labels: &map[string]string{"k": hostile}, Outputs: &outputs})))
	must(t, nil, second(c.CreateSecret(ctx, "odd/planted", types.SecretSpec{
		Name: "statements", Connection: "orders-db", Outputs: []types.Output{{Key: "DB_URL", Source: "url"}}, Options: map[string]any{"creation_statements": []string{"COMMENT ON ROLE {{name}} IS $$" + hostile + "$$"}},
	})))
	must(t, nil, second(c.UpdateConnection(ctx, "planted", types.ConnectionChange{Description: &text})))
	must(t, nil, second(c.CreateAccount(ctx, types.AccountSpec{Name: "planted", Kind: "service", Description: hostile})))
	must(t, nil, second(c.CreateGroup(ctx, types.GroupSpec{Name: "planted", Description: hostile, Members: []string{"planted"}})))
	must(t, nil, second(c.CreatePolicy(ctx, types.PolicySpec{Name: "planted", Description: hostile, Text: "// " + hostile + "\nforbid(principal == Account::\"planted\", action, resource);"})))
	must(t, nil, second(c.CreateRoleBinding(ctx, types.RoleBindingSpec{Role: "developer", Account: "planted", Scope: "odd/*"})))
	token, err := c.CreateToken(ctx, types.TokenSpec{Account: "planted", Description: hostile})
	must(t, token, err)
	names["tokens"] = token.Accessor
	signIn, err := c.CreateClientSecret(ctx, "planted", types.ClientSecretSpec{Description: hostile})
	must(t, signIn, err)
	names["client-secrets"] = signIn.ID
	issued, err := c.IssueLease(ctx, secret, types.IssueSpec{Name: hostile, Labels: map[string]string{"k": hostile}})
	must(t, issued, err)
	names["leases"] = issued.Lease.ID
	_, err = c.RevokeLease(ctx, issued.Lease.ID, types.RevokeSpec{Reason: hostile}) // which fails, in the service's words
	must(t, nil, err)
	other, err := c.IssueLease(ctx, secret, types.IssueSpec{Name: "other " + hostile})
	must(t, other, err)
	op, err := c.StartOperation(ctx, types.OperationRevoke, types.BulkSpec{Selector: types.LeaseSelector{ID: []string{other.Lease.ID}}, Reason: hostile})
	must(t, op, err)
	names["operations"] = op.ID
	locked, err := c.CreateLock(ctx, types.LockSpec{Scope: types.LockScope{Account: "planted"}, Reason: hostile})
	must(t, locked, err)
	names["locks"] = locked.Lock.ID
	hour := types.Duration(time.Hour)
	must(t, nil, second(c.PauseConnection(ctx, "planted", types.PauseSpec{TTL: &hour, Reason: hostile})))
	t.Cleanup(func() {
		c := h.Client()
		_, _ = c.ResumeConnection(t.Context(), "planted")
	})
	return names
}

func second[T any](_ T, err error) error { return err }

func must(t *testing.T, _ any, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// path fills in a page's pattern.
func (p planted) path(pattern string) string {
	parts := strings.Split(strings.TrimSuffix(pattern, "{$}"), "/")
	for i, part := range parts {
		switch {
		case !strings.HasPrefix(part, "{"):
		case part == "{env}":
			parts[i] = "planted"
		case p[parts[i-1]] != "":
			parts[i] = p[parts[i-1]]
		default:
			parts[i] = "planted"
		}
	}
	return strings.Join(parts, "/")
}

// Whatever people and outside systems call things is text, on every page that there is.
func TestHostileTextsEverywhere(t *testing.T) {
	h := consoletest.Start(t)
	names := plant(t, h)
	pages, err := console.New(console.Config{API: http.NotFoundHandler(), ClusterID: func() string { return "" }})
	must(t, pages, err)
	defer pages.Close()
	b := h.Browser(1, h.Token())
	b.Expect("status of 4") // pages that want something else in the address, or of what is another kind of thing
	b.Expect("Synchronous XMLHttpRequest")
	const found = `document.querySelectorAll("x-planted, img").length + (window.ran ?? 0)`
	text := regexp.MustCompile(`<x-planted>`)
	b.Open("/ui/leases")
	shows := map[string]bool{}
	query := url.Values{}
	for _, name := range []string{"q", "secret", "account", "username", "connection", "label", "state", "type", "actor", "lease", "cursor", "environment", "provider", "name", "action", "resource", "id", "step", "since", "scope"} {
		query.Set(name, hostile)
	}
	for _, pattern := range append(pages.Paths(), "/ui/environments/{app}/{env}/secrets/statements", "/ui/environments/{app}/{env}/secrets/statements/configure") {
		path := names.path(pattern)
		if strings.HasSuffix(path, "/export") || strings.HasSuffix(path, "/events") || strings.Contains(path, ".") {
			continue // files
		}
		// As it is asked for by a form, without being shown: the answer is read as a page and must hold no element of ours.
		got := b.Eval(`(() => { const x = new XMLHttpRequest(); x.open("GET", "` + path + `?` + query.Encode() + `", false); x.send();
			if (!(x.getResponseHeader("Content-Type") ?? "").startsWith("text/html")) return "a file";
			return new DOMParser().parseFromString(x.responseText, "text/html").querySelectorAll("x-planted, img, [onerror]").length })()`)
		if got == "a file" {
			continue
		}
		if got != "0" {
			t.Errorf("%s takes what stands in the address for more than text: %s", path, got)
		}
		b.Open(path)
		if got := b.Eval(found); got != "0" {
			t.Errorf("%s takes a text for more: %s", path, got)
		}
		shows[pattern] = text.MatchString(b.Eval("document.body.innerText"))
	}
	for _, pattern := range []string{"/ui/leases", "/ui/leases/{id}", "/ui/leases/{id}/renew", "/ui/leases/{id}/forget", "/ui/environments/{app}/{env}/secrets/{name}/leases", "/ui/environments/{app}/{env}/secrets/{name}/generate", "/ui/environments/{app}/{env}/secrets/{name}", "/ui/environments/{app}/{env}/secrets/statements"} {
		if !shows[pattern] {
			t.Errorf("%s does not show the hostile text at all", pattern)
		}
	}
	t.Logf("%d pages were opened", len(shows))
}
