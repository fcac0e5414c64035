package console_test

import (
	"strings"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/console/consoletest"
	"broker/api/types"
)

// What the product promises first, click by click against a PostgreSQL: a secret is made, generated, listed, looked at, renewed,
// revoked, and deleted with leases that are still active. What the screens say is so at the outside system.
func TestDynamicSecretFromFirstToLast(t *testing.T) {
	h := consoletest.Start(t)
	c, pg := h.Client(), h.Postgres()
	const env, path, full = "shop/production", "/ui/environments/shop/production", "shop/production/orders-reader"
	if _, err := c.CreateEnvironment(t.Context(), types.EnvironmentSpec{Name: env, Description: "The shop as customers see it"}); err != nil {
		t.Fatal(err)
	}
	h.Believable()
	b := h.Browser(1, h.Token())

	// Create a dynamic secret.
	b.Open("/ui/")
	b.Picture("secrets")
	b.Click("shop/production")
	b.At(path)
	b.Click("New secret")
	b.Click("Dynamic secret")
	b.Click("PostgreSQL")
	b.See("What its logins may do")
	b.Fill("Connection", "orders-db")
	b.Fill("Member of", h.Root().Role)
	b.Click("Next")
	b.See("Secret name")
	b.Fill("Secret name", "orders-reader")
	b.Fill("Description", "Reads orders and their items")
	b.Fill("Default TTL", "15m")
	b.Fill("Max TTL", "24h")
	b.Fill("Key of output 1", "DB_USER")
	b.Click("Next")
	b.See("CREATE ROLE")
	b.Click("Finish")
	b.At(path)
	b.See("orders-reader")
	b.See("DB_USER")

	// Lease credentials. They are shown once, and work.
	b.Click("Generate orders-reader")
	b.See("What you will know it by")
	b.Fill("Name", "report of november")
	b.Fill("TTL", "3600")
	b.Click("Generate")
	b.See("they are not shown again")
	b.Picture("generate")
	value := func(key string) string { return b.Eval(`document.querySelector("[aria-label=` + key + `]").value`) }
	user := value("DB_USER")
	if err := pg.LogIn(t.Context(), user, b.Eval(`document.querySelector("dialog input[type=password]").value`), h.Root().Database); err != nil {
		t.Fatalf("the values that are shown let nobody in: %v", err)
	}
	b.Click("I have copied them")
	b.Wait(`!document.querySelector("dialog[open]")`)

	// The list of leases, and the history of one.
	b.Click("Leases of orders-reader")
	b.At(path + "/secrets/orders-reader/leases")
	b.See("report of november")
	b.See("active")
	b.See("in 59 min")
	b.Click("report of november")
	b.See("Issued")
	b.See(user)
	b.Live()

	// Renew it.
	b.Click("Renew report of november")
	b.See("1 h of 1 d")
	b.Fill("How much longer", "2h")
	b.Click("Renew")
	b.See("1 time")
	b.See("Renewed")
	b.See("in 2 h 59 min")
	b.Picture("lease")

	// Revoke it: the login is gone.
	b.Click("Revoke report of november")
	b.See("deleted at once")
	b.Fill("Reason", "the report is written")
	b.Click("Revoke lease")
	b.See("Its end came by")
	b.See("the report is written")
	exists := func(login string) bool {
		t.Helper()
		conn, err := pg.Superuser(t.Context(), "postgres")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		var there bool
		if err := conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", login).Scan(&there); err != nil {
			t.Fatal(err)
		}
		return there
	}
	b.See("Revoked")
	if exists(user) {
		t.Error("the lease is revoked, and its login exists")
	}

	// Delete the secret while leases of it are active.
	var held []types.Lease
	for _, name := range []string{"worker-1", "worker-2"} {
		issued, err := c.IssueLease(t.Context(), full, types.IssueSpec{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, issued.Lease)
	}
	b.Open("/ui/leases")
	b.Picture("leases")
	b.Open("/ui/cluster")
	b.Picture("cluster")
	b.Open(path)
	b.Click("More of orders-reader")
	b.Click("Delete orders-reader")
	b.See("2 leases are live")
	b.See("worker-2")
	b.Fill("Revoke all active leases", "on")
	b.Click("Delete Dynamic Secret")
	b.Wait(`!document.querySelector("dialog[open]")`)
	deadline := time.Now().Add(time.Minute)
	for {
		_, err := c.GetSecret(t.Context(), full)
		if client.Code(err) == "not_found" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the secret is still there: %v", err)
		}
	}
	b.Open(path)
	b.See("The shop as customers see it")
	b.Gone("orders-reader")
	for _, lease := range held {
		if exists(lease.Username) {
			t.Errorf("the secret of %s is deleted, and its login exists", lease.Name)
		}
		// History knows who it was, and that nothing ran out.
		history, err := c.LeaseEvents(t.Context(), lease.ID)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, e := range history.Items {
			list = append(list, e.Type+" by "+e.Actor)
		}
		if got := strings.Join(list, ", "); !strings.Contains(got, "lease.revoking by admin") || strings.Contains(got, "expired") {
			t.Errorf("history of %s: %s", lease.Name, got)
		}
	}
}
