package console_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/console/consoletest"
	"broker/api/types"
)

// A double click does once what the form is for: in a dialog, and on a page of its own.
func TestDoubleClick(t *testing.T) {
	h := consoletest.Start(t)
	way := h.Way(1)
	b := h.BrowserBy(way, h.Token())
	const path = "/ui/environments/payments/production/secrets/orders-ro"
	b.Open(path + "/leases")
	b.Click("Generate")
	b.Fill("Name", "clicked-twice")
	b.DoubleClick("Generate")
	b.See("they are not shown again")
	b.Gone("no second one was made")
	b.Click("I have copied them")
	found, err := h.Client().ListLeases(t.Context(), client.LeaseSelector{Secret: consoletest.Secret}, client.ListOptions{Limit: 100})
	must(t, found, err)
	n := 0
	for _, one := range found.Items {
		if one.Name == "clicked-twice" {
			n++
		}
	}
	if sent := way.Seen("POST " + path + "/generate"); n != 1 || sent != 1 {
		t.Errorf("a double click sent %d forms and made %d leases", sent, n)
	}

	defer func() {
		if err := h.Client().DeletePolicy(context.Background(), "clicked-twice"); err != nil {
			t.Error(err)
		}
	}()
	b.Open("/ui/policies/new")
	b.Fill("Name", "clicked-twice")
	b.Fill("Text", `forbid (principal, action == Action::"lease:issue", resource in App::"clicked-twice");`) // which no other test is in
	b.DoubleClick("Make policy")
	b.At("/ui/policies/clicked-twice")
	if sent := way.Seen("POST /ui/policies/new"); sent != 1 {
		t.Errorf("a double click on a page sent %d forms", sent)
	}
}

// What is exported is what is shown, under a name that says of what.
func TestExports(t *testing.T) {
	h := consoletest.Start(t)
	lease := h.Lease("exported", time.Hour)
	b := h.Browser(1, h.Token())
	b.Open("/ui/leases/" + lease.ID)
	b.See("Issued")
	name, content := b.Download("JSON lines")
	var first types.Event
	if err := json.Unmarshal([]byte(strings.SplitN(content, "\n", 2)[0]), &first); err != nil || name != "lease-"+lease.ID[len(lease.ID)-8:]+".jsonl" || first.Type != "lease.prepared" || first.LeaseID != lease.ID {
		t.Errorf("%s holds %s: %v", name, content, err)
	}
	name, content = b.Download("CSV")
	rows, err := csv.NewReader(strings.NewReader(content)).ReadAll()
	if err != nil || name != "lease-"+lease.ID[len(lease.ID)-8:]+".csv" || len(rows) != 3 || rows[2][3] != "lease.issued" || rows[2][6] != "admin" {
		t.Errorf("%s holds %s: %v", name, content, err)
	}

	b.Open("/ui/history?type=lease.issued&lease=" + lease.ID)
	b.See("lease issued")
	name, content = b.Download("CSV")
	rows, err = csv.NewReader(strings.NewReader(content)).ReadAll()
	if err != nil || name != "history.csv" || len(rows) != 2 || !slices.Contains(rows[1], "lease.issued") || !slices.Contains(rows[1], lease.ID) {
		t.Errorf("%s holds %s: %v", name, content, err)
	}
	name, content = b.Download("JSON lines")
	if err := json.Unmarshal([]byte(content), &first); err != nil || name != "history.jsonl" || first.Type != "lease.issued" {
		t.Errorf("%s holds %s: %v", name, content, err)
	}
}

