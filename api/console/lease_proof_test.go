package console_test

import (
	"strings"
	"testing"
	"time"

	"broker/api/client"
	"broker/api/console/consoletest"
	"broker/api/types"
)

// The leader dies while somebody fills in a form: what he sends afterwards makes one lease, or says that it made none, and never two.
func TestLeaderDiesBehindAForm(t *testing.T) {
	h := consoletest.Start(t)
	leader := h.Leader()
	b := h.Browser(leader%3+1, h.Token())
	for _, told := range []string{"status of 503", "status of 504", "ERR_", "net::"} {
		b.Expect(told)
	}
	b.Open("/ui/environments/payments/production/secrets/orders-ro/leases")
	b.Click("Generate")
	b.Fill("Name", "outlives-leader")
	h.Devcluster("kill", string(rune('0'+leader)))
	defer h.Devcluster("start", string(rune('0'+leader)))
	for deadline := time.Now().Add(2 * time.Minute); ; {
		b.Click("Generate")
		b.Settled()
		text := b.Eval(`document.querySelector("#dialog").innerText`)
		if strings.Contains(text, "they are not shown again") {
			break
		}
		plain := false
		for _, one := range []string{"no leader", "Nobody knows", "does not answer in time"} {
			plain = plain || strings.Contains(text, one)
		}
		if !plain || time.Now().After(deadline) {
			t.Fatalf("the form says: %s", text)
		}
	}
	password := b.Eval(`document.querySelector("[aria-label=DB_PASSWORD]").value`)
	username := b.Eval(`document.querySelector("[aria-label=DB_USER]").value`)
	if err := h.Postgres().LogIn(t.Context(), username, password, "orders"); err != nil && !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("the values are of no use: %v", err)
	}
	found, err := h.Client().ListLeases(t.Context(), client.LeaseSelector{Secret: consoletest.Secret}, client.ListOptions{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var active []types.Lease
	for _, one := range found.Items {
		if one.Name == "outlives-leader" && one.State == "active" {
			active = append(active, one)
		}
	}
	if len(active) != 1 || active[0].Username != username {
		t.Errorf("there are %d leases of that name", len(active))
	}
}
