package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"broker/api/apitest"
	"broker/api/types"
)

// Who may use connections without seeing them names one; nothing that is secret comes back from a step.
func TestDeveloperMakesASecret(t *testing.T) {
	d := newDesk(t)
	d.signIn(d.person("dora", "developer", "payments/*"))
	const path = "/ui/environments/payments/production/new"
	got := d.get(path + "?provider=fake")
	if got.StatusCode != http.StatusOK || !strings.Contains(got.text, "you may use them, but not see them") || strings.Contains(got.text, "New connection") || strings.Contains(got.text, "Check connection") {
		t.Fatalf("the first step: %d %s", got.StatusCode, got.text)
	}
	form := url.Values{"provider": {"fake"}, "at": {"connection"}, "go": {"next"}, "connection": {""}, "default_ttl": {"1h"}, "max_ttl": {"24h"}, "settings.password": {apitest.RootPassword}}
	if got = d.ask("POST", path, form); got.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(got.text, "choose one") || strings.Contains(got.text, apitest.RootPassword) {
		t.Fatalf("without a connection: %d %s", got.StatusCode, got.text)
	}
	form.Set("connection", "no-such-db")
	if got = d.ask("POST", path, form); got.StatusCode < 400 || !strings.Contains(got.text, "What its logins may do") && !strings.Contains(got.text, "no-such-db") {
		t.Fatalf("with one that is not there: %d %s", got.StatusCode, got.text)
	}
	form.Set("connection", "orders-db")
	if got = d.ask("POST", path, form); got.StatusCode != http.StatusOK || !strings.Contains(got.text, "Secret name") || !strings.Contains(got.text, `value="ORDERS_DB_`) {
		t.Fatalf("the second step, with keys that are free: %d %s", got.StatusCode, got.text)
	}
	form.Set("at", "details")
	form.Set("name", "mine")
	form.Set("outputs.0.key", "MY_USER")
	form.Set("outputs.0.source", "nonsense")
	if got = d.ask("POST", path, form); got.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(got.text, "has no output") {
		t.Fatalf("an output of nothing: %d %s", got.StatusCode, got.text)
	}
	form.Set("outputs.0.source", "username")
	if got = d.ask("POST", path, form); got.StatusCode != http.StatusOK || !strings.Contains(got.text, "Save and test") {
		t.Fatalf("the third step: %d %s", got.StatusCode, got.text)
	}
	form.Set("at", "review")
	for _, button := range []string{"finish", "add"} { // what is wrong is told in the step where it can be mended
		form.Set("go", button)
		form.Set("name", "Not A Name")
		if got = d.ask("POST", path, form); got.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(got.text, "Secret name") || !strings.Contains(got.text, `value="MY_USER"`) {
			t.Fatalf("%s under a name that is none: %d %s", button, got.StatusCode, got.text)
		}
	}
	form.Set("name", "mine")
	form.Set("go", "finish")
	for range 2 { // the second is a double click
		form.Set("idempotency_key", "one-form")
		if got = d.ask("POST", path, form); got.StatusCode != http.StatusSeeOther {
			t.Fatalf("finishing: %d %s", got.StatusCode, got.text)
		}
	}
	made, err := d.client(apitest.Token).GetSecret(t.Context(), "payments/production/mine")
	if err != nil || made.Connection != "orders-db" || len(made.Outputs) != 1 {
		t.Errorf("the secret is %+v, %v", made, err)
	}
	if got = d.get("/ui/?q=my_user"); !strings.Contains(got.text, "mine") || strings.Contains(got.text, "orders-ro") {
		t.Errorf("searching: %s", got.text)
	}
	if got = d.get("/ui/?q=nothing-like-it"); !strings.Contains(got.text, "No secret is like this") {
		t.Errorf("searching for nothing: %s", got.text)
	}
}

// An environment that holds something is deleted with it or not at all; what was told is not what one has to know by heart.
func TestEnvironmentIsRefused(t *testing.T) {
	d := newDesk(t)
	d.signIn(apitest.Token)
	const path = "/ui/environments/payments/production"
	if got := d.ask("POST", path+"/delete", url.Values{}); got.StatusCode != http.StatusConflict || !strings.Contains(got.text, "1 secret") {
		t.Errorf("deleting what holds a secret: %d %s", got.StatusCode, got.text)
	}
	env, err := d.client(apitest.Token).GetEnvironment(t.Context(), "payments/production")
	d.must2(env, err)
	changed := "Theirs"
	d.must2(d.client(apitest.Token).UpdateEnvironment(t.Context(), env.Name, types.EnvironmentChange{Description: &changed}))
	got := d.ask("POST", path+"/edit", url.Values{"description": {"Mine"}, "version": {"1"}})
	if got.StatusCode != http.StatusPreconditionFailed || !strings.Contains(got.text, "It was changed meanwhile") || !strings.Contains(got.text, `value="Mine"`) {
		t.Errorf("changing what is another by now: %d %s", got.StatusCode, got.text)
	}
}