// A lease that is asked for with something, here a public key of one's own, says at the field what is wrong with that.
func TestGenerateWithAParameter(t *testing.T) {
	h := consoletest.Start(t)
	c, ctx := h.Client(), t.Context()
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPEPROh02Uwyg+t0ESI7mY+g8NbGYhQf+JIhlpb2r5QU someone@laptop"
	must(t, nil, second(c.CreateEnvironment(ctx, types.EnvironmentSpec{Name: "hosts/production"})))
	must(t, nil, second(c.CreateConnection(ctx, types.ConnectionSpec{Name: "host-authority", Provider: "ssh", Environments: []string{"hosts/*"}})))
	must(t, nil, second(c.CreateSecret(ctx, "hosts/production", types.SecretSpec{Name: "deploy", Connection: "host-authority", Options: map[string]any{"principals": []string{"deploy"}}})))
	b := h.Browser(1, h.Token())
	b.Open("/ui/environments/hosts/production")
	b.Click("Generate deploy")
	b.Fill("Public key", "not a key")
	b.Click("Generate")
	b.Wait(`document.activeElement.matches("[aria-invalid=true]") && document.activeElement.value === "not a key"`)
	b.Axe()
	b.Shot("generate-parameter")
	b.Fill("Public key", key)
	b.Click("Generate")
	b.See("they are not shown again")
	if got := b.Value("[aria-label=CERTIFICATE]"); !strings.HasPrefix(got, "ssh-ed25519-cert-v01@openssh.com ") {
		t.Errorf("the certificate is %q", got)
	}
	if got := b.Value("[aria-label=PUBLIC_KEY]"); !strings.HasPrefix(key, strings.TrimSpace(got)) {
		t.Errorf("the public key is %q", got)
	}
}

// What runs out is counted down to its end and past it, where nothing is loaded as well; a list tells of the end itself.
func TestCountedToTheEnd(t *testing.T) {
	h := consoletest.Start(t)
	b, list := h.Browser(1, h.Token()), h.Browser(2, h.Token())
	list.Open("/ui/leases?state=all&account=admin")
	list.Live()
	list.Eval("window.loaded = 1")
	b.Open("/ui/environments/payments/production/secrets/orders-ro/leases")
	b.Click("Generate")
	b.Fill("Name", "runs-out")
	b.Fill("TTL", "3s")
	b.Click("Generate")
	b.See("Ends ended ")
	list.Wait(`[...document.querySelectorAll("tr")].some((e) => e.innerText.includes("expired") && e.innerText.includes("runs-out"))`)
	if list.Eval("window.loaded") != "1" {
		t.Error("the list was loaded anew")
	}
	list.Click("runs-out")
	list.See("Expired")
}

// Names are picked from what one may list, and typed where that is nothing.
func TestNamesArePicked(t *testing.T) {
	h := consoletest.Start(t)
	name, token := h.Person("viewer", "*")
	b := h.Browser(1, h.Token())
	options := func(b *consoletest.Browser, label string) string {
		return fmt.Sprintf(`[...document.querySelector('input[aria-label="%[1]s"], #' + ([...document.querySelectorAll("label")].filter((e) => e.checkVisibility()).findLast((e) => e.innerText.startsWith("%[1]s"))?.htmlFor ?? "none")).list.options].map((o) => o.value)`, label)
	}
	b.Open("/ui/leases")
	b.Fill("Secret", "payments/*")
	for _, want := range []string{"*", "payments/*", "payments/production", consoletest.Secret} {
		b.Wait(options(b, "Secret") + `.includes("` + want + `")`)
	}
	b.Open("/ui/groups/new")
	b.Fill("Name", "picked")
	b.Fill("Add to Members", "admin")
	b.Wait(options(b, "Add to Members") + `.includes("` + name + `")`)
	b.Fill("Add to Members", name)
	b.Shot("group-new")
	b.Axe()
	if got := b.Value("Members"); got != "admin\n"+name {
		t.Errorf("the members are %q", got)
	}
	b.Click("Make group")
	b.At("/ui/groups/picked")
	b.See(name)

	viewer := h.Browser(2, token)
	viewer.Open("/ui/leases")
	viewer.Fill("Account", "somebody")
	viewer.Wait(options(viewer, "Account") + `.join() === "` + name + `"`)
}
