package console_test

import (
	"strings"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/console/consoletest"
	"broker/api/types"
)

// A secret is made by clicks at a real PostgreSQL: connection in the flow, a mistake at its field, preview, test.
func TestSecretIsMadeByClicks(t *testing.T) {
	h := consoletest.Start(t)
	b := h.Browser(1, h.Token())
	b.Open("/ui/")
	b.See("orders-ro")
	b.Axe()
	b.Shot("secrets")
	b.Click("New environment")
	b.Fill("Name", "clicks")
	b.Click("Make environment")
	b.See("app/env")
	b.Axe()
	b.Shot("environment-new")
	b.Fill("Name", "clicks/test")
	b.Click("Make environment")
	b.At("/ui/environments/clicks/test")
	b.See("No secret yet")
	b.Axe()
	b.Shot("environment-empty")
	b.Click("New secret")
	b.Click("Dynamic secret")
	b.See("Where are its logins made?")
	b.Axe()
	b.Shot("secret-providers")
	b.Click("PostgreSQL")
	b.See("orders-db")
	b.Axe()
	b.Shot("secret-connection")

	root := h.Root()
	b.Click("New connection")
	b.Fill("Connection name", "clicked-db")
	b.Fill("Host", "127.0.0.1")
	b.Fill("Port", "many")
	b.Fill("Database", root.Database)
	b.Fill("Username", root.Username)
	b.Fill("Password", root.Password)
	b.Click("Check and make connection")
	b.See("must be a whole number")
	b.Axe()
	b.Shot("secret-new-connection")
	if html := b.Eval("document.documentElement.outerHTML"); strings.Contains(html, root.Password) {
		t.Error("the page holds the root password that was typed")
	}
	b.Fill("Port", root.Port)
	b.Fill("Password", root.Password)
	b.Click("Check and make connection")
	b.See("Connection clicked-db is made")
	b.Fill("Member of", "there_is_no_such_role")
	b.Click("Next")
	b.See("there_is_no_such_role")
	b.See("What its logins may do")
	b.Fill("Member of", root.Role)
	b.Click("Check connection")
	b.See("It answers")
	b.Click("Next")
	b.Fill("Secret name", "Not A Name")
	b.Fill("Default TTL", "2d")
	b.Click("Next")
	b.See("Some of it is not right")
	b.Axe()
	b.Fill("Secret name", "clicked")
	b.Click("Back")
	b.See("What its logins may do")
	b.Click("Next")
	b.Fill("Default TTL", "2h")
	b.Fill("Key of output 1", "CLICK_USER")
	b.Axe()
	b.Shot("secret-details")
	b.Click("Next")
	b.See("clicked_xxxx")
	b.See("CREATE ROLE")
	b.Axe()
	b.Shot("secret-review")
	b.Click("Save and test")
	b.See("The secret works")
	b.Axe()
	b.Shot("secret-test")
	b.Click("Finish")
	b.At("/ui/environments/clicks/test")
	b.See("CLICK_USER")
	b.Axe()
	b.Shot("environment")
	made, err := h.Client().GetSecret(t.Context(), "clicks/test/clicked")
	if err != nil || made.DefaultTTL.Std() != 2*time.Hour {
		t.Errorf("the secret is %+v, %v", made, err)
	}
	b.Open("/ui/environments/clicks/test/secrets/clicked")
	b.See("What a lease does")
	b.Axe()
	b.Shot("secret")
}

