package console_test

import (
	"fmt"
	"testing"
	"time"

	"broker/api/console/consoletest"
	"broker/api/types"
	"broker/providers/postgres/postgrestest"
)

// A connection is made, checked and paused, a mistake is told at its field, and somebody else sees it.
func TestConnectionByClicks(t *testing.T) {
	h := consoletest.Start(t)
	password, err := h.Postgres().Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, viewer := h.Person("viewer", "*")
	other := h.Browser(2, viewer)
	other.Open("/ui/connections")
	other.See("orders-db")
	other.Live()
	other.Gone("New connection")

	b := h.Browser(1, h.Token())
	b.Open("/ui/connections")
	b.Axe()
	b.Shot("connections")
	b.Click("New connection")
	b.See("What kind of system")
	b.Axe()
	b.Shot("connection-providers")
	b.Click("PostgreSQL")
	b.Fill("Name", "clicks-db")
	b.Fill("Host", "127.0.0.1")
	b.Fill("Port", "many")
	b.Fill("Database", postgrestest.Database)
	b.Fill("Username", postgrestest.RootName)
	b.Fill("Password", password)
	b.Click("Check and make")
	b.See("must be a whole number")
	b.Axe()
	b.Shot("connection-form")
	b.Fill("Port", itoa(h.Postgres().Port))
	b.Fill("Password", password)
	b.Click("Check and make")
	b.At("/ui/connections/clicks-db")
	b.See("no environment yet")
	b.Axe()
	b.Shot("connection")
	other.See("clicks-db")

	b.Click("Check")
	b.Click("Check now")
	b.See("It works")
	b.Axe()
	b.Shot("connection-checked")
	b.Click("Close")
	b.Click("Pause")
	b.Fill("For", "1h")
	b.Click("Pause")
	b.Fill("Reason", "new disks")
	b.Click("#dialog .primary")
	b.See("Paused; it ends in")
	b.Shot("connection-paused")
	other.See("new disks")
	b.Click("Delete")
	b.See("The root credential is forgotten")
	b.Axe()
	b.Shot("connection-delete")
	b.Click("Delete connection")
	b.At("/ui/connections")
	other.Gone("clicks-db")
}

// A lock is made and ended.
func TestLockByClicks(t *testing.T) {
	h := consoletest.Start(t)
	b := h.Browser(1, h.Token())
	b.Open("/ui/locks")
	b.Click("New lock")
	b.Click("#dialog .primary")
	b.Fill("Environment", "clicks/*")
	b.Fill("Label", "nothing")
	b.Fill("Reason", "a laptop was stolen")
	b.Click("#dialog .primary")
	b.See("key=value")
	b.Axe()
	b.Shot("lock-new")
	b.Fill("Label", "")
	b.Fill("For", "1h")
	b.Click("#dialog .primary")
	b.See("The lock is in force")
	b.See("a laptop was stolen")
	b.Axe()
	b.Shot("locks")
	b.Click("Unlock environment clicks/*")
	b.See("can be issued and renewed again")
	b.Click("#dialog .primary")
	b.See("Unlocked.")
	b.Gone("a laptop was stolen")
}

// An account is made, given a role, and a token that is shown once; disabling it ends that and its leases.
func TestAccountByClicks(t *testing.T) {
	h := consoletest.Start(t)
	b := h.Browser(1, h.Token())
	b.Open("/ui/accounts")
	b.Axe()
	b.Shot("accounts")
	b.Click("New account")
	b.Fill("Name", "Clicks")
	b.Click("Make account")
	b.See("Some of it is not right")
	b.Fill("Name", "clicks")
	b.Fill("Kind", "service")
	b.Click("Make account")
	b.At("/ui/accounts/clicks")
	b.See("It has no role")
	b.Click("Give a role")
	b.Fill("Role", "service")
	b.Fill("Where", "payments/*")
	b.Axe()
	b.Shot("role-give")
	b.Click("#dialog .primary")
	b.See("payments/*")

	b.Click("New token")
	b.Fill("Description", "by hand")
	b.Click("Make token")
	b.See("Copy the token now")
	token := b.Eval(`document.querySelector("#once-0").value`)
	b.Axe()
	b.Shot("token-once")
	b.Click("I have copied it")
	b.See("by hand")
	if left := b.Eval(`document.documentElement.outerHTML.includes(` + "`" + token + "`" + `)`); left != "false" {
		t.Errorf("the token is on the page still: %s", left)
	}
	hour := types.Duration(time.Hour)
	if _, err := h.ClientOf(token).IssueLease(t.Context(), consoletest.Secret, types.IssueSpec{Name: "of-clicks", TTL: &hour}); err != nil {
		t.Fatal(err)
	}
	b.See("of-clicks")
	b.Click("New client secret")
	b.Fill("Description", "in CI")
	b.Click("Make client secret")
	b.See("Copy the client secret now")
	b.Click("I have copied it")
	b.See("in CI")
	b.Axe()
	b.Shot("account")

	b.Click("Disable")
	b.See("Live leases")
	b.Axe()
	b.Shot("account-disable")
	b.Click("Disable clicks")
	b.See("clicks is disabled")
	b.See("It holds none")
	b.Open("/ui/operations")
	b.See("account clicks")
	b.Axe()
	b.Shot("operations")
	b.Click("Revoke leases")
	b.See("at the end")
	b.Axe()
	b.Shot("operation")
}

func itoa(n any) string { return fmt.Sprint(n) }

// Groups, roles, policies, what may be asked, history and audit are looked at.
func TestAccessByClicks(t *testing.T) {
	h := consoletest.Start(t)
	b := h.Browser(1, h.Token())
	b.Open("/ui/groups")
	b.Click("New group")
	b.Fill("Name", "clicks-team")
	b.Fill("Members", "admin")
	b.Click("Make group")
	b.At("/ui/groups/clicks-team")
	b.Axe()
	b.Shot("group")
	b.Open("/ui/policies/new")
	b.Fill("Name", "clicks")
	b.Fill("Text", "// wrong\npermit (principal, action == Action::\"lease:isue\", resource);\n")
	b.Click("Make policy")
	b.See("Some of it is not right")
	b.Axe()
	b.Shot("policy-form")
	b.Fill("Text", "// right\nforbid (principal, action == Action::\"lease:issue\", resource in App::\"clicks\");\n")
	b.Click("Make policy")
	b.At("/ui/policies/clicks")
	b.Axe()
	b.Shot("policy")
	b.Open("/ui/access")
	b.Fill("Account", "admin")
	b.Fill("May do", "lease:issue")
	b.Fill("On", "clicks/production/x")
	b.Click("Ask")
	b.See("No: admin may not")
	b.Axe()
	b.Shot("explain")
	for _, screen := range []struct{ path, text, name string }{
		{"/ui/groups", "clicks-team", "groups"}, {"/ui/roles", "Who has them", "roles"}, {"/ui/policies", "clicks", "policies"}, {"/ui/tokens", "this session", "tokens"},
		{"/ui/account", "End all other sessions", "my-account"}, {"/ui/access/report", "lease:issue", "access-report"}, {"/ui/history", "policy created", "history"}, {"/ui/audit", "Audit", "audit"},
		{"/ui/orphans", "Unknown logins", "orphans"},
	} {
		b.Open(screen.path)
		b.See(screen.text)
		b.Axe()
		b.Shot(screen.name)
	}
}