// madeSecret makes a secret for a test.
func madeSecret(t *testing.T, h *consoletest.House, env, name string) types.Secret {
	t.Helper()
	c := h.Client()
	if _, err := c.CreateEnvironment(t.Context(), types.EnvironmentSpec{Name: env}); err != nil {
		t.Fatal(err)
	}
	made, err := c.CreateSecret(t.Context(), env, types.SecretSpec{Name: name, Description: "As it was", Connection: "orders-db", Options: map[string]any{"member_of": []string{h.Root().Role}}})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// Two people configure a secret: the second is told who was quicker, keeps what he typed and gets what he did not touch.
func TestTwoPeopleConfigure(t *testing.T) {
	h := consoletest.Start(t)
	name, token := h.Person("developer", "*")
	secret := madeSecret(t, h, "two/people", "both")
	const path = "/ui/environments/two/people/secrets/both/configure"
	one, other := h.Browser(1, token), h.Browser(2, h.Token())
	one.Open(path)
	other.Open(path)
	one.Fill("Description", "Hers")
	one.Fill("Max TTL", "3d")
	one.Click("Save")
	one.At("/ui/environments/two/people/secrets/both")
	other.Fill("Description", "His")
	other.Fill("Labels", "team=his")
	other.Click("Save")
	other.See("It was changed meanwhile")
	other.See(name)
	other.See("Hers")
	other.Axe()
	other.Shot("secret-configure-conflict")
	if got := other.Eval(`document.getElementById("f-description").value + document.getElementById("f-max_ttl").value`); got != "His72h" {
		t.Errorf("the form holds %q", got)
	}
	other.Click("Preview")
	other.See("CREATE ROLE")
	other.Shot("secret-configure")
	other.Click("Save")
	other.At("/ui/environments/two/people/secrets/both")
	now, err := h.Client().GetSecret(t.Context(), secret.FullName)
	if err != nil || now.Description != "His" || now.Labels["team"] != "his" || now.MaxTTL.Std() != 72*time.Hour {
		t.Errorf("the secret is %+v, %v", now, err)
	}
}

// A secret with live leases goes with them or not at all; it can be cloned before.
func TestSecretIsDeletedWithItsLeases(t *testing.T) {
	h := consoletest.Start(t)
	c := h.Client()
	secret := madeSecret(t, h, "gone/soon", "leaving")
	if _, err := c.CreateEnvironment(t.Context(), types.EnvironmentSpec{Name: "gone/elsewhere"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.IssueLease(t.Context(), secret.FullName, types.IssueSpec{Name: "held"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.UpdateSecret(t.Context(), secret.FullName, types.SecretChange{Disabled: new(true)}); err != nil {
		t.Fatal(err)
	}
	b := h.Browser(1, h.Token())
	b.Open("/ui/environments/gone/soon")
	b.Click("More of leaving")
	b.Click("Clone leaving")
	b.See("Leases stay where they are")
	b.Axe()
	b.Shot("secret-clone")
	b.Fill("Environment", "gone/elsewhere")
	b.Click("Clone")
	b.At("/ui/environments/gone/elsewhere/secrets/leaving")
	if clone, err := c.GetSecret(t.Context(), "gone/elsewhere/leaving"); err != nil || !clone.Disabled {
		t.Errorf("the clone of a disabled secret is %+v, %v", clone, err)
	}

	b.Open("/ui/environments/gone/soon")
	b.Click("More of leaving")
	b.Click("Delete leaving")
	b.See("2 leases are live")
	b.Axe()
	b.Shot("secret-delete")
	if b.Eval(`document.querySelector("dialog .danger").disabled`) != "true" {
		t.Error("the red button works before the leases are to be revoked")
	}
	b.Eval(`fetch("/ui/environments/gone/soon/secrets/leaving/delete", { method: "POST", body: new URLSearchParams() }).then((r) => { window.got = r.status })`)
	b.Wait("window.got === 409")
	b.Fill("Revoke all active leases", "on")
	b.Click("Delete Dynamic Secret")
	deadline := time.Now().Add(time.Minute)
	for {
		_, err := c.GetSecret(t.Context(), secret.FullName)
		if client.Code(err) == "not_found" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the secret is still there: %v", err)
		}
	}
}

// Who may only look is offered nothing.
func TestViewerIsOfferedNoChanges(t *testing.T) {
	h := consoletest.Start(t)
	madeSecret(t, h, "viewed/only", "quiet")
	_, token := h.Person("viewer", "*")
	b := h.Browser(1, token)
	b.Open("/ui/environments/viewed/only")
	b.See("quiet")
	b.Gone("Generate")
	b.Gone("New secret")
	b.Gone("Delete")
	b.Expect("status of 403")
	b.Open("/ui/environments/viewed/only/new?provider=postgres")
	b.Open("/ui/environments/viewed/only/secrets/quiet")
	b.See("What a lease does")
	b.Gone("Configure")
}
